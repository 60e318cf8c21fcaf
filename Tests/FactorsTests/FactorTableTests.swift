import Factors
import Testing

@Suite("The tables the programs carry")
struct FactorTableTests {
    private static func number(_ table: CSVTable, _ row: Int, _ column: String) throws -> Double {
        try #require(Double(table[row, column] ?? ""), "row \(row), column \(column)")
    }

    @Test("each CPU model stands once, every field is filled, and its watts are in order")
    func cpuPower() throws {
        let table = try CSVTable(parsing: Factors.cpuPowerCSV)
        #expect(
            table.header == [
                "maker", "model", "pattern", "cores", "threads", "tdp_w", "idle_low_w", "idle_w", "idle_high_w", "full_low_w", "full_w",
                "full_high_w", "launch_year", "source", "source_year", "licence", "basis",
            ]
        )
        #expect(table.rows.count >= 220)
        #expect(Set(table.rows.indices.map { table[$0, "pattern"] }).count == table.rows.count)
        for row in table.rows.indices {
            #expect(!table.rows[row].contains(""), "row \(row)")
            let idle = try ["idle_low_w", "idle_w", "idle_high_w"].map { try Self.number(table, row, $0) }
            let full = try ["full_low_w", "full_w", "full_high_w"].map { try Self.number(table, row, $0) }
            #expect(0 < idle[0] && idle[0] < idle[1] && idle[1] < idle[2], "row \(row)")
            #expect(full[0] < full[1] && full[1] <= full[2], "row \(row)")
            #expect(idle[1] < full[0] && idle[2] <= full[2], "row \(row)")
            #expect(try Self.number(table, row, "threads") >= Self.number(table, row, "cores"), "row \(row)")
        }
    }

    @Test("a model's curve is its TDP times the idle ratio of its family")
    func knownModel() throws {
        let table = try CSVTable(parsing: Factors.cpuPowerCSV)
        let row = try #require(table.rows.indices.first { table[$0, "pattern"] == "intel xeon e5-2650 v4" })
        // Broadwell in the Cloud Carbon Footprint coefficients: 0.7128 W idle of 3.6853 W a thread.
        #expect(try Self.number(table, row, "tdp_w") == 105)
        #expect(try Self.number(table, row, "idle_w") == 20.3)
        #expect(try Self.number(table, row, "full_w") == 105)
        #expect(try Self.number(table, row, "full_high_w") == 126)
    }

    @Test("every zone stands once with an intensity above 0, and the world's limits are the table's")
    func countryIntensity() throws {
        let table = try CSVTable(parsing: Factors.countryIntensityCSV)
        #expect(
            table.header == [
                "zone", "iso3", "name", "year", "g_per_kwh", "low_g_per_kwh", "high_g_per_kwh", "kind", "basis", "provider", "source",
                "licence",
            ]
        )
        #expect(Set(table.rows.indices.map { table[$0, "zone"] }).count == table.rows.count)
        var values: [Double] = []
        for row in table.rows.indices where table[row, "zone"] != "WORLD" {
            #expect(table[row, "zone"]?.utf8.count == 2 && table[row, "iso3"]?.utf8.count == 3, "row \(row)")
            let value = try Self.number(table, row, "g_per_kwh")
            #expect(value > 0, "row \(row)")
            values.append(value)
            #expect(table[row, "kind"] == "yearly" && table[row, "basis"] == "lifecycle/average/production", "row \(row)")
        }
        let world = try #require(table.rows.indices.first { table[$0, "zone"] == "WORLD" })
        #expect(try Self.number(table, world, "low_g_per_kwh") == values.min())
        #expect(try Self.number(table, world, "high_g_per_kwh") == values.max())
    }

    @Test(
        "three-letter codes became the right two-letter zones",
        arguments: [("GB", "GBR"), ("DE", "DEU"), ("UA", "UKR"), ("CH", "CHE"), ("SE", "SWE"), ("AT", "AUT"), ("KR", "KOR"), ("CL", "CHL")]
    )
    func zones(zone: String, iso3: String) throws {
        let table = try CSVTable(parsing: Factors.countryIntensityCSV)
        let row = try #require(table.rows.indices.first { table[$0, "zone"] == zone })
        #expect(table[row, "iso3"] == iso3)
    }
}
