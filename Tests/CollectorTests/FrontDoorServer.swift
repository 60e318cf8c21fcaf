import CIEvents
import Crypto
import Documents
import HTTPClient
import Logging
import Postgres
import ServiceLifecycle
import Store
import Synchronization
@testable import Collector

/// A collector over real HTTP, on a farm's database, with the farm's clock.
final class FrontDoorServer: Sendable {
    let client = HTTPClient()
    let url: String
    let log: LogLines

    private init(port: Int, log: LogLines) {
        url = "http://127.0.0.1:\(port)"
        self.log = log
    }

    static func with<T: Sendable>(_ farm: Farm, _ body: (FrontDoorServer) async throws -> T) async throws -> T {
        let lines = LogLines()
        let (ports, listening) = AsyncStream.makeStream(of: Int.self)
        let clock = farm.clock
        let services = try CollectorServices(
            pool: farm.pool,
            host: "127.0.0.1",
            port: 0,
            baseURL: "http://127.0.0.1",
            log: lines.logger,
            now: { clock.now },
            onListening: { listening.yield($0) }
        )
        var configuration = ServiceGroupConfiguration(services: services.services, logger: lines.logger)
        configuration.maximumGracefulShutdownDuration = .seconds(5)
        let group = ServiceGroup(configuration: configuration)
        async let running: Void = group.run()
        var port = 0
        for await first in ports {
            port = first
            break
        }
        let result: Result<T, any Error>
        do {
            result = .success(try await body(FrontDoorServer(port: port, log: lines)))
        } catch {
            result = .failure(error)
        }
        await group.triggerGracefulShutdown()
        try await running
        return try result.get()
    }

    func send(
        _ method: String = "POST",
        _ path: String,
        headers: [(String, String)] = [],
        body: [UInt8] = []
    ) async throws -> HTTPResponse {
        try await client.send(HTTPRequest(method: method, url: url + path, headers: headers, body: body))
    }

    /// A delivery as GitHub signs it.
    func deliver(
        _ body: String,
        to source: String,
        secret: String,
        id: String = "d-1",
        event: String = "workflow_job"
    ) async throws -> HTTPResponse {
        let bytes = Array(body.utf8)
        return try await send(
            "POST",
            "/v1/hooks/github/\(source)",
            headers: [
                ("Content-Type", "application/json"), ("X-GitHub-Event", event), ("X-GitHub-Delivery", id),
                ("X-Hub-Signature-256", "sha256=" + Self.signature(bytes, secret)),
            ],
            body: bytes
        )
    }

    static func signature(_ body: [UInt8], _ secret: String) -> String {
        HMAC<SHA256>.authenticationCode(for: body, using: SymmetricKey(data: Array(secret.utf8))).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    /// A completed job, as GitHub tells of it.
    static func job(
        id: Int = 51,
        run: Int = 17,
        repository: String = "tidepool/mirror",
        isPrivate: Bool = false,
        runner: String = "bw-07",
        name: String = "build",
        branch: String = "main"
    ) -> String {
        """
        {"action":"completed","workflow_job":{"id":\(id),"run_id":\(run),"run_attempt":1,"name":"\(name)","workflow_name":"ci",\
        "head_sha":"9f2c41d7a6b08e5534c1f0de77ab92c3e8d10b46","head_branch":"\(branch)","status":"completed","conclusion":"success",\
        "created_at":"2026-09-01T09:00:02Z","started_at":"2026-09-01T09:00:10Z","completed_at":"2026-09-01T09:04:55Z",\
        "labels":["self-hosted"],"runner_id":7,"runner_name":"\(runner)","runner_group_id":1,"runner_group_name":"default","steps":[]},\
        "repository":{"id":700,"name":"mirror","full_name":"\(repository)","html_url":"https://github.com/\(repository)",\
        "private":\(isPrivate),"visibility":"\(isPrivate ? "private" : "public")"},"sender":{"login":"mira"}}
        """
    }
}

/// Everything that was logged, as text.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])

    var text: String { lines.withLock { $0.joined(separator: "\n") } }

    var logger: Logger {
        var logger = Logger(label: "test") { [self] _ in Handler(lines: self) }
        logger.logLevel = .trace
        return logger
    }

    private func add(_ line: String) { lines.withLock { $0.append(line) } }

    private struct Handler: LogHandler {
        let lines: LogLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            lines.add("\(event.level) \(event.message) \(event.metadata ?? [:]) \(metadata)")
        }
    }
}

extension Farm {
    func source(_ name: String, claims: Claims = Claims(), secret: String = "s3cret-of-the-source") async throws -> SourceRow {
        let source = try await SourceTable.insert(
            name: name,
            kind: "github",
            claims: claims,
            settings: .object([:]),
            apiToken: nil,
            connection
        )
        try await SourceTable.addSecret(secret, sourceID: source.id, connection)
        return source
    }

    /// Waits until no event is open; those that wait for another attempt stay.
    func settled() async throws {
        for _ in 0..<400 {
            let open = try await connection.query(
                Statement("open_events", "SELECT count(*) AS n FROM ci_event WHERE processed_at IS NULL AND retry_at IS NULL")
            ).only().int64("n")
            if open == 0 { return }
            try await Task.sleep(for: .milliseconds(25))
        }
    }

    func outcomes() async throws -> [String] {
        try await connection.query(Statement("event_outcomes", "SELECT coalesce(outcome, 'open') AS o FROM ci_event ORDER BY event_id"))
            .map { try $0.string("o") }
    }

    /// Every row of every table as text.
    func everything() async throws -> String {
        let tables = try await connection.query(
            Statement("all_tables", "SELECT quote_ident(table_name) AS t FROM information_schema.tables WHERE table_schema = 'public'")
        ).map { try $0.string("t") }
        var text = ""
        for table in tables where table != "source_secret" {
            for row in try await connection.query(
                Statement("dump_\(table)", "SELECT convert_from(convert_to(x::text, 'UTF8'), 'UTF8') AS line FROM \(table) x")
            ) { text += try row.string("line") + "\n" }
        }
        // Bodies are bytes, which print as hex.
        for row in try await connection.query(Statement("dump_bodies", "SELECT convert_from(body, 'UTF8') AS line FROM ci_event")) {
            text += try row.string("line") + "\n"
        }
        return text
    }
}
