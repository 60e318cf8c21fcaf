import Carbon
import Documents
import Energy
import FactorTables
import Factors

/// What a file says of making a host: the mass of a life cycle assessment, or parts from which it is estimated.
struct HostEmbodied {
    private var place: String
    private var source: String?
    private var kilograms: (low: Double, best: Double, high: Double)?
    private var lifetimeYears: Double?
    private var from: Timestamp?
    private var parts: (given: JSONValue, server: ServerParts, notes: [String])?

    private static let known = "kg_co2e, low_kg_co2e, high_kg_co2e, lifetime_years, from, source, parts"
    private static let massRange = 0.0...1e9

    /// - Throws: `HostFile.Fault`.
    init(_ field: FieldList.Field) throws {
        place = field.place
        var masses: [String: Double] = [:]
        for part in try field.parts() {
            switch part.name {
            case "source": source = try part.text()
            case "kg_co2e", "low_kg_co2e", "high_kg_co2e": masses[part.name] = try part.number(Self.massRange)
            case "lifetime_years": lifetimeYears = try part.number(0.1...100)
            case "from": from = try part.time()
            case "parts": parts = try Self.parts(part)
            default: throw part.unknown(Self.known)
            }
        }
        if let best = masses["kg_co2e"] {
            guard parts == nil else { throw field.fault("kg_co2e or parts: the one is what is estimated from the other") }
            let (low, high) = (masses["low_kg_co2e"] ?? best, masses["high_kg_co2e"] ?? best)
            guard low <= best, best <= high else { throw field.fault("low_kg_co2e <= kg_co2e <= high_kg_co2e") }
            kilograms = (low, best, high)
        } else if !masses.isEmpty {
            throw field.fault("kg_co2e beside its limits")
        }
    }

    /// What is kept of it: as it was said, else estimated from the parts that were listed under it, else from what else the record says of
    /// the host. Nil where neither tells enough.
    static func record(_ said: HostEmbodied?, of record: [String: JSONValue], place: String) throws -> JSONValue? {
        var fields: [String: JSONValue] = [:]
        if let years = said?.lifetimeYears { fields["lifetime_years"] = .whole(years) }
        if let from = said?.from { fields["from"] = .string(RFC3339.format(from)) }
        if let source = said?.source { fields["source"] = .string(source) }
        if let mass = said?.kilograms {
            fields["kg_co2e"] = .whole(mass.best)
            if mass.low < mass.best { fields["low_kg_co2e"] = .whole(mass.low) }
            if mass.high > mass.best { fields["high_kg_co2e"] = .whole(mass.high) }
            return .object(fields)
        }
        let server: ServerParts
        var notes: [String]
        if let parts = said?.parts {
            fields["parts"] = parts.given
            (server, notes) = (parts.server, parts.notes)
        } else if let parts = try Self.parts(ofHost: record) {
            (server, notes) = parts
        } else {
            return fields.isEmpty ? nil : .object(fields)
        }
        let factors = try EmbodiedTables.shipped().factors
        let estimate: ServerEmbodied
        do throws(ServerEmbodied.Fault) {
            estimate = try ServerEmbodied(server, factors)
        } catch {
            throw HostFile.Fault(description: "\(said?.place ?? place): field embodied: parts: \(error.description)")
        }
        notes += estimate.assumptions
        func tenths(_ mass: CO2e) -> JSONValue { .whole((mass.kilograms * 10).rounded() / 10) }
        fields["kg_co2e"] = tenths(estimate.total.best)
        fields["low_kg_co2e"] = tenths(estimate.total.low)
        fields["high_kg_co2e"] = tenths(estimate.total.high)
        fields["source"] = .string(EmbodiedSchedule.Source.parts.rawValue)
        if !notes.isEmpty { fields["assumptions"] = .array(notes.map { .string($0) }) }
        return .object(fields)
    }

    // MARK: Parts as they are listed

    private static let knownParts = "cpu, cpus, cores, die_mm2, memory, ssds, hdds, gpus, supplies, supply_kg, enclosure"

    private static func parts(_ field: FieldList.Field) throws -> (JSONValue, ServerParts, [String]) {
        var processors = ServerParts.Processors(count: 1)
        var server = ServerParts(processors: processors, memory: [])
        for part in try field.parts() {
            switch part.name {
            case "cpu": processors.architecture = try EmbodiedTables.shipped().families.architecture(of: try part.text())
            case "cpus": processors.count = Int(clamping: try part.count())
            case "cores": processors.cores = Int(clamping: try part.count())
            case "die_mm2": processors.dieSquareMillimetres = try part.number(1...100_000)
            case "memory":
                server.memory = try part.entries().map { entry in
                    let (count, gigabytes, density) = try sizes(entry, of: part)
                    return ServerParts.MemoryModules(count: count, gigabytes: gigabytes, gigabytesPerSquareCentimetre: density)
                }
            case "ssds":
                server.drives += try part.entries().map { entry in
                    let (count, gigabytes, density) = try sizes(entry, of: part)
                    return .ssd(count: count, gigabytes: gigabytes, gigabytesPerSquareCentimetre: density)
                }
            case "hdds": server.drives.append(.hdd(count: Int(clamping: try part.count())))
            case "gpus": server.gpus = try part.list().map { gpus($0) }
            case "supplies": server.supplies.count = Int(clamping: try part.count())
            case "supply_kg": server.supplies.kilograms = try part.number(0.1...100)
            case "enclosure":
                guard let enclosure = ServerParts.Enclosure(rawValue: try part.text()) else { throw part.fault("rack or blade") }
                server.enclosure = enclosure
            default: throw part.unknown(knownParts)
            }
        }
        guard !server.memory.isEmpty else { throw field.fault("memory, a list of {count, gb}") }
        server.processors = processors
        return (field.value, server, [])
    }

