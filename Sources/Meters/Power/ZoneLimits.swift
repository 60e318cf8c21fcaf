import Energy

extension Zone {
    /// More than any part of this kind draws, for sensors that publish no limit: the bound of a gap, and above it a value is an error.
    var largestPower: Power {
        switch self {
        case .node, .psys: Power(watts: 12_000)
        case .gpu: Power(watts: 4_000)
        case .module: Power(watts: 3_000)
        case .package, .core, .uncore, .dram, .io: Power(watts: 1_000)
        }
    }

    /// Whether it may draw nothing while the machine runs.
    var canBeZero: Bool {
        switch self {
        case .gpu, .io, .dram, .uncore: true
        case .node, .psys, .module, .package, .core: false
        }
    }
}
