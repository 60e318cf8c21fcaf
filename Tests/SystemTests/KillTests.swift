import Foundation
import HTTPClient
import Postgres
import Synchronization
import TestSupport
import Testing

/// Whatever is killed or cut, whenever: the energy in the database is the energy that was used, per meter, to the microjoule.
@Suite(.serialized) struct KillTests {
    /// Rounds of the short run, and of `ops/test --long`; `ops/test --only kill` may say otherwise.
    private static func rounds(short: Int, long: Int) -> Int {
        ProcessInfo.processInfo.environment["WATTLE_KILL_ROUNDS"].flatMap { Int($0) } ?? LongRun.rounds(short: short, long: long)
    }

    private static var seed: UInt64 { ProcessInfo.processInfo.environment["WATTLE_KILL_SEED"].flatMap { UInt64($0) } ?? 6 }

    /// What became of requests.
    private final class Tally: Sendable {
        private let state = Mutex<(count: Int, faults: [String])>((0, []))
        var now: (count: Int, faults: [String]) { state.withLock { $0 } }
        func count() { state.withLock { $0.count += 1 } }
        func note(_ fault: String) { state.withLock { $0.faults.append(fault) } }
    }

    private enum Mishap: CaseIterable {
        case agent, collector, database, door, cable, everything
    }

    /// Something goes wrong for a while.
    private static func happen(_ farm: KillFarm, _ random: inout RandomSource) async throws {
        let mishap = Mishap.allCases.randomElement(using: &random) ?? .agent
        let fault = Relay.Fault.allCases.randomElement(using: &random) ?? .cut
        let pause = Duration.milliseconds(Int.random(in: 50...600, using: &random))
        let host = farm.hosts.randomElement(using: &random)
        // Another, where there is one, has its own times of restart.
        let collector = farm.collectors.first
        switch mishap {
        case .agent:
            try await host?.kill()
            try await Task.sleep(for: pause)
            try await host?.start()
        case .collector:
            try await collector?.kill()
            try await Task.sleep(for: pause)
            try await collector?.start()
        case .database:
            try await farm.database.kill()
            try await Task.sleep(for: pause)
            try await farm.database.start()
        case .door, .cable:
            let relay = mishap == .door ? farm.door : farm.cable
            relay.begin(fault)
            try await Task.sleep(for: pause)
            // What was under way when it stalled comes late, or never.
            if random.chance(0.5) { relay.begin(.cut) }
            relay.mend()
        case .everything:
            farm.cable.begin(.cut)
            try await farm.database.kill()
            try await collector?.kill()
            try await host?.kill()
            try await Task.sleep(for: pause)
            try await farm.database.start()
            try await collector?.start()
            try await host?.start()
        }
    }

    /// Something goes wrong again and again.
    private static func breakThings(_ farm: KillFarm, rounds: Int, seed: UInt64) async throws {
        var random = RandomSource(seed: seed)
        for round in 0..<rounds {
            try await Task.sleep(for: .milliseconds(Int.random(in: 100...600, using: &random)))
            try await happen(farm, &random)
            if LongRun.isOn, round % 10 == 9 { print("\(round + 1) of \(rounds) rounds") }
        }
        try await Task.sleep(for: .milliseconds(500))
    }

    @Test func killsAndCutsAtRandomMomentsLoseNoMicrojoule() async throws {
        let rounds = Self.rounds(short: 10, long: 200)
        try await KillFarm.with(seed: Self.seed) { farm in
            try await farm.underLoad { try await Self.breakThings(farm, rounds: rounds, seed: Self.seed) }
            try await farm.expectAll()
        }
    }

