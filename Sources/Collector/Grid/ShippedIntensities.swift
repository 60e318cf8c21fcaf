import Carbon
import Factors
import FactorTables
import Postgres
import Store

/// The yearly intensities that the program carries: of countries, and of parts of some, each with its own basis.
enum ShippedIntensities {
    struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    struct Table {
        var rows: [Intensity] = []
        /// By the version of the table.
        var byVersion: [String: [Intensity]] = [:]
        var terms: [GridProviderTable.Terms] = []
    }

    static func add(_ connection: PostgresConnection) async throws {
        for (name, text) in [("country_intensity.csv", Factors.countryIntensityCSV), ("zone_intensity.csv", FactorTables.zoneIntensity)] {
            let table = try read(name, text)
            try await GridProviderTable.put(table.terms, connection)
            for (version, rows) in table.byVersion.sorted(by: { $0.key < $1.key }) {
                try await IntensityTable.addYearly(rows, version: version, connection)
            }
        }
    }

    static func read(_ name: String, _ text: String) throws -> Table {
        let table = try CSVTable(parsing: text)
        var read = Table()
        for row in table.rows.indices {
            guard let zone = table[row, "zone"], let grams = table[row, "g_per_kwh"].flatMap(Double.init),
                let kind = table[row, "kind"].flatMap(Intensity.Kind.init(rawValue:)),
                let basis = table[row, "basis"].flatMap({ Intensity.Basis($0) }),
                let provider = table[row, "provider"], let year = table[row, "year"].flatMap({ Int($0) }),
                let source = table[row, "source"], let licence = table[row, "licence"]
            else {
                throw Unreadable(
                    description: "\(name), row \(row + 2): expected zone, g_per_kwh, kind, basis, provider, year, source and licence"
                )
            }
            let intensity = Intensity(
                zone: zone,
                gramsPerKilowattHour: grams,
                low: table[row, "low_g_per_kwh"].flatMap(Double.init) ?? grams,
                high: table[row, "high_g_per_kwh"].flatMap(Double.init) ?? grams,
                kind: kind,
                basis: basis,
                provider: provider,
                year: year
            )
            read.rows.append(intensity)
            // The first version of a table was stored before tables had versions.
            let version = table[row, "version"] ?? "1"
            read.byVersion[version == "1" ? "shipped" : "shipped \(version)", default: []].append(intensity)
            if !read.terms.contains(where: { $0.provider == provider }) {
                // What may not be handed on could not be shipped.
                read.terms.append(.init(provider: provider, source: source, licence: licence, mayBeRedistributed: true))
            }
        }
        return read
    }
}
