/// What making a server emitted, part by part, after Boavizta's bottom-up method: kgCO2e of dies by their area and of everything
/// else by count or weight. Formulae and sources are in docs/embodied.md.
///
/// Making only: neither transport (but of GPUs) nor disposal is in it.
public struct ServerEmbodied: Hashable, Sendable {
    public struct Part: Hashable, Sendable {
        public var name: String
        public var mass: CO2eRange
    }

    public let parts: [Part]
    /// What was not known of the server, and what was taken for it.
    public let assumptions: [String]

    public var total: CO2eRange { parts.reduce(.zero) { $0 + $1.mass } }

    /// What parts were given that cannot be.
    public enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
        case outOfRange(field: String, found: Double, expected: String)

        public var description: String {
            switch self {
            case .outOfRange(let field, let found, let expected): "\(field): expected \(expected), found \(found)"
            }
        }
    }

    /// - Throws: `Fault` with the field for counts below 0 and sizes that are not above 0.
    public init(_ server: ServerParts, _ factors: EmbodiedFactors) throws(Fault) {
        var assumptions: [String] = []
        var parts: [Part] = []
        func add(_ name: String, _ count: Int, _ kilograms: EmbodiedFactors.Figure) {
            parts.append(Part(name: name, mass: .kilograms(kilograms) * Double(count)))
        }

        let processors = server.processors
        try Self.check(count: processors.count, "processors.count", least: 1)
        let area = try Self.dieArea(processors, factors, &assumptions)
        add("processors", processors.count, factors.processorUnit + area * factors.processorPerSquareMillimetre)

        for (index, modules) in server.memory.enumerated() {
            let field = "memory[\(index)]"
            try Self.check(count: modules.count, "\(field).count", least: 0)
            try Self.check(modules.gigabytes, "\(field).gigabytes", "GB of one module, above 0")
            let density = try Self.density(modules.gigabytesPerSquareCentimetre, factors.memoryDensity, field, &assumptions)
            let dies = EmbodiedFactors.Figure(modules.gigabytes) / density
            add("memory", modules.count, factors.memoryUnit + dies * factors.memoryPerSquareCentimetre)
        }
        for (index, drives) in server.drives.enumerated() {
            let field = "drives[\(index)]"
            switch drives {
            case .ssd(let count, let gigabytes, let given):
                try Self.check(count: count, "\(field).count", least: 0)
                try Self.check(gigabytes, "\(field).gigabytes", "GB of one drive, above 0")
                let density = try Self.density(given, factors.ssdDensity, field, &assumptions)
                let dies = EmbodiedFactors.Figure(gigabytes) / density
                add("ssd", count, factors.ssdUnit + dies * factors.ssdPerSquareCentimetre)
            case .hdd(let count):
                try Self.check(count: count, "\(field).count", least: 0)
                add("hdd", count, factors.hddUnit)
            }
        }
        for (index, gpus) in server.gpus.enumerated() {
            try Self.check(count: gpus.count, "gpus[\(index)].count", least: 0)
            let known = gpus.model.flatMap { factors.gpu($0) }
            if known == nil { assumptions.append("gpus[\(index)]: \(gpus.model ?? "no model given"), taken for any GPU of the table") }
            add("gpu", gpus.count, known ?? factors.unnamedGPU)
        }
        try Self.check(count: server.supplies.count, "supplies.count", least: 0)
        if let kilograms = server.supplies.kilograms { try Self.check(kilograms, "supplies.kilograms", "kg of one supply, above 0") }
        let weight = server.supplies.kilograms.map { EmbodiedFactors.Figure($0) } ?? factors.supplyKilograms
        if server.supplies.kilograms == nil, server.supplies.count > 0 {
            assumptions.append("supplies: no weight given, \(weight.best) kg (\(weight.low) to \(weight.high)) taken")
        }
        add("power supplies", server.supplies.count, weight * factors.supplyPerKilogram)
        switch server.enclosure {
        case .rack: add("case", 1, factors.rack)
        case .blade: add("case", 1, factors.blade)
        case nil:
            assumptions.append("enclosure: not given, a rack server taken")
            let low = min(factors.rack.low, factors.blade.low)
            let high = max(factors.rack.high, factors.blade.high)
            add("case", 1, EmbodiedFactors.Figure(low: low, best: factors.rack.best, high: high))
        }
        add("board", 1, factors.boardUnit)
        add("assembly", 1, factors.assemblyUnit)
        self.parts = parts
        self.assumptions = assumptions
    }

    /// Of one package: as given, else of its architecture, else by its cores.
    private static func dieArea(
        _ processors: ServerParts.Processors,
        _ factors: EmbodiedFactors,
        _ assumptions: inout [String]
    ) throws(Fault) -> EmbodiedFactors.Figure {
        if let area = processors.dieSquareMillimetres {
            try check(area, "processors.die", "mm² of one package, above 0")
            return EmbodiedFactors.Figure(area)
        }
        if let cores = processors.cores { try check(count: cores, "processors.cores", least: 1) }
        if let architecture = processors.architecture, let area = factors.dieArea(of: architecture) {
            assumptions.append("processors: no die area given, that of \(architecture) taken")
            return area
        }
        assumptions.append("processors: no die area given and no known architecture, \(factors.dieAreaPerCore.best) mm² a core taken")
        return (processors.cores.map { EmbodiedFactors.Figure(Double($0)) } ?? factors.cores) * factors.dieAreaPerCore
    }

    private static func density(
        _ given: Double?,
        _ usual: EmbodiedFactors.Figure,
        _ field: String,
        _ assumptions: inout [String]
    ) throws(Fault) -> EmbodiedFactors.Figure {
        guard let given else {
            assumptions.append("\(field): no density given, \(rounded(usual.best)) GB/cm² (\(usual.low) to \(usual.high)) taken")
            return usual
        }
        try check(given, "\(field).density", "GB per cm² of die, above 0")
        return EmbodiedFactors.Figure(given)
    }

    private static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }

    private static func check(count: Int, _ field: String, least: Int) throws(Fault) {
        guard (least...1_000_000).contains(count) else {
            throw .outOfRange(field: field, found: Double(count), expected: "a number of \(least) or more")
        }
    }

    private static func check(_ value: Double, _ field: String, _ expected: String) throws(Fault) {
        guard value > 0, value.isFinite else { throw .outOfRange(field: field, found: value, expected: expected) }
    }
}

