import Energy

/// A directory of `/sys/class/powercap` that is a RAPL zone, parsed defensively: names and ids differ between kernels and boards.
struct PowercapZone: Hashable, Sendable {
    /// `intel-rapl` (the MSR interface, AMD's too) or `intel-rapl-mmio`.
    var controlType: String
    /// Zone and subzone numbers. The kernel prints them in hexadecimal.
    var ids: [Int]
    /// `intel-rapl:0:2`.
    var directory: String
    /// The content of `name`: `package-0`, `package-0-die-1`, `psys`, `psys-1`, `core`, `uncore`, `dram`.
    var label: String

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
            guard parts.count >= 2, let package = Int(parts[1]), package >= 0 else { return nil }
            // Each further package of some servers has a platform counter of its own.
            if parts.count == 2, parts[0] == "psys" { return (.psys, package, nil) }
            guard parts[0] == "package" else { return nil }
            if parts.count == 2 { return (.package, package, nil) }
            guard parts.count == 4, parts[2] == "die", let die = Int(parts[3]), die >= 0 else { return nil }
            return (.package, package, die)
        }
    }

    /// Whether this zone is a child of the other one.
    func isInside(_ other: PowercapZone) -> Bool {
        controlType == other.controlType && ids.count == other.ids.count + 1 && ids.starts(with: other.ids)
    }
}
