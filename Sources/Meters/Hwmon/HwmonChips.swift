import Energy

/// A kind of chip of `/sys/class/hwmon`, and what its labels mean.
struct HwmonChip: Sendable {
    /// What a label says of the machine.
    struct Rule: Sendable {
        var label: Label
        var zone: Zone
        var package: Package = .none
        var die: Int?
        /// Labels of the same chip whose meter contains this one's, the innermost first; `#` stands for the label's own number.
        var inside: [String] = []
    }

    /// How a label is known. Labels are compared without blanks at their ends.
    enum Label: Sendable {
        /// Word by word, in any case.
        case exactly(String)
        /// Text with a whole number in the place of `#`.
        case numbered(String)
        /// One of its words, in any case: firmware that names the same thing in many ways.
        case word([String])
    }

    /// Which package a meter belongs to.
    enum Package: Sendable {
        /// To the host as a whole.
        case none
        /// The one of the label's number.
        case ofLabel
        /// The n-th chip of this kind is the n-th package.
        case ofChip
        case number(Int)
    }

    /// The values of the `name` file.
    var names: [String]
    var rules: [Rule]
    /// Labels that are known and not used, and why.
    var ignored: [(label: Label, reason: String)] = []
    /// A meter without a label, where that has a meaning of its own.
    var unlabelled: Zone?
    /// Its energy counters are refreshed every few milliseconds and cost no more than a file.
    var isFast = false
    /// Where the names and labels come from.
    var source: String

