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

    /// Whether the zone, on one socket or host, holds another one.
    ///
    /// From the outside in: node, psys, module, package, core and uncore. Memory and I/O stand beside the package. A GPU is a card of
    /// its own, which psys does not see, or stands beside the package on its module; the graphics of a processor are its uncore.
    public func holds(_ other: Zone) -> Bool {
        switch self {
        case .node: other != .node
        case .psys: [.module, .package, .core, .uncore, .dram, .io].contains(other)
        case .module: [.package, .core, .uncore, .dram, .io, .gpu].contains(other)
        case .package: other == .core || other == .uncore
        case .core, .uncore, .dram, .gpu, .io: false
        }
    }

    /// Whether a meter of the zone fixes an amount whose shape the meters inside give.
    public var isWhole: Bool { self == .node || self == .psys || self == .module }

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
