public import Carbon
public import Documents
import Energy

/// The tables of the on-premise model: servers' watts, processors' names, and yearly intensities of countries.
public struct OnPremiseTables: Sendable {
    let model: OnPremiseModel
    private let countries: [String: Intensity]

    /// - Parameters:
    ///   - architectures: `cpu_architectures.csv`.
    ///   - families: `cpu_model_families.csv`.
    ///   - countries: `country_intensity.csv`.
    public init(architectures: FactorRows, families: FactorRows, countries: FactorRows) throws(FactorRows.Fault) {
        model = try OnPremiseModel(architectures: architectures, families: try CPUModelFamilies(families))
        var found: [String: Intensity] = [:]
        for row in try countries.needing(["zone", "iso3", "name", "g_per_kwh", "kind", "basis", "provider", "year"]) {
            guard let kind = Intensity.Kind(rawValue: row.text("kind")) else { throw row.fault("kind", "a kind") }
            guard let basis = Intensity.Basis(row.text("basis")) else { throw row.fault("basis", "a basis") }
            let value = try row.number("g_per_kwh")
            let intensity = Intensity(
                zone: try row.required("zone"),
                gramsPerKilowattHour: value,
                low: try row.optionalNumber("low_g_per_kwh") ?? value,
                high: try row.optionalNumber("high_g_per_kwh") ?? value,
                kind: kind,
                basis: basis,
                provider: try row.required("provider"),
                year: Int(row.text("year")) ?? 0
            )
            for name in ["zone", "iso3", "name"].map({ row.text($0).lowercased() }) where !name.isEmpty { found[name] = intensity }
        }
        self.countries = found
    }

    /// Of a country by its code or name; nil for any other place: none stands in for it.
    func intensity(country: String) -> Intensity? { countries[country.lowercased()] }
}

/// What machines of one's own took and emitted, by the Cloud Carbon Footprint application's model.
public struct OnPremiseAnswer: Sendable {
    public typealias Fault = FactorRows.Fault
    public static let mostRows = 10_000

    public let report: OnPremiseReport
    /// Of rows that could not be read; the others are in the report.
    public let faults: [Fault]
    private let tables: OnPremiseTables

    /// - Throws: `Fault` where a column is missing, no row can be read or there are too many.
    public init(header: [String], rows: [[String]], by tables: OnPremiseTables) throws(Fault) {
        let name = "machines"
        guard (1...Self.mostRows).contains(rows.count) else {
            throw Fault(table: name, row: 0, column: "rows", expected: "1 to \(Self.mostRows) rows", found: "\(rows.count)")
        }
        let inventory = try OnPremiseInventory(FactorRows(name: name, header: header, rows: rows))
        if inventory.rows.isEmpty, let first = inventory.faults.first { throw first }
        report = OnPremiseReport(inventory, by: tables.model) { country, _ in
            tables.intensity(country: country)?.gramsPerKilowattHour
        }
        faults = inventory.faults
        self.tables = tables
    }

    public func intensity(of line: OnPremiseReport.Line) -> Intensity? { tables.intensity(country: line.row.country) }

    public var json: JSONValue {
        var missing: [JSONValue] = []
        let machines = report.lines.enumerated().map { index, line in
            func note(_ field: String, _ reason: String) {
                missing.append(.object(["field": .string("machines[\(index)].\(field)"), "reason": .string(reason)]))
            }
            if line.emissions == nil { note("co2e_g", "no_intensity") }
            let intensity = intensity(of: line)
            if intensity == nil { note("intensity", "no_intensity") }
            return JSONValue.object([
                "row": .integer(Int64(line.row.number)), "name": .string(line.row.name), "country": .string(line.row.country),
                "region": .string(line.row.region), "period": .string(line.period.rawValue),
                "uptime_hours": line.row.uptimeHours[line.period].map { .number($0) } ?? .null,
                "energy_kwh": .number(FigureDigits.plain(line.energy.kilowattHours)),
                "co2e_g": line.emissions.map { .number(FigureDigits.plain($0.grams)) } ?? .null,
                "intensity": intensity.map {
                    .object([
                        "zone": .string($0.zone), "g_per_kwh": .number($0.gramsPerKilowattHour), "kind": .string($0.kind.rawValue),
                        "basis": .string($0.basis.description), "provider": .string($0.provider), "year": .integer(Int64($0.year)),
                    ])
                } ?? .null,
                "architecture": .string(line.architecture), "match": .string(line.match.rawValue),
                "notes": .array((line.row.notes + [line.missing].compactMap { $0 }).map { .string($0) }),
            ])
        }
        return .object([
            "machines": .array(machines),
            "faults": .array(
                faults.map {
                    .object([
                        "row": $0.row.map { .integer(Int64($0)) } ?? .null, "column": .string($0.column),
                        "expected": .string($0.expected), "found": .string($0.found),
                    ])
                }
            ), "missing": .array(missing),
        ])
    }
}
