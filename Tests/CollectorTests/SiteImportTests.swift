import Carbon
import Documents
import Energy
import Postgres
import Store
import Testing

@testable import Collector

/// Sites: what is said of them, from when on, and what is refused.
@Suite struct SiteImportTests {
    private static let yaml = """
        sites:
          - site: Cambridge
            grid_zone: GB
            pue: 1.4
            wue_l_per_kwh: 0.2
            contracts:
              - {share: 0.6, g_per_kwh: 0, high_g_per_kwh: 12, instrument: REGO, source: contract 17}
              - {share: 0.4, g_per_kwh: 30}
            residual_mix: {g_per_kwh: 364, source: AIB 2025}
          - {site: cambridge, from: 2026-09-01, grid_zone: GB, pue: 1.2}
        """

    private static func apply(_ text: String, name: String = "sites.yaml", dryRun: Bool = false, _ farm: Farm) async throws
        -> [HostImport.Change]
    {
        try await SiteImport.apply(try SiteFile(text: text, name: name), dryRun: dryRun, farm.connection)
    }

    @Test func aFileIsBroughtInOnceAndTwiceChangesNothing() async throws {
        try await Farm.with { farm in
            let told = try await Self.apply(Self.yaml, dryRun: true, farm)
            #expect(try await farm.count("site_record") == 0)
            #expect(try await farm.count("audit") == 0)
            #expect(try await Self.apply(Self.yaml, farm) == told)
            #expect(told.contains { $0.subject == "cambridge" && $0.field == "pue" && $0.before == "1.4" && $0.after == "1.2" })
            #expect(try await Self.apply(Self.yaml, farm) == [])
            #expect(try await farm.count("audit") == 2)
            let records = try await SiteTable.all(farm.connection)
            #expect(records.map(\.site) == ["cambridge", "cambridge"])
            let contracts = try #require(records[0].record.object?["contracts"]?.array)
            #expect(contracts[0].object?["share"]?.double == 0.6 && contracts[0].object?["instrument"]?.string == "REGO")
            #expect(records[1].record.object?["contracts"] == nil)
        }
    }

    @Test func aTableHasTheSameFields() async throws {
        try await Farm.with { farm in
            _ = try await Self.apply(
                "site,grid_zone,pue,contracts.share,contracts.g_per_kwh,residual_mix.g_per_kwh\nlyon,FR,1.2,0.5,0,60\n",
                name: "sites.csv",
                farm
            )
            let record = try #require(try await SiteTable.all(farm.connection).first?.record.object)
            #expect(record["grid_zone"]?.string == "FR" && record["residual_mix"]?.object?["g_per_kwh"]?.double == 60)
            #expect(record["contracts"]?.array?.count == 1)
        }
    }

