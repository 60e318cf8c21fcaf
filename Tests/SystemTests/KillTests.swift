import Foundation
import Postgres
import TestSupport
import Testing

/// Whatever is killed or cut, whenever: the energy in the database is the energy that was used, per meter, to the microjoule.
@Suite(.serialized) struct KillTests {
    /// Rounds of the short run, and of `ops/test --long`; `ops/test --only kill` may say otherwise.
    private static func rounds(short: Int, long: Int) -> Int {
        ProcessInfo.processInfo.environment["WATTLE_KILL_ROUNDS"].flatMap { Int($0) } ?? LongRun.rounds(short: short, long: long)
    }

    private static var seed: UInt64 { ProcessInfo.processInfo.environment["WATTLE_KILL_SEED"].flatMap { UInt64($0) } ?? 6 }

    /// Agents, made-up load, collectors and a Postgres, with a network between each two that can be cut.
    struct Farm {
        let scratch: Scratch
        let database: DatabaseServer
        /// Between agents and collectors.
        let door: Relay
        /// Between collectors and Postgres.
        let cable: Relay
        let collectors: [KillCollector]
        let hosts: [KillHost]
        let enrolToken: String

        var ledger: KillLedger { KillLedger(database: database) }

        static func token(_ scratch: Scratch, _ databaseURL: String, _ arguments: [String]) async throws -> String {
            let made = try await Program.run(
                "wattle-collector",
                ["token", "create", "--database-url", databaseURL] + arguments,
                in: scratch
            )
            guard made.code == 0 else { throw Timeout(what: "a token", log: made.errors) }
            return made.output.trimmingCharacters(in: .whitespacesAndNewlines)
        }

        static func with(
            collectors count: Int = 1,
            hosts: Int = 2,
            seed: UInt64,
            _ body: (Farm) async throws -> Void
        ) async throws {
            try await Scratch.with { scratch in
                // As an operator would have it: nothing is off that makes commits durable.
                let database = try await DatabaseServer.primary(scratch)
                let cable = try Relay(to: [database.port])
                let url = "postgresql://wattle@127.0.0.1:\(cable.port)/wattle"
                let collectors = try (0..<count).map { _ in try KillCollector(scratch, databaseURL: url) }
                let door = try Relay(to: collectors.map(\.port))
                for collector in collectors { try await collector.start() }
                var machines: [KillHost] = []
                for number in 0..<hosts {
                    let name = "kill-\(number)"
                    machines.append(
                        try KillHost(
                            name: name,
                            in: scratch,
                            url: "http://127.0.0.1:\(door.port)",
                            token: try await token(scratch, url, ["--scope", "agent", "--name", name, "--host", name]),
                            seed: seed &* 31 &+ UInt64(number)
                        )
                    )
                }
                let farm = Farm(
                    scratch: scratch,
                    database: database,
                    door: door,
                    cable: cable,
                    collectors: collectors,
                    hosts: machines,
                    enrolToken: try await token(scratch, url, ["--scope", "enrol", "--name", "load", "--pool", "load"])
                )
                for host in machines { try await host.start() }
                let result: Result<Void, any Error>
                do {
                    result = .success(try await body(farm))
                } catch {
                    for collector in collectors { print(await collector.log.suffix(3_000)) }
                    result = .failure(error)
                }
                for host in machines { try await host.kill() }
                for collector in collectors { try await collector.kill() }
                try await database.stop()
                door.close()
                cable.close()
                try result.get()
            }
        }

        /// All machines work, and load comes from others, while `body` breaks things.
        func underLoad(_ body: @Sendable () async throws -> Void) async throws {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                let load = KillLoad(scratch: scratch, url: "http://127.0.0.1:\(door.port)", token: enrolToken)
                tasks.addTask { try await load.run() }
                for host in hosts {
                    tasks.addTask {
                        do {
                            while true {
                                try await host.spend()
                                try await Task.sleep(for: .milliseconds(Int.random(in: 5...60)))
                            }
                        } catch is CancellationError {}
                    }
                }
                defer { tasks.cancelAll() }
                try await body()
            }
        }

        /// Everything runs again; what was used is there, once.
        func expectAll() async throws {
            door.mend()
            cable.mend()
            try await database.start()
            for collector in collectors { try await collector.start() }
            // What an agent sends again after a minute of waiting it also sends at its next start.
            for host in hosts {
                try await host.kill(SIGTERM)
                try await host.start()
            }
            for host in hosts { try await ledger.expectEnergy(of: host) }
            for host in hosts { try await host.kill() }
            for host in hosts { try await ledger.expectKnots(of: host) }
            let knots = try await ledger.expectLoad()
            #expect(knots > 0, "there was load")
        }
    }

    private enum Mishap: CaseIterable {
        case agent, collector, database, door, cable, everything
    }

    /// Something goes wrong for a while.
    private static func happen(_ farm: Farm, _ random: inout RandomSource) async throws {
        let mishap = Mishap.allCases.randomElement(using: &random) ?? .agent
        let fault = Relay.Fault.allCases.randomElement(using: &random) ?? .cut
        let pause = Duration.milliseconds(Int.random(in: 50...900, using: &random))
        let host = farm.hosts.randomElement(using: &random)
        let collector = farm.collectors.randomElement(using: &random)
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

    @Test func killsAndCutsAtRandomMomentsLoseNoMicrojoule() async throws {
        try await Farm.with(seed: Self.seed) { farm in
            try await farm.underLoad {
                var random = RandomSource(seed: Self.seed)
                for _ in 0..<Self.rounds(short: 10, long: 200) {
                    try await Task.sleep(for: .milliseconds(Int.random(in: 100...1_200, using: &random)))
                    try await Self.happen(farm, &random)
                }
                try await Task.sleep(for: .seconds(1))
            }
            try await farm.expectAll()
        }
    }
}
