import CIEvents
import Documents
import Energy
import Foundation
import HTTPClient
import Logging
import Postgres
import Store
import Testing
@testable import Collector

@Suite("Reconciliation with a source's system")
struct ReconciliationTests {
    /// A GitHub on the loopback, as the tests of histories have it.
    private final class Forge {
        let port: Int
        private let process = Process()
        private let lifeline = Pipe()

        init(_ scenario: [String: Any]) throws {
            var scenario = scenario
            // An hour before the farm's clock.
            scenario["first"] = scenario["first"] ?? Farm.start.microseconds / 1_000_000
            scenario["token"] = "planted-api-token"
            let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .appending(path: "CIHistoryTests/Support/forge.py").path
            let output = Pipe()
            process.executableURL = URL(filePath: "/usr/bin/env")
            let text = String(decoding: try JSONSerialization.data(withJSONObject: scenario), as: UTF8.self)
            process.arguments = ["python3", script, text]
            process.standardInput = lifeline
            process.standardOutput = output
            try process.run()
            port = Int(String(decoding: output.fileHandleForReading.availableData, as: UTF8.self).filter(\.isNumber)) ?? 0
        }

        deinit {
            do { try lifeline.fileHandleForWriting.close() } catch { print("the forge's lifeline: \(error)") }
            process.waitUntilExit()
        }

        var url: String { "http://127.0.0.1:\(port)" }
        var instance: String { url }
    }

    private func reconciler(_ farm: Farm, _ metrics: CollectorMetrics = CollectorMetrics()) -> Reconciler {
        var log = Logger(label: "test")
        log.logLevel = .critical
        let clock = farm.clock
        return Reconciler(pool: farm.pool, log: log, now: { clock.now }, metrics: metrics)
    }

    private func source(
        _ farm: Farm,
        _ forge: Forge,
        name: String = "hub",
        claims: Claims = Claims(),
        organisation: String = "acme",
        token: String = "planted-api-token"
    ) async throws {
        _ = try await SourceTable.insert(
            name: name,
            kind: "github",
            claims: claims,
            settings: .object(["api_url": .string(forge.url), "organisation": .string(organisation)]),
            apiToken: token,
            farm.connection
        )
    }

    private func jobs(_ farm: Farm) async throws -> [String] {
        try await farm.connection.query(
            Statement(
                "test_jobs",
                "SELECT id || '/' || attempt AS job FROM span_key WHERE started_at IS NOT NULL ORDER BY length(id), id, attempt"
            )
        ).map { try $0.string("job") }
    }

    @Test("jobs that no webhook told of appear once, each round changes nothing more, and what was mended is counted")
    func missed() async throws {
        try await Farm.with { farm in
            let forge = try Forge(["repositories": 2, "runs": 4])
            try await source(farm, forge)
            let metrics = CollectorMetrics()
            let reconciler = reconciler(farm, metrics)
            _ = try await reconciler.reconcileAll()
            let found = try await jobs(farm)
            #expect(found == ["1100/1", "2100/1", "4100/1", "5100/1", "5200/2", "7100/1", "8100/1"])
            #expect(metrics.jobsReconciled.total == 7)
            let row = try #require(try await SourceTable.find(name: "hub", farm.connection))
            #expect(row.reconciledAt == farm.clock.now)
            #expect(row.reconcileError == nil)
            #expect(try await RepositoryTable.isPrivate(name: "127.0.0.1:\(forge.port)/acme/r1", farm.connection) == true)
            #expect(try await RepositoryTable.isPrivate(name: "127.0.0.1:\(forge.port)/acme/r0", farm.connection) == false)

            farm.clock.now = farm.clock.now + .hour
            _ = try await reconciler.reconcileAll()
            #expect(try await jobs(farm) == found)
            #expect(metrics.jobsReconciled.total == 7)
        }
    }