    @Test(arguments: [
        ("sites: [{grid_zone: GB}]", "field site"), ("sites: [{site: a, zone: gb}]", "field zone: expected a zone in upper case"),
        ("sites: [{site: a, pue: 0.9}]", "field pue: expected a number from 1.0 to 4.0"), ("sites: [{site: a, pue: 4.5}]", "field pue"),
        ("sites: [{site: a, power: green}]", "field power: expected one of site, from"),
        ("hosts: []", "expected sites, found the key hosts"),
        ("sites:\n  - site: a\n    contracts: [{share: 0.7, g_per_kwh: 0}, {share: 0.4, g_per_kwh: 0}]", "line 3: field contracts"),
        ("sites: [{site: a, contracts: [{g_per_kwh: 0}]}]", "share"),
        ("sites: [{site: a, contracts: [{share: 1.2, g_per_kwh: 0}]}]", "share"),
        ("sites: [{site: a, contracts: [{share: 1}]}]", "expected g_per_kwh"),
        ("sites: [{site: a, contracts: [{share: 1, g_per_kwh: 2001}]}]", "g_per_kwh"),
        ("sites: [{site: a, residual_mix: {g_per_kwh: 300, high_g_per_kwh: 200}}]", "low_g_per_kwh <= g_per_kwh"),
        ("sites: [{site: a, residual_mix: {g_per_kwh: 300, year: 2025}}]", "field year"),
        ("sites: [{site: '  '}]", "line 1: field site: expected"),
        (#"sites: [{site: "a\nb"}]"#, "expected a name of one line"), (#"sites: [{site: "a\u001b[2J"}]"#, "without control characters"),
        (#"sites: [{site: "a\u2028b"}]"#, "expected a name of one line"), ("", "sites.yaml: expected at least one site"),
        ("\n \n", "expected at least one site"), ("# none yet\n", "expected at least one site"),
        ("sites:\n", "expected at least one site"), ("sites: []", "expected at least one site"),
        ("sites: [{site: a}, {site: A}]", "found a twice"), ("sites: [{site: a, wue_l_per_kwh: -1}]", "field wue_l_per_kwh"),
    ]) func whatMakesNoSenseIsRefusedByItsLineAndField(text: String, expected: String) throws {
        let fault = #expect(throws: HostFile.Fault.self) { try SiteFile(text: text, name: "sites.yaml") }
        let text = fault.map { "\($0)" } ?? ""
        #expect(text.contains(expected), "\(text)")
    }

    @Test(arguments: ["", "site,pue\n"]) func aTableWithoutASiteIsRefused(text: String) {
        let fault = #expect(throws: HostFile.Fault.self) { try SiteFile(text: text, name: "sites.csv") }
        #expect(fault?.description == "sites.csv: expected at least one site, found none")
    }

    @Test func aSiteThatNobodyDescribedIsToldAtTheImportAndByTheDoctor() async throws {
        try await Farm.with { farm in
            let file = try HostFile(text: "hosts: [{name: a, site: Lyon}, {name: b, site: Lyon, zone: FR}]", name: "hosts.yaml")
            _ = try await HostImport.apply(file, dryRun: false, now: farm.clock.now, farm.connection)
            let warnings = try await HostImport.warnings(file, farm.connection)
            #expect(warnings.count == 1 && warnings[0].contains("hosts.yaml, line 1: field site: nobody described Lyon"))
            func finding() async throws -> Finding { try await DoctorTests.finding("sites", farm) }
            let found = try await finding()
            #expect(found.severity == .note && found.examples.contains { $0.contains("lyon: 2 hosts") })
            #expect(try await SiteList.rows(farm.connection).map(\.hosts) == [2])
            _ = try await Self.apply("site,grid_zone,pue\nlyon,FR,1.2\n", name: "sites.csv", farm)
            #expect(try await finding().severity == .ok)
            #expect(try await HostImport.warnings(file, farm.connection) == [])
            #expect(try await SiteList.rows(farm.connection).map(\.site) == ["lyon"])
        }
    }

    @Test func aSitesZoneIsThatOfItsHosts() async throws {
        try await DoctorTests.healthy { farm in
            try await DoctorTests.run("UPDATE host SET grid_zone = NULL", farm)
            try await DoctorTests.imports("name,pue,slots,site\nbremusa,1.1,4,Lyon\n", farm)
            #expect(try await DoctorTests.finding("zones", farm).severity == .action)
            _ = try await Self.apply("site,grid_zone\nlyon,FR\n", name: "sites.csv", farm)
            #expect(try await DoctorTests.finding("zones", farm).severity == .ok)
        }
    }

    @Test func aHostsZoneIsAPlaceOnTheGrid() {
        #expect(throws: HostFile.Fault.self) { try HostFile(text: "hosts: [{name: a, zone: Europe}]", name: "hosts.yaml") }
    }
}

/// What making a host emitted: as it was said, or from its parts.
@Suite struct HostEmbodiedTests {
    private static func embodied(_ fields: String) throws -> [String: JSONValue]? {
        try HostFile(text: "hosts:\n  - name: a\n" + fields, name: "hosts.yaml").hosts[0].record["embodied"]?.object
    }

    @Test func aFigureOfOnesOwnStaysAsItIs() throws {
        let own = try #require(
            try Self.embodied(
                "    embodied: {kg_co2e: 1300, low_kg_co2e: 900, high_kg_co2e: 1900, lifetime_years: 6, from: 2025-03-01, source: maker}"
            )
        )
        #expect(own["kg_co2e"] == .integer(1_300) && own["low_kg_co2e"] == .integer(900) && own["high_kg_co2e"] == .integer(1_900))
        #expect(own["from"]?.string == "2025-03-01T00:00:00Z" && own["source"]?.string == "maker" && own["parts"] == nil)
    }

    /// docs/embodied.md: 1,046 kg.
    @Test func listedPartsAreSummed() throws {
        let parts = try #require(
            try Self.embodied(
                """
                    embodied:
                      lifetime_years: 5
                      parts: {cpus: 2, die_mm2: 694, memory: [{count: 12, gb: 32, gb_per_cm2: 1.75}], ssds: [{gb: 400, gb_per_cm2: 50}], hdds: 2, supplies: 2, supply_kg: 3, enclosure: rack}
                """
            )
        )
        #expect(abs(try #require(parts["kg_co2e"]?.double) - 1_045.7) < 1 && parts["source"]?.string == "parts")
        #expect(parts["low_kg_co2e"] == parts["kg_co2e"] && parts["lifetime_years"] == .integer(5))
    }

