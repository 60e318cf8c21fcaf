import Documents
import Energy
import Postgres
import Store
import Testing

@testable import Collector

@Suite struct HostImportTests {
    private static let yaml = """
        hosts:
          - name: bremusa
            aliases: [bremusa.ocamllabs.io]
            runners: [fast-1, {name: fast-2, instance: github.com, from: 2026-01-01, to: 2026-02-01}]
            site: Cambridge
            zone: GB
            pue: 1.4
            threads: 256
            ram: 512 GiB
            disks: [2 x 1 TB]
            pool: linux
            slots: 16
            cloud: {vendor: own, region: cam}
          - name: vm-1
            parent: bremusa
        classes:
          - {name: github/ubuntu-24.04-x64, from: 2026-01-01, vcpus: 4, memory_gib: 16, idle_w: 2, max_w: 12, low_w: 1, high_w: 30, utilisation: 0.4, source: us, year: 2026}
        """

    private static func apply(_ text: String, dryRun: Bool = false, _ farm: Farm) async throws
        -> [HostImport.Change]
    {
        try await HostImport.apply(try HostFile(text: text, name: "hosts.yaml"), dryRun: dryRun, now: farm.clock.now, farm.connection)
    }

    @Test func aFileIsBroughtInOnceAndTwiceChangesNothing() async throws {
        try await Farm.with { farm in
            let told = try await Self.apply(Self.yaml, dryRun: true, farm)
            #expect(try await farm.count("host") == 0)
            let done = try await Self.apply(Self.yaml, farm)
            #expect(done == told)
            #expect(done.contains { $0.subject == "bremusa" && $0.field == "grid_zone" && $0.before == "" && $0.after == "GB" })
            #expect(try await Self.apply(Self.yaml, farm) == [])
            #expect(try await farm.count("audit") == 3)

            let host = try #require(try await HostTable.find(name: "BREMUSA.ocamllabs.io", farm.connection))
            #expect(host.name == "bremusa" && host.pool == "linux")
            #expect(try await HostTable.find(name: "vm-1", farm.connection)?.parentID == host.id)
            let record = try #require(try await HostRecordTable.latest(farm.connection)[host.id]?.object)
            #expect(record["ram_bytes"] == .integer(512 << 30))
            #expect(record["cloud"]?.object?["region"] == .string("cam"))
            #expect(try await HostClasses.find(name: "github/ubuntu-24.04-x64", at: at(0), farm.connection)?.source == "us")
            let before = try #require(RFC3339.parse("2025-12-31T23:59:59Z"))
            #expect(try await HostClasses.find(name: "github/ubuntu-24.04-x64", at: before, farm.connection)?.source != "us")
            let names = HostResolution.Names(host: nil, hostname: nil, runner: "fast-1", instance: "", at: at(0))
            #expect(try await HostResolution.find(names, farm.connection)?.host.id == host.id)
        }
    }

