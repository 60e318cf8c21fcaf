/// What making a server's parts emits, by part and parameter.
public struct EmbodiedFactors: Sendable {
    /// A figure with the limits of its source.
    public struct Figure: Hashable, Sendable {
        public var low: Double
        public var best: Double
        public var high: Double

        public init(low: Double, best: Double, high: Double) {
            self.low = low
            self.best = best
            self.high = high
        }

        public init(_ value: Double) { self.init(low: value, best: value, high: value) }
    }

    private struct Key: Hashable {
        var component: String
        var parameter: String
    }

    private let figures: [Key: Figure]

    let processorUnit: Figure, processorPerSquareMillimetre: Figure, dieAreaPerCore: Figure, cores: Figure
    let memoryUnit: Figure, memoryPerSquareCentimetre: Figure, memoryDensity: Figure
    let ssdUnit: Figure, ssdPerSquareCentimetre: Figure, ssdDensity: Figure
    let hddUnit: Figure, boardUnit: Figure, assemblyUnit: Figure
    let supplyPerKilogram: Figure, supplyKilograms: Figure
    let rack: Figure, blade: Figure
    let unnamedGPU: Figure
    let ccfBase: Double, ccfBaseGigabytes: Double, ccfPerGigabyte: Double, ccfSocket: Double
    let ccfSSD: Double, ccfHDD: Double, ccfGPU: Double

    /// - Parameter rows: the columns of `embodied_components.csv`. Of several versions of a figure the last in the table counts.
    /// - Throws: `FactorRows.Fault`, also where a figure is missing that every server needs.
    public init(_ rows: FactorRows) throws(FactorRows.Fault) {
        var figures: [Key: Figure] = [:]
        for row in try rows.needing(["component", "parameter", "low", "value", "high"]) {
            let figure = Figure(low: try row.number("low"), best: try row.number("value"), high: try row.number("high"))
            guard figure.low <= figure.best, figure.best <= figure.high else { throw row.fault("value", "low <= value <= high") }
            figures[Key(component: try row.required("component"), parameter: try row.required("parameter"))] = figure
        }
        func figure(_ component: String, _ parameter: String) throws(FactorRows.Fault) -> Figure {
            guard let figure = figures[Key(component: component, parameter: parameter)] else {
                throw FactorRows.Fault(table: rows.name, row: nil, column: "\(component) \(parameter)", expected: "a row", found: "")
            }
            return figure
        }
        processorUnit = try figure("cpu", "unit")
        processorPerSquareMillimetre = try figure("cpu", "die")
        dieAreaPerCore = try figure("cpu", "die-per-core")
        cores = try figure("cpu", "cores")
        memoryUnit = try figure("ram", "unit")
        memoryPerSquareCentimetre = try figure("ram", "die")
        memoryDensity = try figure("ram", "density")
        ssdUnit = try figure("ssd", "unit")
        ssdPerSquareCentimetre = try figure("ssd", "die")
        ssdDensity = try figure("ssd", "density")
        hddUnit = try figure("hdd", "unit")
        boardUnit = try figure("board", "unit")
        assemblyUnit = try figure("assembly", "unit")
        supplyPerKilogram = try figure("supply", "mass")
        supplyKilograms = try figure("supply", "weight")
        rack = try figure("case", "rack")
        blade = try figure("case", "blade")
        unnamedGPU = try figure("gpu", "any")
        ccfBase = try figure("ccf", "base").best
        ccfBaseGigabytes = try figure("ccf", "base-memory").best
        ccfPerGigabyte = try figure("ccf", "memory").best
        ccfSocket = try figure("ccf", "socket").best
        ccfSSD = try figure("ccf", "ssd").best
        ccfHDD = try figure("ccf", "hdd").best
        ccfGPU = try figure("ccf", "gpu").best
        self.figures = figures
    }

    /// Die area of a server part of an architecture, mm²; nil where the table has none.
    func dieArea(of architecture: String) -> Figure? { figures[Key(component: "die", parameter: architecture)] }

    /// kgCO2e of one GPU; nil where the table does not have the model.
    func gpu(_ model: String) -> Figure? { figures[Key(component: "gpu", parameter: model)] }
}
