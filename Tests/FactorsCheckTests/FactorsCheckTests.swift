import Testing
@testable import FactorsCheck

@Suite("The check of factor tables")
struct FactorsCheckTests {
    static let header = "zone,iso3,name,year,g_per_kwh,low_g_per_kwh,high_g_per_kwh,kind,basis,provider,source,licence,version"
    static let row = "US-TX,USA,Texas,2023,349.8,,,yearly,direct/average/production,epa.gov,eGRID,public domain,1"

    /// Findings of one table, those about versions left aside.
    static func findings(_ rows: String..., header: String = header, file: String = "zone_intensity.csv") -> [FactorFinding] {
        let text = ([header] + rows).joined(separator: "\n") + "\n"
        return FactorsCheck.findings(in: [.init(file: file, text: text)]).filter { $0.rule != .version }
    }

    static func changed(_ field: Int, to text: String) -> String {
        var fields = row.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        fields[field] = text
        return fields.joined(separator: ",")
    }

    @Test("a good row has no finding")
    func good() { #expect(Self.findings(Self.row).isEmpty) }

    @Test(
        "a country of 0 or over 1,200 g, text for a number and what is not a number are findings",
        arguments: ["0", "1201", "much", "nan", "-3"]
    )
    func intensity(value: String) {
        let findings = Self.findings(Self.row, Self.changed(0, to: "US-CA"), Self.changed(4, to: value).replacing("US-TX", with: "US-NV"))
        #expect(findings.map(\.description) == ["zone_intensity.csv:4: g_per_kwh: expected a number of 0.1 to 1200.0, found \(value)"])
        #expect(findings.first?.rule == .range)
    }

    @Test(
        "an empty source, year, licence or basis is a finding",
        arguments: [(3, "year"), (8, "basis"), (10, "source"), (11, "licence"), (12, "version")]
    )
    func provenance(field: Int, name: String) {
        let findings = Self.findings(Self.changed(field, to: ""))
        #expect(findings.map(\.rule) == [.missing] && findings.first?.column == name && findings.first?.line == 2)
    }

    @Test("the same zone, year and basis twice in a version is a finding, in another version or year it is not")
    func duplicates() {
        #expect(
            Self.findings(Self.row, Self.row).map(\.description).first?.hasPrefix(
                "zone_intensity.csv:3: expected each of zone, year, basis once"
            ) == true
        )
        #expect(Self.findings(Self.row, Self.changed(12, to: "2"), Self.changed(3, to: "2022")).isEmpty)
    }

    @Test("a basis or kind that is none is a finding")
    func words() {
        #expect(Self.findings(Self.changed(8, to: "lifecycle/average")).map(\.rule) == [.word])
        #expect(Self.findings(Self.changed(7, to: "forecast")).map(\.rule) == [.word])
    }

    @Test("limits on the wrong side are a finding")
    func limits() {
        #expect(Self.findings(Self.changed(5, to: "400")).map(\.rule) == [.order])
        #expect(Self.findings(Self.changed(6, to: "300")).map(\.rule) == [.order])
        #expect(Self.findings(Self.changed(5, to: "300").replacing(",300,,", with: ",300,400,")).isEmpty)
    }

    @Test("other columns, an unknown file and a broken line are findings")
    func form() {
        #expect(Self.findings(Self.row, header: Self.header.replacing("licence", with: "license")).map(\.rule) == [.form])
        #expect(Self.findings(Self.row, file: "mine.csv").map(\.rule) == [.unknownTable])
        #expect(Self.findings("US-TX,USA").map(\.rule) == [.form])
        #expect(Self.findings(Self.changed(2, to: " Texas")).map(\.rule) == [.form])
        #expect(Self.findings().map(\.rule) == [.missing])
    }

    @Test("all findings are listed, not only the first")
    func all() {
        let rows = [Self.changed(4, to: "0"), Self.changed(11, to: ""), Self.changed(3, to: "23")]
        let text = ([Self.header] + rows).joined(separator: "\n")
        let found = FactorsCheck.findings(in: [.init(file: "zone_intensity.csv", text: text)])
        #expect(found.filter { $0.rule != .version }.map(\.rule) == [.range, .duplicate, .missing, .range])
    }

