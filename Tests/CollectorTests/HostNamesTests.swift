import Energy
import Postgres
import Store
import Testing
import Wire

@testable import Collector

/// What agents say of their machines' names and runners.
@Suite struct HostNamesTests {
    private static func facts(_ host: String, names: [String] = [], runners: [String] = [], boot: String = "b", start: Double = 0)
        -> WireReadingsBatch
    {
        var reporter = Reporter(host: host, boot: boot, origin: UInt64(boot.utf8.first ?? 7))
        var batch = reporter.batch(energy: [knot(start, 0), knot(start + 10, 500)])
        batch.facts.names = names
        batch.facts.runners = runners.map { name in
            var runner = WireRunner()
            runner.name = name
            runner.instance = "github.com"
            return runner
        }
        return batch
    }

    private static func resolve(_ farm: Farm, host: String? = nil, runner: String? = nil, at instant: Timestamp) async throws -> String? {
        let names = HostResolution.Names(host: host, hostname: nil, runner: runner, instance: "https://github.com", at: instant)
        return try await HostResolution.find(names, farm.connection)?.host.name
    }

    @Test func aMachineIsFoundByWhatItsAgentCallsItAndNobodyTakesAnothersName() async throws {
        try await Farm.with { farm in
            let a = try await farm.token("a", host: "bremusa")
            let b = try await farm.token("b", host: "copy")
            _ = try await farm.commit(Self.facts("bremusa", names: ["Bremusa.ocamllabs.io", "localhost"]), token: a)
            _ = try await farm.commit(Self.facts("copy", names: ["bremusa.ocamllabs.io", "bremusa", "copy-2", "localhost"]), token: b)
            #expect(try await Self.resolve(farm, host: "BREMUSA.ocamllabs.io", at: at(0)) == "bremusa")
            #expect(try await Self.resolve(farm, host: "copy-2", at: at(0)) == "copy")
            #expect(try await Self.resolve(farm, host: "localhost", at: at(0)) == nil)
            let contested = try await HostAliasTable.contested(farm.connection)
            #expect(contested.map(\.name) == ["bremusa", "bremusa.ocamllabs.io"])
            #expect(contested.allSatisfy { $0.host == "copy" && $0.holder == "bremusa" })
        }
    }

    @Test func anAgentCannotDrawAnothersReadingsToItselfByAName() async throws {
        try await Farm.with { farm in
            let a = try await farm.token("a", host: "greedy")
            _ = try await farm.commit(Self.facts("greedy", names: ["victim"]), token: a)
            let b = try await farm.token("b", host: "victim")
            _ = try await farm.commit(Self.facts("victim"), token: b)
            #expect(try await farm.count("host") == 2)
            #expect(try await Self.resolve(farm, host: "victim", at: at(0)) == "victim")
        }
    }

    @Test func aRunnerThatMovesWasWhereItWasAndIsWhereItIs() async throws {
        try await Farm.with { farm in
            let a = try await farm.token("a", host: "first")
            let b = try await farm.token("b", host: "second")
            _ = try await farm.commit(Self.facts("first", runners: ["fast-1", "slow-1"]), token: a)
            // From an hour before the first reading on.
            #expect(try await Self.resolve(farm, runner: "Fast-1", at: at(-3_600)) == "first")
            #expect(try await Self.resolve(farm, runner: "fast-1", at: at(-3_601)) == nil)
            // The first one's agent has lost its word on the runner by then.
            try await Self.wasHeard("first", at: at(1_000), farm)
            _ = try await farm.commit(Self.facts("second", runners: ["fast-1"], start: 1_000), token: b)
            #expect(try await Self.resolve(farm, runner: "fast-1", at: at(999)) == "first")
            #expect(try await Self.resolve(farm, runner: "fast-1", at: at(1_000)) == "second")
            #expect(try await Self.resolve(farm, runner: "slow-1", at: at(1_000)) == "first")
            // A registration that is gone has ended.
            var again = Self.facts("first", runners: [], boot: "c", start: 2_000)
            again.incarnation = String(repeating: "e", count: 32)
            _ = try await farm.commit(again, token: a)
            #expect(try await Self.resolve(farm, runner: "slow-1", at: at(1_999)) == "first")
            #expect(try await Self.resolve(farm, runner: "slow-1", at: at(2_000)) == nil)
            #expect(try await Self.resolve(farm, runner: "fast-1", at: at(2_000)) == "second")
        }
    }

