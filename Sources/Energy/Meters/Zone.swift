/// The part of a host that a meter covers. Named as the sensors name them.
public enum Zone: String, Sendable, CaseIterable {
    /// The whole machine: a BMC, a plug, a PDU outlet.
    case node
    /// The platform as RAPL sees it; contains the packages and usually the memory.
    case psys
    /// One socket with all that is on its module: Grace with its memory, a superchip with its GPU.
    case module
    case package
    case core, uncore
    case dram
    case gpu
    /// What hangs on a socket beside its cores: Altra's I/O power, SysIO.
    case io

    /// The component whose account the energy goes to.
    public var component: Component {
        switch self {
        case .package, .core, .uncore: .cpu
        case .dram: .dram
        case .gpu: .gpu
        case .node, .psys, .module, .io: .rest
        }
    }
}

/// Accounts are kept per component, each with its own idle floor; host figures are sums of components.
public enum Component: String, Sendable, CaseIterable, Comparable {
    case cpu, dram, gpu, rest

    public static func < (a: Component, b: Component) -> Bool { a.order < b.order }

    public var order: Int { Component.allCases.firstIndex(of: self)! }
}

/// Where a meter stands among the others of its host.
public struct MeterPlace: Hashable, Sendable {
    /// Unique on the host, for instance `powercap/intel-rapl:0`.
    public var name: String
    public var zone: Zone
    /// The package (socket) the zone belongs to; nil for the whole host.
    public var package: Int?
    /// The die of the package, or the device of a zone that a host has several of; nil for all of it.
    public var die: Int?
    public var quality: Quality
    /// Name of the meter that this one is a part of, where the sensor itself says so; the zones' own order holds anyway.
    public var inside: String?

    public init(name: String, zone: Zone, package: Int?, die: Int? = nil, quality: Quality, inside: String? = nil) {
        self.name = name
        self.zone = zone
        self.package = package
        self.die = die
        self.quality = quality
        self.inside = inside
    }
}

/// The outermost meters of a host that do not overlap: those whose sum is the host's energy.
public enum Cover {
    /// The names of the meters in the cover.
    ///
    /// A measured zone excludes every zone it contains, and a model stands in only for a zone that no sensor covers. A `node` or
    /// `psys` meter fixes an amount whose shape the inner meters give (`rest`), which is the accounting's work: here the inner
    /// meters form the cover wherever there are any.
    public static func choose(among meters: [MeterPlace]) -> Set<String> {
        let sensors = meters.filter { $0.quality != .modelled }
        var chosen: [MeterPlace] = []
        for zone in [Zone.package, .dram, .gpu] {
            let measured = sensors.filter { $0.zone == zone }
            chosen += measured.isEmpty ? meters.filter { $0.zone == zone && $0.quality == .modelled } : measured
        }
        if !chosen.contains(where: { $0.zone == .package && $0.quality != .modelled }) {
            // No package sensor. Core and uncore are parts of a package; they never stand for a whole one.
            let outer =
                sensors.filter { $0.zone == .psys }.isEmpty ? sensors.filter { $0.zone == .node } : sensors.filter { $0.zone == .psys }
            if !outer.isEmpty { return Set(outer.map(\.name)) }
        }
        return Set(chosen.map(\.name))
    }
}