    @Test("vCPUs beyond their machine's and a PUE below 1 are findings")
    func others() {
        let instances = """
            vendor,type,vcpus,reserved_vcpus,platform_vcpus,platform_vcpus_upstream,architecture,memory_gb,\
            platform_embodied_kg,platform_gpus,flags,version,source,year,licence,basis
            aws,a,4,,2,,One,1,1000,,,v,CCF,2023,Apache-2.0,x
            aws,b,4,,,,One,1,1000,,nonsense,v,CCF,2023,Apache-2.0,x

            """
        let found = FactorsCheck.findings(in: [.init(file: "cloud_instances.csv", text: instances)]).filter { $0.rule != .version }
        #expect(found.contains { $0.line == 2 && $0.rule == .order && $0.column == "platform_vcpus" })
        #expect(found.contains { $0.line == 3 && $0.rule == .word && $0.column == "flags" })
        let regions =
            "vendor,region,country,zone,pue,wue_l_per_kwh,version,source,year,licence,basis\naws,x,US,US,0.9,,1,CCF,2024,Apache-2.0,x\n"
        #expect(
            FactorsCheck.findings(in: [.init(file: "cloud_regions.csv", text: regions)]).contains {
                $0.column == "pue" && $0.rule == .range
            }
        )
    }
}

@Suite("Versions of factor tables never change in place")
struct FactorVersionTests {
    static func check(_ rows: [String], recorded: [String]) -> [FactorFinding] {
        let table = ([FactorsCheckTests.header] + rows).joined(separator: "\n") + "\n"
        let versions = (["table,version,rows,checksum,since"] + recorded).joined(separator: "\n") + "\n"
        return FactorsCheck.findings(in: [.init(file: "zone_intensity.csv", text: table), .init(file: "versions.csv", text: versions)])
            .filter { $0.rule == .version }
    }

    /// What a finding says is to be recorded.
    static func record(_ rows: [String]) throws -> [String] {
        try check(rows, recorded: ["x,1,1,0,2026-01-01"]).compactMap { finding -> String? in
            guard finding.file == "zone_intensity.csv" else { return nil }
            let line = try #require(finding.expected.split(separator: " ").last)
            return String(line.replacing("DATE", with: "2026-01-01"))
        }
    }

    @Test("a version that is not recorded is a finding that tells what to record; then there is none")
    func recorded() throws {
        let record = try Self.record([FactorsCheckTests.row])
        #expect(record.count == 1)
        #expect(Self.check([FactorsCheckTests.row], recorded: record).isEmpty)
    }

    @Test("a changed figure, a dropped and an added row are findings; a new version beside the old one is not")
    func inPlace() throws {
        let record = try Self.record([FactorsCheckTests.row])
        let changed = FactorsCheckTests.changed(4, to: "350.8")
        #expect(Self.check([changed], recorded: record).first?.expected.contains("give changed rows a new version") == true)
        #expect(Self.check([FactorsCheckTests.row, FactorsCheckTests.changed(0, to: "US-NV")], recorded: record).count == 1)
        #expect(
            Self.check([FactorsCheckTests.changed(12, to: "2")], recorded: record).map(\.file) == ["versions.csv", "zone_intensity.csv"]
        )
        let both = [FactorsCheckTests.row, FactorsCheckTests.changed(12, to: "2")]
        let second = try Self.record([FactorsCheckTests.changed(12, to: "2")])
        #expect(Self.check(both, recorded: record + second).isEmpty)
    }

    @Test("tables without a record of versions are a finding")
    func none() {
        let table = FactorsCheckTests.header + "\n" + FactorsCheckTests.row + "\n"
        let findings = FactorsCheck.findings(in: [.init(file: "zone_intensity.csv", text: table)])
        #expect(findings.map(\.rule) == [.version])
    }
}
