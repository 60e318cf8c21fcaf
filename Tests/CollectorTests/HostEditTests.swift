import Energy
import Postgres
import Store
import Testing

@testable import Collector

@Suite struct HostEditTests {
    private static func edits(_ farm: Farm) -> HostEdits { HostEdits(now: { [clock = farm.clock] in clock.now }) }

    private static func job(_ id: String, host: String, _ start: String, _ end: String) -> String {
        #"{"id": "\#(id)", "host": "\#(host)", "started_at": "\#(start)", "finished_at": "\#(end)"}"#
    }

    private static func hosts(_ farm: Farm) async throws -> [String: String] {
        let rows = try await farm.connection.query(
            Statement("job_hosts", "SELECT k.id, h.name FROM span_key k JOIN host h USING (host_id)")
        )
        return Dictionary(uniqueKeysWithValues: try rows.map { (try $0.string("id"), try $0.string("name")) })
    }

    @Test func aRenamedHostsAgentAndJobsGoOn() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "ip-10-0-0-7")
            var reporter = Reporter(host: "ip-10-0-0-7")
            _ = try await farm.commit(reporter.batch(energy: [knot(0, 0)]), token: token)
            try await Self.edits(farm).rename("IP-10-0-0-7", to: "bremusa", farm.connection)
            #expect(try await farm.commit(reporter.batch(energy: [knot(10, 5)]), token: token) == .acknowledged(sequence: 2))
            #expect(try await farm.count("host") == 1)
            try await farm.post(Self.job("1", host: "ip-10-0-0-7", "2026-09-01T09:00:00Z", "2026-09-01T09:00:05Z"))
            #expect(try await Self.hosts(farm) == ["1": "bremusa"])
            // Back again: the old name is no alias any more, the other is.
            try await Self.edits(farm).rename("bremusa", to: "ip-10-0-0-7", farm.connection)
            #expect(try await HostTable.find(name: "bremusa", farm.connection)?.name == "ip-10-0-0-7")
            #expect(try await farm.count("host_alias") == 1)
            #expect(try await farm.count("audit") == 2)
        }
    }

    @Test func aMergedHostKeepsTheHoursItMeteredAndGivesAwayTheRest() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(4 * 3_600)
            let old = try await farm.token("old", host: "vm.example")
            let new = try await farm.token("new", host: "vm")
            var oldAgent = Reporter(host: "vm.example")
            var newAgent = Reporter(host: "vm")
            _ = try await farm.commit(oldAgent.batch(energy: [knot(0, 0), knot(1_800, 180_000)]), token: old)
            _ = try await farm.commit(newAgent.batch(energy: [knot(3_600, 0), knot(7_200, 360_000)]), token: new)
            try await farm.post(Self.job("metered", host: "vm.example", "2026-09-01T09:00:00Z", "2026-09-01T09:20:00Z"))
            try await farm.post(Self.job("later", host: "vm.example", "2026-09-01T10:10:00Z", "2026-09-01T10:20:00Z"))
            try await farm.account()
            #expect(try await Self.hosts(farm) == ["metered": "vm.example", "later": "vm.example"])
            #expect(try await Self.edits(farm).merge("vm.example", into: "vm", farm.connection) == 1)
            let expected = ["metered": "vm.example", "later": "vm"]
            #expect(try await Self.hosts(farm) == expected)
            try await farm.account()
            // What comes in again stays where it belongs, and the old agent's readings are the new host's.
            try await farm.post(Self.job("metered", host: "vm.example", "2026-09-01T09:00:00Z", "2026-09-01T09:20:00Z"))
            try await farm.post(Self.job("new", host: "VM.example", "2026-09-01T11:10:00Z", "2026-09-01T11:20:00Z"))
            #expect(try await Self.hosts(farm) == expected.merging(["new": "vm"]) { $1 })
            #expect(try await farm.commit(oldAgent.batch(energy: [knot(7_300, 5)]), token: old) == .conflict)
            var again = Reporter(host: "vm.example", incarnation: String(repeating: "d", count: 32), origin: 8)
            #expect(try await farm.commit(again.batch(energy: [knot(7_300, 5)]), token: old) == .acknowledged(sequence: 1))
            #expect(try await farm.count("host") == 2)
            // Said again, nothing is left to move, and the hours of its own stay.
            #expect(try await Self.edits(farm).merge("vm.example", into: "vm", farm.connection) == 0)
            #expect(try await Self.hosts(farm) == expected.merging(["new": "vm"]) { $1 })
            #expect(try await farm.count("audit") == 1)
            // Broken off between the change and its jobs: the rest moves when it is said again.
            _ = try await farm.connection.execute(
                Statement(
                    "not_moved",
                    "UPDATE span_key SET host_id = (SELECT host_id FROM host WHERE name = 'vm.example') WHERE id = 'later'"
                )
            )
            #expect(try await Self.edits(farm).merge("vm.example", into: "vm", farm.connection) == 1)
            #expect(try await Self.hosts(farm) == expected.merging(["new": "vm"]) { $1 })
            try await HostTable.make(name: "third", farm.connection)
            await #expect(throws: HostEdits.Refusal.self) { try await Self.edits(farm).merge("vm.example", into: "third", farm.connection) }
            await #expect(throws: HostEdits.Refusal.self) { try await Self.edits(farm).retire("vm.example", undo: true, farm.connection) }
        }
    }

    @Test func aJobThatWaitsJoinsTheHostThatGetsItsName() async throws {
        try await Farm.with { farm in
            try await HostTable.make(name: "bremusa", farm.connection)
            try await farm.post(Self.job("1", host: "Old-Name", "2026-09-01T09:00:00Z", "2026-09-01T09:01:00Z"))
            try await farm.account()
            #expect(try await Self.hosts(farm) == [:])
            #expect(try await Self.edits(farm).addAlias("old-name", to: "bremusa", farm.connection))
            #expect(try await !Self.edits(farm).addAlias("OLD-name", to: "bremusa", farm.connection))
            try await farm.account()
            #expect(try await Self.hosts(farm) == ["1": "bremusa"])
            try await HostTable.make(name: "other", farm.connection)
            await #expect(throws: HostEdits.Refusal.self) {
                _ = try await Self.edits(farm).addAlias("old-name", to: "other", farm.connection)
            }
            try await Self.edits(farm).removeAlias("old-name", from: "bremusa", farm.connection)
            #expect(try await Self.edits(farm).addAlias("old-name", to: "other", farm.connection))
        }
    }

    @Test func aRunnersJobsMoveWhenItIsSaidWhereItWas() async throws {
        try await Farm.with { farm in
            try await HostTable.make(name: "r", farm.connection)
            try await HostTable.make(name: "bremusa", farm.connection)
            try await farm.post(
                #"{"id": "1", "runner": "R", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T09:01:00Z"}"#
            )
            #expect(try await Self.hosts(farm) == ["1": "r"])
            let edits = Self.edits(farm)
            #expect(try await edits.setRunner("r", host: "bremusa", instance: "", from: at(60), to: nil, farm.connection) == 0)
            #expect(try await edits.setRunner("r", host: "bremusa", instance: "", from: at(0), to: nil, farm.connection) == 1)
            #expect(try await Self.hosts(farm) == ["1": "bremusa"])
            _ = try await farm.connection.execute(
                Statement("not_moved", "UPDATE span_key SET host_id = (SELECT host_id FROM host WHERE name = 'r')")
            )
            #expect(try await edits.setRunner("r", host: "bremusa", instance: "", from: at(0), to: nil, farm.connection) == nil)
            #expect(try await Self.hosts(farm) == ["1": "bremusa"])
        }
    }
}