extension ServerEmbodied {
    /// The same after Cloud Carbon Footprint: 1000 kg for a server of one socket and 16 GB, and what is added for more.
    ///
    /// `TE = 1000 + (GB - 16) * 533/384 + 100 a further socket + 100 an SSD + 50 an HDD + 150 a GPU`, kgCO2e.
    ///
    /// - Returns: Without limits, which the source does not state.
    public static func cloudCarbonFootprint(
        memoryGigabytes: Double,
        sockets: Int,
        ssds: Int = 0,
        hdds: Int = 0,
        gpus: Int = 0,
        _ factors: EmbodiedFactors
    ) -> CO2e {
        CO2e(
            kilograms: factors.ccfBase + max(0, memoryGigabytes - factors.ccfBaseGigabytes) * factors.ccfPerGigabyte
                + Double(max(0, sockets - 1)) * factors.ccfSocket + Double(max(0, ssds)) * factors.ccfSSD
                + Double(max(0, hdds)) * factors.ccfHDD + Double(max(0, gpus)) * factors.ccfGPU
        )
    }
}

extension CO2eRange {
    fileprivate static func kilograms(_ figure: EmbodiedFactors.Figure) -> CO2eRange {
        CO2eRange(low: CO2e(kilograms: figure.low), best: CO2e(kilograms: figure.best), high: CO2e(kilograms: figure.high))
    }
}

/// Limits as limits: each operation takes the corners that give the least and the most. All figures are 0 or more.
extension EmbodiedFactors.Figure {
    static func + (a: Self, b: Self) -> Self { Self(low: a.low + b.low, best: a.best + b.best, high: a.high + b.high) }
    static func * (a: Self, b: Self) -> Self { Self(low: a.low * b.low, best: a.best * b.best, high: a.high * b.high) }
    static func / (a: Self, b: Self) -> Self { Self(low: a.low / b.high, best: a.best / b.best, high: a.high / b.low) }
}