    private static func wasHeard(_ host: String, at instant: Timestamp, _ farm: Farm) async throws {
        _ = try await farm.connection.execute(
            Statement("was_heard", "UPDATE host SET seen_at = $2 WHERE name = $1"),
            [.text(host), .timestamptz(microseconds: instant.microseconds)]
        )
    }

    @Test func noAgentTakesTheRunnerOfAMachineThatIsHeardOf() async throws {
        try await Farm.with { farm in
            let (a, b) = (try await farm.token("a", host: "victim"), try await farm.token("b", host: "greedy"))
            _ = try await farm.commit(Self.facts("victim", runners: ["fast-1"]), token: a)
            var greedy = Self.facts("greedy", runners: ["fast-1", "victim", "own"], start: 1_000)
            _ = try await farm.commit(greedy, token: b)
            for (runner, host) in [("fast-1", "victim"), ("victim", "victim"), ("own", "greedy")] {
                #expect(try await Self.resolve(farm, runner: runner, at: at(1_000)) == host)
            }
            let contested = try await RunnerMap.contested(farm.connection)
            #expect(
                contested.map { "\($0.runner) \($0.instance) \($0.host) \($0.holder)" } == [
                    "fast-1 github.com greedy victim", "victim github.com greedy victim",
                ]
            )

            // A machine that is silent for a day gives way, but not in the time in which it was heard of, whatever the other's readings say.
            try await Self.wasHeard("victim", at: at(2_000), farm)
            greedy = Self.facts("greedy", runners: ["fast-1"], boot: "c", start: 1_500)
            greedy.incarnation = String(repeating: "e", count: 32)
            _ = try await farm.commit(greedy, token: b)
            #expect(try await Self.resolve(farm, runner: "fast-1", at: at(1_999)) == "victim")
            #expect(try await Self.resolve(farm, runner: "fast-1", at: at(2_000)) == "greedy")
            // Its agent has not said that the runner is gone.
            let left = try await RunnerMap.contested(farm.connection).map { "\($0.runner) \($0.host) \($0.holder)" }
            #expect(left == ["fast-1 victim greedy"])
            // Nobody takes it back while the other is heard of; once that is silent, it goes back without another word.
            func settle() async throws { _ = try await RunnerMap.settleContested(now: at(9_000), farm.connection) }
            _ = try await farm.connection.execute(Statement("victim_is_back", "UPDATE host SET seen_at = now() WHERE name = 'victim'"))
            try await settle()
            #expect(try await Self.resolve(farm, runner: "fast-1", at: at(9_000)) == "greedy")
            try await Self.wasHeard("greedy", at: at(9_000), farm)
            try await settle()
            #expect(try await Self.resolve(farm, runner: "fast-1", at: at(8_999)) == "greedy")
            #expect(try await Self.resolve(farm, runner: "fast-1", at: at(9_000)) == "victim")
        }
    }

    @Test func anOperatorsWordOfARunnerComesBeforeAnAgents() async throws {
        try await Farm.with { farm in
            let a = try await farm.token("a", host: "first")
            _ = try await farm.commit(Self.facts("first", runners: ["r"]), token: a)
            try await HostTable.make(name: "second", farm.connection)
            let edits = HostEdits(now: { [clock = farm.clock] in clock.now })
            #expect(try await edits.setRunner("r", host: "second", instance: "", from: nil, to: nil, farm.connection) == 0)
            #expect(try await Self.resolve(farm, runner: "r", at: at(0)) == "second")
            #expect(try await edits.setRunner("r", host: "second", instance: "", from: nil, to: nil, farm.connection) == nil)
        }
    }

    @Test func aSilentEnrolledHostRetiresAndIsBackWithItsNextBatch() async throws {
        try await Farm.with { farm in
            let a = try await farm.token("a", host: "pod")
            var reporter = Reporter(host: "pod")
            _ = try await farm.commit(reporter.batch(energy: [knot(0, 0)]), token: a)
            let quiet = Statement("quiet", "UPDATE host SET is_ephemeral = true, seen_at = now() - interval '25 hours'")
            _ = try await farm.connection.execute(quiet)
            #expect(try await HostTable.retireSilent(farm.connection) == 1)
            #expect(try await HostTable.retireSilent(farm.connection) == 0)
            #expect(try await HostTable.find(name: "pod", farm.connection)?.retiredBecause == "silent")
            _ = try await farm.commit(reporter.batch(energy: [knot(10, 5)]), token: a)
            #expect(try await HostTable.find(name: "pod", farm.connection)?.retiredAtMicroseconds == nil)
        }
    }
}
