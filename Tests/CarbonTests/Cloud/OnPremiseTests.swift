import Carbon
import Energy
import Testing

@Suite("Machines of one's own from the application's CSV")
struct OnPremiseTests {
    static let header = [
        "cpuDescription", "memory", "machineName", "country", "cpuUtilization", "powerUsageEffectiveness", "dailyUptime", "annualUptime",
    ]

    static func inventory(_ rows: [[String]]) throws -> OnPremiseInventory {
        try OnPremiseInventory(FactorRows(name: "machines.csv", header: header, rows: rows))
    }

    @Test("a row becomes a machine with its uptimes, and what is assumed is said")
    func rows() throws {
        let inventory = try Self.inventory([
            ["Intel(R) Xeon(R) Silver 4114 CPU @ 2.20GHz", "128", "db1", "GB", "40", "1.4", "24", ""],
            ["whatever", "16", "old", "", "", "", "", "4000"],
        ])
        #expect(inventory.faults.isEmpty)
        #expect(inventory.rows[0].uptimeHours == [.day: 24] && inventory.rows[0].notes.isEmpty)
        #expect(inventory.rows[0].machine.pue == PUE(1.4))
        #expect(inventory.rows[1].uptimeHours == [.year: 4_000] && inventory.rows[1].notes.count == 3)
    }

    @Test("a wrong field names its row and column, and the other rows are read")
    func faults() throws {
        let inventory = try Self.inventory([
            ["a", "130690", "", "", "", "", "24", ""], ["a", "16", "", "", "140", "", "24", ""], ["a", "16", "", "", "", "0.5", "24", ""],
            ["a", "16", "", "", "", "", "25", ""], ["a", "16", "", "", "", "", "", ""], ["a", "16", "", "", "", "", "24", ""],
        ])
        #expect(inventory.rows.map(\.number) == [6])
        #expect(inventory.faults.map(\.column) == ["memory", "cpuUtilization", "powerUsageEffectiveness", "dailyUptime", "dailyUptime"])
        #expect(inventory.faults.map(\.row) == [1, 2, 3, 4, 5])
        #expect(inventory.faults[0].description.contains("divide MB by 1024"))
    }

    @Test("a server's watts are its architecture's, memory counts beyond what they include, PUE once")
    func estimate() throws {
        let model = try OnPremiseModel(architectures: try CloudTables.rows("cpu_architectures.csv"), families: try CloudTables.families())
        let machine = OnPremiseModel.Machine(
            cpuDescription: "Intel(R) Xeon(R) Silver 4114 CPU @ 2.20GHz",
            memoryGigabytes: 845.1358025,
            utilisationPercent: 50,
            pue: PUE(2)
        )
        let answer = model.estimate(machine, hours: 10)
        // Skylake: (88.9 + 733)/2 W for 10 h; 100 GB beyond the 745.1358025 included.
        #expect(abs(answer.compute.kilowattHours - 4.1095) < 1e-12)
        #expect(abs(answer.memory.kilowattHours - 0.392) < 1e-12)
        #expect(abs(answer.facility.kilowattHours - 2 * 4.5015) < 1e-12)
        #expect(answer.architecture == "Skylake" && answer.match == .family && answer.assumed.isEmpty)
    }

    @Test(
        "processors are found by whole names, the longest first",
        arguments: [
            ("Intel(R) Xeon(R) Silver 4114 CPU @ 2.20GHz", "Skylake"), ("Intel Xeon Imaginary 1", nil),
            ("Intel(R) Xeon(R) CPU E5-2650 v4 @ 2.20GHz", "Broadwell"), ("Intel(R) Xeon(R) CPU E5-2650 v9 @ 2.20GHz", nil),
            ("AMD EPYC 7742 64-Core Processor", "EPYC 2nd Gen"), ("Intel(R) Xeon(R) Amber 4114 CPU @ 2.20GHz", nil), ("", nil),
        ] as [(String, String?)]
    )
    func architecture(description: String, expected: String?) throws {
        #expect(try CloudTables.families().architecture(of: description) == expected)
    }
}

@Suite("Inventories and regions")
struct OnPremiseReportTests {
    @Test("each period of a row has its energy; CO2e only where the place's intensity is known")
    func report() throws {
        let inventory = try OnPremiseTests.inventory([
            ["Intel(R) Xeon(R) Silver 4114 CPU @ 2.20GHz", "128", "db1", "GB", "50", "1", "10", "100"],
            ["nobody's", "16", "x", "", "50", "1", "1", ""],
        ])
        let model = try OnPremiseModel(architectures: try CloudTables.rows("cpu_architectures.csv"), families: try CloudTables.families())
        let report = OnPremiseReport(inventory, by: model) { country, _ in country == "GB" ? 200 : nil }
        #expect(report.lines.map(\.period) == [.day, .year, .day])
        // Skylake at 50 %: 410.95 W.
        #expect(abs(report.lines[0].energy.kilowattHours - 4.1095) < 1e-12)
        #expect(abs((report.lines[1].emissions?.grams ?? 0) - 41.095 * 200) < 1e-9)
        #expect(report.lines[2].emissions == nil && report.lines[2].missing == "no intensity for a machine without a country")
        #expect(report.lines[2].match == .average)
    }

    @Test("a region tells its zone, PUE and water; one that is not known tells nothing")
    func regions() throws {
        let regions = try CloudRegions(CloudTables.rows("cloud_regions.csv"))
        let ireland = try #require(regions.region("eu-west-1", of: "AWS"))
        #expect(ireland.zone.key == "IE" && ireland.pue == PUE(1.15) && ireland.wue == WUE(0.15) && !ireland.isOfRegion)
        // Of the machines' energy: PUE is not in it.
        #expect(ireland.wue?.litres(of: ITEnergy(kilowattHours: 2)) == 0.3)
        let finland = try #require(regions.region("europe-north1", of: "gcp"))
        #expect(finland.isOfRegion && finland.pue == PUE(1.09) && finland.wue == nil)
        #expect(regions.region("mars-north1", of: "gcp") == nil && regions.region("unknown", of: "aws") == nil)
        #expect(regions.region("us", of: "gcp") == nil && regions.region("asia", of: "azure") == nil)
    }
}

@Suite("PUE and splines")
struct CloudQuantityTests {
    @Test("a building of PUE below 1 or beyond belief is none", arguments: [0, 0.99, 4.1, .nan, -.infinity])
    func pue(ratio: Double) { #expect(PUE(ratio) == nil) }

    @Test("the spline of points on a line is the line, and stays at its ends beyond them")
    func line() throws {
        let spline = try #require(CubicSpline(x: [0, 10, 50, 100], y: [1, 2, 6, 11]))
        for place in stride(from: 0.0, through: 100, by: 2.5) { #expect(abs(spline.value(at: place) - (1 + place / 10)) < 1e-12) }
        #expect(spline.value(at: -5) == 1 && spline.value(at: 120) == 11)
    }

    @Test("points out of order, one alone or not finite make no curve")
    func refused() {
        #expect(CubicSpline(x: [0, 0], y: [1, 2]) == nil)
        #expect(CubicSpline(x: [0], y: [1]) == nil)
        #expect(CubicSpline(x: [0, 1], y: [1, .nan]) == nil)
    }
}
