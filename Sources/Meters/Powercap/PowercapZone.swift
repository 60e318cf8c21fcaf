import Energy

/// A directory of `/sys/class/powercap` that is a RAPL zone, parsed defensively: names and ids differ between kernels and boards.
struct PowercapZone: Hashable, Sendable {
    /// `intel-rapl` (the MSR interface, AMD's too) or `intel-rapl-mmio`.
    var controlType: String
    /// Zone and subzone numbers. The kernel prints them in hexadecimal.
    var ids: [Int]
    /// `intel-rapl:0:2`.
    var directory: String
    /// The content of `name`: `package-0`, `package-0-die-1`, `psys`, `core`, `uncore`, `dram`.
    var label: String

    var isMemoryMapped: Bool { controlType == "intel-rapl-mmio" }

    /// Control type and ids of a directory's name; nil for what is no zone: a control type itself, another driver's.
    static func parse(directory: String) -> (controlType: String, ids: [Int])? {
        let parts = directory.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, parts[0] == "intel-rapl" || parts[0] == "intel-rapl-mmio" else { return nil }
        var ids: [Int] = []
        for part in parts.dropFirst() {
            guard let id = Int(part, radix: 16), id >= 0 else { return nil }
            ids.append(id)
        }
        return (String(parts[0]), ids)
    }

    /// What the label says: the zone, and package and die where they are named.
    var meaning: (zone: Zone, package: Int?, die: Int?)? {
        switch label {
        case "psys": return (.psys, nil, nil)
        case "core": return (.core, nil, nil)
        case "uncore": return (.uncore, nil, nil)
        case "dram": return (.dram, nil, nil)
        default:
            let parts = label.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2 || parts.count == 4, parts[0] == "package", let package = Int(parts[1]) else { return nil }
            guard parts.count == 4 else { return (.package, package, nil) }
            guard parts[2] == "die", let die = Int(parts[3]) else { return nil }
            return (.package, package, die)
        }
    }

    /// Whether this zone is a child of the other one.
    func isInside(_ other: PowercapZone) -> Bool {
        controlType == other.controlType && ids.count == other.ids.count + 1 && ids.starts(with: other.ids)
    }
}