    @Test("a job whose end was lost is asked for by its run, however long ago it was made")
    func openJob() async throws {
        try await Farm.with { farm in
            // Three days ago: longer than a round looks back.
            let forge = try Forge(["runs": 1, "first": Farm.start.microseconds / 1_000_000 - 3 * 86_400])
            try await source(farm, forge)
            var event = JobEvent(
                instance: forge.instance,
                id: "1100",
                attempt: 1,
                phase: .started,
                eventTime: Farm.start,
                fields: [
                    "repository": "acme/r0", "run_id": "1", "runner": "bw-07",
                    "started_at": .string(RFC3339.format(Farm.start - Microseconds(3 * Microseconds.day.count))),
                ]
            )
            event.revision = 0
            let write = SpanWrite(event)
            let clock = farm.clock
            _ = try await farm.connection.transaction { tx in
                try await SpanIntake(now: { clock.now }).accept(write, source: "hub", tx)
            }
            let metrics = CollectorMetrics()
            _ = try await reconciler(farm, metrics).reconcileAll()
            let ended = try await farm.connection.query(
                Statement(
                    "test_open",
                    "SELECT count(*) AS n FROM span_key WHERE finished_at IS NOT NULL AND document ->> 'outcome' = 'success'"
                )
            ).only().int64("n")
            #expect(ended == 1)
            #expect(metrics.jobsReconciled.total == 1)
        }
    }

    @Test("a round that is told to wait keeps its place, and the next goes on from there")
    func waits() async throws {
        try await Farm.with { farm in
            let forge = try Forge(["repositories": 2, "runs": 4, "faults": ["5": ["status": 429, "headers": ["Retry-After": "600"]]]])
            try await source(farm, forge)
            let reconciler = reconciler(farm)
            #expect(try await reconciler.reconcileAll() == .seconds(600))
            let some = try await jobs(farm)
            #expect(some.count == 2)
            // Too early: nothing is asked.
            farm.clock.now = farm.clock.now + .seconds(60)
            #expect(try await reconciler.reconcileAll() == .seconds(540))
            #expect(try await jobs(farm) == some)
            farm.clock.now = farm.clock.now + .seconds(541)
            #expect(try await reconciler.reconcileAll() == nil)
            #expect(try await jobs(farm).count == 7)
        }
    }

    @Test("of many collectors one takes a source; the others leave it alone")
    func shared() async throws {
        try await Farm.with { farm in
            let forge = try Forge(["runs": 2])
            try await source(farm, forge)
            let row = try #require(try await SourceTable.find(name: "hub", farm.connection))
            #expect(try await ReconciliationTable.take(sourceID: row.id, farm.connection))
            _ = try await reconciler(farm).reconcileAll()
            #expect(try await jobs(farm).isEmpty)
            try await ReconciliationTable.giveBack(sourceID: row.id, farm.connection)
            _ = try await reconciler(farm).reconcileAll()
            #expect(try await jobs(farm).count == 2)
        }
    }

    @Test("a source's claims hold for what its system says, too")
    func claims() async throws {
        try await Farm.with { farm in
            let forge = try Forge(["repositories": 2, "runs": 4])
            var claims = Claims()
            claims.repositories = ["*/acme/r1"]
            try await source(farm, forge, claims: claims)
            _ = try await reconciler(farm).reconcileAll()
            #expect(try await jobs(farm) == ["5100/1", "5200/2", "7100/1", "8100/1"])
            #expect(try await RepositoryTable.isPrivate(name: "127.0.0.1:\(forge.port)/acme/r0", farm.connection) == nil)
        }
    }

    @Test("what went wrong is told with the source, without its token, and the other sources are reconciled")
    func failures() async throws {
        try await Farm.with { farm in
            let forge = try Forge(["runs": 2])
            try await source(farm, forge, name: "a-wrong", token: "another-api-token")
            try await source(farm, forge, name: "b-right")
            _ = try await reconciler(farm).reconcileAll()
            let wrong = try #require(try await SourceTable.find(name: "a-wrong", farm.connection))
            #expect(wrong.reconcileError?.contains("does not know the token") == true, "\(wrong.reconcileError ?? "")")
            #expect(wrong.reconcileError?.contains("another-api-token") == false)
            #expect(try wrong.reconcileState.text.contains("another-api-token") == false)
            #expect(wrong.reconciledAt == nil)
            #expect(try await jobs(farm).count == 2)
        }
    }
}