    @Test func aRecordCountsFromItsDayOnAndItsHoursAreAccountedAnew() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            // 100 W for two hours.
            farm.clock.now = at(7_800)
            _ = try await farm.commit(
                reporter.batch(energy: [knot(0, 0), knot(3_600, 360_000), knot(7_200, 720_000)]),
                token: token
            )
            try await farm.account()
            func pue() async throws -> [Double] {
                try await farm.connection.query(Statement("pues", "SELECT pue FROM host_hour WHERE component = 'cpu' ORDER BY hour")).map {
                    try $0.double("pue")
                }
            }
            #expect(try await pue() == [1, 1])
            _ = try await Self.apply("hosts: [{name: bremusa, pue: 1.5, zone: FR, from: 2026-09-01T10:00:00Z}]", farm)
            #expect(try await WorkQueue.depth(farm.connection) == 1)
            try await farm.account()
            #expect(try await pue() == [1, 1.5])
            // A site's name is in no figure.
            _ = try await Self.apply("hosts: [{name: bremusa, pue: 1.5, zone: FR, site: Lyon, from: 2026-09-01T10:00:00Z}]", farm)
            #expect(try await WorkQueue.depth(farm.connection) == 0)
        }
    }

    @Test(arguments: [
        ("hosts:\n  - name: a\n    colour: red\n", "hosts.yaml, line 3: field colour"),
        ("hosts:\n  - name: a\n    pue: 0.5\n", "hosts.yaml, line 3: field pue: expected a number from 1.0"),
        ("hosts:\n  - zone: GB\n", "hosts.yaml, line 2: field name"),
        ("hosts:\n  - name: a\n    from: yesterday\n", "hosts.yaml, line 3: field from"),
        ("hosts:\n  - name: a\n    cloud: {planet: mars}\n", "hosts.yaml, line 3: field planet"),
        ("machines: []\n", "hosts.yaml, line 1: expected hosts, classes or pools"),
        ("classes:\n  - {name: c, vcpus: many}\n", "hosts.yaml, line 2: field"),
        ("hosts: [\n", "hosts.yaml: expected YAML"),
    ])
    func aFaultNamesItsLineAndField(text: String, expected: String) {
        do {
            _ = try HostFile(text: text, name: "hosts.yaml")
            Issue.record("taken: \(text)")
        } catch {
            #expect("\(error)".contains(expected), "\(error)")
        }
    }

    @Test func listsOfMachinesThatWereNotWrittenForThisAreRead() throws {
        let table = """
            fqdn,ip,manufacturer,model,os,location,pool
            bremusa.ocamllabs.io,192.0.2.1,Dell,R6525,Ubuntu,Cambridge,linux-x86_64
            """
        let row = try #require(try HostFile(text: table, name: "machines.csv").hosts.first)
        #expect(row.name == "bremusa.ocamllabs.io")
        #expect(row.record["model"] == .string("Dell R6525") && row.record["site"] == .string("Cambridge"))
        #expect(!row.record.values.contains(.string("192.0.2.1")))

        let page = """
            ---
            name: bremusa
            fqdn: bremusa.ocamllabs.io
            manufacturer: Dell
            model: R6525
            serial: X1
            threads: 256
            processor: AMD EPYC 7702
            disks:
              - 1 TB
              - 2 TB
            latitude: 52.2
            notes:
            ---
            Text for people.
            """
        let host = try #require(try HostFile(text: page, name: "bremusa.md").hosts.first)
        #expect(host.name == "bremusa" && host.aliases == ["bremusa.ocamllabs.io"])
        #expect(host.record["cpu"] == .string("AMD EPYC 7702") && host.record["disks"]?.array?.count == 2)
        #expect(throws: HostFile.Fault.self) { try HostFile(text: "name: a\n", name: "a.md") }

        let own = "name,aliases,runners,pue,cloud.vendor\na,b;c,r1;r2@github.com,1.2,aws\n"
        let mine = try #require(try HostFile(text: own, name: "own.csv").hosts.first)
        #expect(mine.aliases == ["b", "c"] && mine.runners.map(\.instance) == ["", "github.com"])
        #expect(mine.record["cloud"] == .object(["vendor": .string("aws")]))
    }

    @Test func aNameThatAnotherHostHasAndAParentThatRunsOnItsChildAreRefusedWhole() async throws {
        try await Farm.with { farm in
            _ = try await Self.apply("hosts: [{name: a, aliases: [x]}, {name: b, parent: a}]", farm)
            await #expect(throws: HostFile.Fault.self) { try await Self.apply("hosts: [{name: c}, {name: d, aliases: [x]}]", farm) }
            await #expect(throws: HostFile.Fault.self) { try await Self.apply("hosts: [{name: a, parent: b}]", farm) }
            await #expect(throws: HostFile.Fault.self) { try await Self.apply("hosts: [{name: a, parent: a}]", farm) }
            await #expect(throws: HostFile.Fault.self) { try await Self.apply("hosts: [{name: e, parent: nobody}]", farm) }
            #expect(try await farm.count("host") == 2)
        }
    }
}