    @Test func aHostsOwnWordsAreEnoughAndWhatTheyLackWidensTheLimits() throws {
        let fields = """
                cpu: 2 x AMD EPYC 7702
                threads: 256
                ram: 512 GiB
                disks: [2 x 1 TB NVMe, 4 x 8 TB HDD, a drawer]
            """
        let host = try #require(try Self.embodied(fields))
        let best = try #require(host["kg_co2e"]?.double)
        #expect(best > 1_000 && best < 2_500)
        let (low, high) = (try #require(host["low_kg_co2e"]?.double), try #require(host["high_kg_co2e"]?.double))
        #expect(low < best && best < high)
        let notes = (host["assumptions"]?.array ?? []).compactMap(\.string)
        #expect(notes.contains { $0.contains("disks[2]") && $0.contains("left out") } && notes.contains { $0.hasPrefix("memory: modules") })
        // A machine on another one has been made with it.
        #expect(try Self.embodied(fields + "\n    parent: b") == nil)
        #expect(try Self.embodied("    cpu: AMD EPYC 7702") == nil)
    }

    @Test func countsAndKindsAreReadAsPeopleWriteThem() {
        #expect(HostEmbodied.counted("2 x AMD EPYC 7702").count == 2 && HostEmbodied.counted("2x AMD").text == "AMD")
        #expect(HostEmbodied.counted("7702P").text == "7702P")
        #expect(HostEmbodied.drives("2 x 1 TB NVMe") == .ssd(count: 2, gigabytes: 1_000))
        #expect(HostEmbodied.drives("1.92TB SSD") == .ssd(count: 1, gigabytes: 1_920))
        #expect(HostEmbodied.drives("4 x 8TB SAS") == .hdd(count: 4))
        #expect(HostEmbodied.drives("NVMe") == nil && HostEmbodied.drives("1 TB") == nil)
    }

    @Test(arguments: [
        "{kg_co2e: 100, parts: {memory: [{gb: 32}]}}", "{low_kg_co2e: 100}", "{kg_co2e: 100, low_kg_co2e: 200}", "{parts: {cpus: 2}}",
        "{kg_co2e: -1}", "{kg: 100}", "{parts: {memory: [{gb: 32}], wheels: 4}}", "{lifetime_years: 0}",
    ]) func whatMakesNoSenseIsRefused(text: String) {
        #expect(throws: HostFile.Fault.self) { try Self.embodied("    embodied: \(text)") }
    }
}