    /// The chips that are known. Any other with power or energy files is reported, with the setting that makes a meter of it.
    static let all: [HwmonChip] = [
        HwmonChip(
            names: ["ibmpowernv"],
            rules: [
                Rule(label: .exactly("System"), zone: .node),
                // Three parts of one zone: with one place they would pass for one meter found three times.
                Rule(label: .exactly("IO"), zone: .io, die: 0, inside: ["System"]),
                Rule(label: .exactly("Fan"), zone: .io, die: 1, inside: ["System"]),
                Rule(label: .exactly("Storage"), zone: .io, die: 2, inside: ["System"]),
                Rule(label: .numbered("Chip #"), zone: .package, package: .ofLabel, inside: ["System"]),
                Rule(label: .numbered("Chip # Vdd"), zone: .core, package: .ofLabel, inside: ["Chip #", "System"]),
                Rule(label: .numbered("Chip # Vdn"), zone: .uncore, package: .ofLabel, inside: ["Chip #", "System"]),
                Rule(label: .numbered("Chip # Memory"), zone: .dram, package: .ofLabel, inside: ["System"]),
                Rule(label: .numbered("Chip # GPU"), zone: .gpu, package: .ofLabel, inside: ["System"]),
            ],
            ignored: [(.numbered("APSS #"), "a raw channel of the board; the others are made of it")],
            source: "drivers/hwmon/ibmpowernv.c; labels of skiboot hw/occ-sensor.c"
        ),
        HwmonChip(
            names: ["apm_xgene"],
            rules: [
                Rule(label: .exactly("CPU power"), zone: .package, package: .ofChip),
                Rule(label: .exactly("IO power"), zone: .io, package: .ofChip),
            ],
            source: "drivers/hwmon/xgene-hwmon.c"
        ),
        HwmonChip(
            names: ["smpro_hwmon", "smpro"],
            rules: [
                // There is no rail of the whole socket: its cores' is what apm_xgene calls the CPU's, the others hang beside it.
                Rule(label: .exactly("CORE VRD"), zone: .package, package: .ofChip),
                Rule(label: .exactly("SoC"), zone: .io, package: .ofChip, die: 0),
                Rule(label: .exactly("RCA VRD"), zone: .io, package: .ofChip, die: 1),
                Rule(label: .exactly("DIMM VRD1"), zone: .dram, package: .ofChip, die: 0),
                Rule(label: .exactly("DIMM VRD2"), zone: .dram, package: .ofChip, die: 1),
            ],
            source: "drivers/hwmon/smpro-hwmon.c, Documentation/hwmon/smpro-hwmon.rst"
        ),
        HwmonChip(
            names: ["altra_hwmon"],
            rules: [],
            ignored: [(.numbered("Core Energy #"), "one core; no counter of the whole socket is known of this driver")],
            source: "Ampere's altra_hwmon driver (out of tree)"
        ),
        HwmonChip(
            names: ["amd_energy"],
            rules: [Rule(label: .numbered("Esocket#"), zone: .package, package: .ofLabel)],
            ignored: [(.numbered("Ecore#"), "one core, a part of its socket")],
            isFast: true,
            source: "amd_energy driver (kernel 5.8 to 5.12, then out of tree)"
        ),
        HwmonChip(
            names: ["power_meter"],
            rules: [
                Rule(label: .numbered("Module Power Socket #"), zone: .module, package: .ofLabel),
                Rule(label: .numbered("Grace Power Socket #"), zone: .package, package: .ofLabel, inside: ["Module Power Socket #"]),
                Rule(
                    label: .numbered("CPU Power Socket #"),
                    zone: .core,
                    package: .ofLabel,
                    inside: ["Grace Power Socket #", "Module Power Socket #"]
                ),
                Rule(
                    label: .numbered("SysIO Power Socket #"),
                    zone: .io,
                    package: .ofLabel,
                    inside: ["Grace Power Socket #", "Module Power Socket #"]
                ),
            ],
            unlabelled: .node,
            source: "drivers/hwmon/acpi_power_meter.c; NVIDIA Grace Performance Tuning Guide, power telemetry"
        ),
        HwmonChip(
            names: ["vexpress", "vexpress_power", "vexpress_energy", "v2m_juno_power", "v2m_juno_energy", "scpi_sensors", "scmi_sensors"],
            rules: [
                // Two clusters of one package, and what the SoC draws beside them.
                Rule(label: .word(["A72", "A57", "BIG", "BOARDBIG"]), zone: .package, package: .number(0), die: 0),
                Rule(label: .word(["A53", "LITTLE", "BOARDLITTLE"]), zone: .package, package: .number(0), die: 1),
                Rule(label: .word(["GPU"]), zone: .gpu),
                Rule(label: .word(["SYS"]), zone: .io, package: .number(0)),
            ],
            source: "drivers/hwmon/vexpress-hwmon.c, scpi-hwmon.c; Variorum's ARM notes for Juno r2"
        ),
    ]

    static func named(_ name: String) -> HwmonChip? { all.first { $0.names.contains(name) } }

    /// The rule of a label, and the label's number where it has one.
    func rule(for label: String) -> (rule: Rule, number: Int?)? {
        for rule in rules {
            if let match = rule.label.match(label) { return (rule, match.number) }
        }
        return nil
    }

    func reasonToIgnore(_ label: String) -> String? { ignored.first { $0.label.match(label) != nil }?.reason }
}

extension HwmonChip.Label {
    /// Nil where it is another label; a number where this one has a place for it.
    func match(_ label: String) -> (number: Int?, Void)? {
        switch self {
        case .exactly(let text): return text.lowercased() == label.lowercased() ? (nil, ()) : nil
        case .word(let words):
            let found = label.uppercased().split { !$0.isLetter && !$0.isNumber }
            return found.contains { words.contains(String($0)) } ? (nil, ()) : nil
        case .numbered(let pattern):
            let parts = pattern.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, label.hasPrefix(parts[0]), label.hasSuffix(parts[1]),
                label.utf8.count > parts[0].utf8.count + parts[1].utf8.count
            else { return nil }
            let digits = label.dropFirst(parts[0].count).dropLast(parts[1].count)
            guard digits.allSatisfy(\.isASCII), digits.allSatisfy(\.isNumber), let number = Int(digits) else { return nil }
            return (number, ())
        }
    }
}