    @Test func twoCollectorsOfWhichOneRestartsEveryFiveSecondsLoseNoMicrojoule() async throws {
        let rounds = Self.rounds(short: 3, long: 200)
        try await KillFarm.with(collectors: 2, seed: Self.seed) { farm in
            try await farm.underLoad {
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    tasks.addTask {
                        for turn in 0... {
                            do { try await Task.sleep(for: .seconds(5)) } catch is CancellationError { return }
                            if turn % 2 == 0 {
                                let (code, seconds) = try await farm.collectors[1].stop()
                                // It may stop at a moment without a database.
                                #expect([0, 1].contains(code) && seconds < 10.5, "\(code) after \(seconds) s")
                            } else {
                                try await farm.collectors[1].kill()
                            }
                            try await farm.collectors[1].start()
                        }
                    }
                    let began = ContinuousClock.now
                    try await Self.breakThings(farm, rounds: rounds, seed: Self.seed &+ 1)
                    // At least one restart, however few the rounds.
                    try await Task.sleep(until: began + .seconds(7))
                    tasks.cancelAll()
                }
            }
            try await farm.expectAll()
        }
    }

    /// A standby that lacks the last commits takes over: what agents were told is stored is lost, and they send it again.
    @Test(arguments: LongRun.isOn ? ["on", "off"] : ["off"])
    func aFailoverInMidLoadLosesNoMicrojoule(synchronousCommit: String) async throws {
        // As often as takes about as long as the kills do.
        for round in 0..<max(1, Self.rounds(short: 10, long: 200) / 20) {
            try await KillFarm.with(
                collectors: 2,
                seed: Self.seed &+ UInt64(round),
                standbyWith: ["synchronous_commit": synchronousCommit]
            ) { farm in
                let standby = try #require(farm.standby)
                try await farm.underLoad {
                    try await Task.sleep(for: .seconds(2))
                    farm.replication?.begin(.stall)
                    try await Task.sleep(for: .milliseconds(1_500))
                    let acknowledged = try await KillLedger(database: farm.database).batches()
                    try await farm.database.kill()
                    farm.replication?.begin(.unplug)
                    try await standby.promote()
                    let left = try await KillLedger(database: standby).batches()
                    #expect(left < acknowledged, "the standby lacks some")
                    try await Task.sleep(for: .seconds(2))
                }
                try await farm.expectAll(on: standby)
            }
        }
    }

    @Test func aStopWithRequestsUnderWaySlowClientsAndAccountingThatWaitsTakesLessThanTenSeconds() async throws {
        try await KillFarm.with(seed: Self.seed) { farm in
            let blocker = try await PostgresConnection.connect(to: farm.database.connectionString)
            let slow = try (0..<3).map { _ in
                try SlowClient(
                    port: farm.collectors[0].port,
                    sends: "POST /v1/readings HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
                        + "Content-Length: 1000000\r\n\r\nnot yet all"
                )
            }
            try await farm.underLoad {
                try await Task.sleep(for: .milliseconds(1_500))
                // Accounting waits for this one, for as long as it pleases, and so does who enrols.
                try await blocker.executeScript("BEGIN; LOCK TABLE span_key IN ACCESS EXCLUSIVE MODE")
                try await Task.sleep(for: .milliseconds(1_500))
                let waiting = try await farm.database.query(
                    "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'wattle-collector'"
                )
                #expect(try waiting.only().int64("n") > 0, "accounting waits")
                let (code, seconds) = try await farm.collectors[0].stop()
                #expect(code == 0)
                #expect(seconds < 10, "\(seconds) s")
                try await farm.collectors[0].start()
                try await Task.sleep(for: .seconds(1))
            }
            withExtendedLifetime(slow) {}
            await blocker.close()
            try await farm.expectAll()
        }
    }

    @Test func aRollingRestartFailsNoRequest() async throws {
        try await KillFarm.with(collectors: 2, hosts: 1, seed: Self.seed) { farm in
            let url = "postgresql://wattle@127.0.0.1:\(farm.database.port)/wattle"
            let token = try await KillFarm.token(farm.scratch, url, ["--scope", "ci", "--name", "rolling"])
            let tally = Tally()
            try await farm.underLoad {
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for lane in 0..<4 {
                        tasks.addTask {
                            let client = HTTPClient()
                            var number = 0
                            while !Task.isCancelled {
                                number += 1
                                let span = #"{"id": "rolling-\#(lane)-\#(number)", "host": "kill-0", "started_at": "2026-01-01T00:00:00Z"}"#
                                let request = HTTPRequest(
                                    method: "POST",
                                    url: "http://127.0.0.1:\(farm.door.port)/v1/spans",
                                    headers: [("Authorization", "Bearer \(token)"), ("Content-Type", "application/json")],
                                    body: Array(span.utf8)
                                )
                                do {
                                    let status = try await client.send(request).status
                                    if status == 202 { tally.count() } else { tally.note("\(status)") }
                                } catch  where Task.isCancelled {
                                    return
                                } catch {
                                    tally.note("\(error)")
                                }
                                do { try await Task.sleep(for: .milliseconds(20)) } catch is CancellationError { return }
                            }
                        }
                    }
                    for collector in farm.collectors {
                        try await Task.sleep(for: .seconds(1))
                        let (code, seconds) = try await collector.stop()
                        #expect(code == 0)
                        #expect(seconds < 10, "\(seconds) s")
                        try await collector.start()
                    }
                    try await Task.sleep(for: .seconds(1))
                    tasks.cancelAll()
                }
            }
            let (count, faults) = tally.now
            #expect(faults.isEmpty)
            #expect(count > 50)
            let stored = try await farm.database.query("SELECT count(*) AS n FROM span_key WHERE id LIKE 'rolling-%'").only().int64("n")
            #expect(stored >= count)
            try await farm.expectAll()
        }
    }

    @Test func whatOnlyReadsIsAnsweredByTheReplicaAndByThePrimaryWhereThatIsAway() async throws {
        try await KillFarm.with(
            hosts: 1,
            seed: Self.seed,
            standbyWith: [:],
            arguments: ["--read-url", "postgresql://wattle@127.0.0.1:PORT/wattle"]
        ) { farm in
            let url = "postgresql://wattle@127.0.0.1:\(farm.database.port)/wattle"
            let reader = try await KillFarm.token(farm.scratch, url, ["--scope", "read", "--name", "reader"])
            let writer = try await KillFarm.token(farm.scratch, url, ["--scope", "admin", "--name", "writer"])
            let standby = try #require(farm.standby)
            func get(_ token: String, _ headers: [(String, String)] = []) async throws -> (status: Int, asOf: String?) {
                let response = try await HTTPClient().send(
                    HTTPRequest(
                        url: farm.collectors[0].url + "/v1/jobs",
                        headers: [("Authorization", "Bearer \(token)")] + headers
                    )
                )
                return (response.status, response.headers.first { $0.name.lowercased() == "wattle-as-of" }?.value)
            }
            let answer = try await get(reader)
            #expect(answer.status == 200)
            #expect(try #require(answer.asOf).hasPrefix("20"))
            let readers = try await standby.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'wattle-collector reading'")
            #expect(!readers.isEmpty)
            // Who writes sees what was written, and so does who asks for it.
            #expect(try await get(writer).asOf == nil)
            let latest = try await get(reader, [("Cache-Control", "no-cache")])
            #expect(latest.status == 200 && latest.asOf == nil)
            try await standby.kill()
            for _ in 0..<3 {
                let instead = try await get(reader)
                #expect(instead.status == 200 && instead.asOf == nil)
            }
        }
    }
}