    /// `{count: 12, gb: 32, gb_per_cm2: 1.75}`.
    private static func sizes(_ entry: FieldList, of field: FieldList.Field) throws -> (Int, Double, Double?) {
        var count: Int?
        var gigabytes: Double?
        var density: Double?
        for part in entry.fields {
            switch part.name {
            case "count": count = Int(clamping: try part.count())
            case "gb": gigabytes = try part.number(0.001...1e6)
            case "gb_per_cm2": density = try part.number(0.001...1e6)
            default: throw part.unknown("count, gb, gb_per_cm2")
            }
        }
        guard let gigabytes else { throw field.fault("gb, of one of them, in each entry") }
        return (count ?? 1, gigabytes, density)
    }

    // MARK: Parts as people write them

    /// Of a module of a server's memory, where only the whole is known.
    static let usualModuleGigabytes = 32.0

    /// Nil for a host whose processor or memory nobody wrote down, and for one that is a part of another machine.
    private static func parts(ofHost record: [String: JSONValue]) throws -> (ServerParts, [String])? {
        guard record["cloud"] == nil, record["parent"] == nil, let cpu = record["cpu"]?.string, let bytes = record["ram_bytes"]?.double
        else { return nil }
        var notes: [String] = []
        let named = counted(cpu)
        let architecture = try EmbodiedTables.shipped().families.architecture(of: named.text)
        var processors = ServerParts.Processors(count: named.count, architecture: architecture)
        if architecture == nil, let threads = record["threads"]?.double {
            // Two threads a core, as servers have; without them the number of cores would be a guess over the whole of the market.
            processors.cores = max(1, Int((threads / 2 / Double(named.count)).rounded()))
            notes.append("processors: \(named.text) is in no table, \(processors.cores ?? 1) cores by its threads taken")
        }
        let gigabytes = bytes / 1_073_741_824
        let modules = max(1, Int((gigabytes / usualModuleGigabytes).rounded(.up)))
        notes.append("memory: modules not given, \(modules) taken")
        var server = ServerParts(
            processors: processors,
            memory: [ServerParts.MemoryModules(count: modules, gigabytes: gigabytes / Double(modules))]
        )
        for (index, disk) in (record["disks"]?.array ?? []).enumerated() {
            guard let text = disk.string else { continue }
            if let drives = drives(text) {
                server.drives.append(drives)
            } else {
                notes.append("disks[\(index)]: expected a text such as 2 x 1 TB NVMe, found \(text): left out")
            }
        }
        server.gpus = (record["gpus"]?.array ?? []).compactMap(\.string).map { gpus($0) }
        return (server, notes)
    }

    private static func gpus(_ text: String) -> ServerParts.GPUs {
        let named = counted(text)
        return ServerParts.GPUs(count: named.count, model: named.text)
    }

    /// `2 x AMD EPYC 7702`.
    static func counted(_ text: String) -> (count: Int, text: String) {
        let digits = text.prefix { $0.isNumber }
        let rest = text.dropFirst(digits.count).drop { $0 == " " }
        guard let count = Int(digits), (1...10_000).contains(count), let sign = rest.first, ["x", "X", "×", "*"].contains(sign),
            rest.dropFirst().first == " " || sign == "×" || sign == "*"
        else { return (1, text) }
        return (count, String(rest.dropFirst().drop { $0 == " " }))
    }

    /// `2 x 1 TB NVMe`; nil where the kind, or of an SSD the size, is not said.
    static func drives(_ text: String) -> ServerParts.Drives? {
        let (count, rest) = counted(text)
        let words = rest.lowercased().split(whereSeparator: { $0 == " " || $0 == "," || $0 == "(" || $0 == ")" })
        if words.contains(where: { ["hdd", "sas", "rpm", "7.2k", "10k", "15k"].contains($0) }), !words.contains("ssd") {
            return .hdd(count: count)
        }
        guard words.contains(where: { ["ssd", "nvme", "flash", "optane"].contains($0) }) else { return nil }
        let joined = words.joined()
        for (unit, gigabytes) in [("tb", 1_000.0), ("gb", 1.0), ("tib", 1_099.511627776), ("gib", 1.073741824)] {
            guard let end = joined.firstRange(of: unit)?.lowerBound else { continue }
            let digits = joined[..<end].reversed().prefix { $0.isNumber || $0 == "." }
            if let size = Double(String(digits.reversed())), size > 0 { return .ssd(count: count, gigabytes: size * gigabytes) }
        }
        return nil
    }
}

/// The tables of servers' parts that the program carries, read once.
struct EmbodiedTables: Sendable {
    let factors: EmbodiedFactors
    let families: CPUModelFamilies

    private static let read = Result { try EmbodiedTables() }

    static func shipped() throws -> EmbodiedTables { try read.get() }

    private init() throws {
        func rows(_ name: String, _ text: String) throws -> FactorRows {
            let table = try CSVTable(parsing: text)
            return FactorRows(name: name, header: table.header, rows: table.rows)
        }
        factors = try EmbodiedFactors(rows("embodied_components.csv", FactorTables.embodiedComponents))
        families = try CPUModelFamilies(rows("cpu_model_families.csv", FactorTables.cpuModelFamilies))
    }
}
