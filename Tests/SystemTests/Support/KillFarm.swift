import Foundation
import TestSupport
import Testing

/// Agents, made-up load, collectors and a Postgres, with a network between each two that can be cut.
struct KillFarm {
    let scratch: Scratch
    /// Where the data are; the primary in the beginning.
    let database: DatabaseServer
    /// Follows the primary, where the farm has one.
    let standby: DatabaseServer?
    /// Between agents and collectors.
    let door: Relay
    /// Between collectors and the primary.
    let cable: Relay
    /// Between the primary and the standby.
    let replication: Relay?
    let collectors: [KillCollector]
    let hosts: [KillHost]
    let enrolToken: String

    static func token(_ scratch: Scratch, _ databaseURL: String, _ arguments: [String]) async throws -> String {
        let made = try await Program.run(
            "wattle-collector",
            ["token", "create", "--database-url", databaseURL] + arguments,
            in: scratch
        )
        guard made.code == 0 else { throw Timeout(what: "a token", log: made.errors) }
        return made.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// - Parameters:
    ///   - settings: of the primary, which then has a standby; nil: it has none.
    ///   - arguments: of the collectors; PORT stands for the standby's.
    static func with(
        collectors count: Int = 1,
        hosts: Int = 2,
        seed: UInt64,
        standbyWith settings: [String: String]? = nil,
        arguments: [String] = [],
        _ body: (KillFarm) async throws -> Void
    ) async throws {
        try await Scratch.with { scratch in
            // As an operator would have it: nothing is off that makes commits durable.
            let database = try await DatabaseServer.primary(scratch, settings: settings ?? [:])
            let cable = try Relay(to: [database.port])
            var url = "postgresql://wattle@127.0.0.1:\(cable.port)/wattle"
            var standby: DatabaseServer?
            var replication: Relay?
            if let settings {
                let relay = try Relay(to: [database.port])
                let server = try await DatabaseServer.standby(scratch, followingPort: relay.port, settings: settings)
                url = "postgresql://wattle@127.0.0.1:\(cable.port),127.0.0.1:\(server.port)/wattle?target_session_attrs=read-write"
                (standby, replication) = (server, relay)
            }
            let more = arguments.map { $0.replacingOccurrences(of: "PORT", with: "\(standby?.port ?? 0)") }
            let collectors = try (0..<count).map { _ in try KillCollector(scratch, databaseURL: url, arguments: more) }
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
            let farm = KillFarm(
                scratch: scratch,
                database: database,
                standby: standby,
                door: door,
                cable: cable,
                replication: replication,
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
            for server in [database, standby].compactMap({ $0 }) { try await server.stop() }
            for relay in [door, cable, replication].compactMap({ $0 }) { relay.close() }
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
            try await eventually("load", seconds: 60) { try await KillLedger(database: database).loadBatches() > 0 ? () : nil }
            try await body()
        }
    }

    /// Everything runs again; what was used is there, once.
    ///
    /// - Parameter server: where the data must be; nil: on the primary of the beginning.
    func expectAll(on server: DatabaseServer? = nil) async throws {
        let server = server ?? database
        let ledger = KillLedger(database: server)
        door.mend()
        cable.mend()
        try await server.start()
        for collector in collectors { try await collector.start() }
        // What an agent sends again after a minute of waiting it also sends at its next start.
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for host in hosts {
                tasks.addTask {
                    try await host.kill(SIGTERM)
                    try await host.start()
                }
            }
            try await tasks.waitForAll()
        }
        for host in hosts { try await ledger.expectEnergy(of: host) }
        for host in hosts { try await host.kill() }
        for host in hosts { try await ledger.expectKnots(of: host) }
        let knots = try await ledger.expectLoad()
        #expect(knots > 0, "there was load")
    }
}
