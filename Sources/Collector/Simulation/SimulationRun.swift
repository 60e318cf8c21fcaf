import Documents
public import Energy
import HTTPClient
public import Simulation
import SwiftProtobuf
import Wire

/// Simulated hosts that report to a collector over HTTP, as agents and CI systems do: streams of batches, spans that come late, twice and
/// out of order; then the question what each job cost, held against the truth.
///
/// The same seed makes the same hosts, jobs and readings: a second run says nothing new, and gets the same answers.
public struct SimulationRun: Sendable {
    public struct Settings: Sendable {
        public var hosts: Int
        public var duration: Microseconds
        public var seed: UInt64
        /// Nil: each host has the next one's noise.
        public var family: NoiseFamily?
        /// When the simulated time begins, on an hour.
        public var start: Timestamp
        /// Median length of most jobs.
        public var jobSeconds: Double
        /// Simulated seconds a second; nil as fast as it goes.
        public var speed: Double?

        public init(
            hosts: Int,
            duration: Microseconds,
            seed: UInt64,
            family: NoiseFamily? = nil,
            start: Timestamp,
            jobSeconds: Double = 120,
            speed: Double? = nil
        ) {
            self.hosts = hosts
            self.duration = duration
            self.seed = seed
            self.family = family
            self.start = start
            self.jobSeconds = jobSeconds
            self.speed = speed
        }
    }

    public struct Tokens: Sendable {
        /// Of scope enrol, ci and read.
        public var enrol: String
        public var ci: String
        public var read: String

        public init(enrol: String, ci: String, read: String) {
            self.enrol = enrol
            self.ci = ci
            self.read = read
        }
    }

    /// What stopped a run.
    public struct Fault: Error, CustomStringConvertible {
        public let description: String
    }

    /// The pool that simulated hosts are in.
    public static let pool = "simulated"

    private let settings: Settings
    private let tokens: Tokens
    private let url: String
    private let client = HTTPClient(userAgent: "wattle-collector simulate")
    private let progress: @Sendable (String) -> Void

    /// - Parameter url: of the collector, without a slash at its end.
    public init(settings: Settings, url: String, tokens: Tokens, progress: @escaping @Sendable (String) -> Void) {
        self.settings = settings
        self.url = url
        self.tokens = tokens
        self.progress = progress
    }

    public func run() async throws -> SimulationReport {
        var hosts: [SimulatedReporter] = []
        for number in 0..<settings.hosts {
            let families = NoiseFamily.allCases
            let host = SimulatedHost(
                seed: settings.seed &* 1_000_003 &+ UInt64(number),
                family: settings.family ?? families[number % families.count],
                jobLength: settings.jobSeconds,
                start: settings.start,
                duration: settings.duration
            )
            hosts.append(SimulatedReporter(name: "sim-\(settings.seed)-\(number)", host: host))
        }
        var streams: [SimulatedStream] = []
        for host in hosts { streams.append(try await open(host)) }
        let jobs = hosts.reduce(0) { $0 + $1.host.jobs.count }
        progress("\(hosts.count) hosts enrolled; \(jobs) jobs in \(Int(settings.duration.seconds / 60)) simulated minutes")
        try await deliver(hosts: hosts, streams: &streams)
        return try await answers(hosts)
    }

    // MARK: - Enrolling and delivering

    private struct SimulatedStream {
        let token: String
        var batches: [(sealedAt: Timestamp, bytes: [UInt8])]
        var expected: Int
    }

    private func open(_ host: SimulatedReporter) async throws -> SimulatedStream {
        let wish = JSONValue.object([
            "host": .string(host.name), "machine_id_sha256": .string(host.machineID), "names": .array([]),
        ])
        let enrolled = try await send("POST", "/v1/enrol", token: tokens.enrol, body: try wish.bytes, expecting: 201)
        guard let token = enrolled.object?["token"]?.string else { throw Fault(description: "expected a token from /v1/enrol, found none") }
        let batches = host.batches()
        guard let first = batches.first?.batch else { return SimulatedStream(token: token, batches: [], expected: 1) }
        let path = "/v1/readings/stream?boot=\(first.bootID)&incarnation=\(first.incarnation)"
        let stream = try await send("GET", path, token: token, expecting: 200)
        return SimulatedStream(
            token: token,
            batches: try batches.map { ($0.sealedAt, try $0.batch.serializedBytes()) },
            expected: Int(stream.object?["expected_seq"]?.integer ?? 1)
        )
    }

    private enum Delivery {
        case batch(host: Int, number: Int)
        case span(JSONValue)
    }

    private func deliver(hosts: [SimulatedReporter], streams: inout [SimulatedStream]) async throws {
        var draws = RandomDraws(seed: settings.seed, stream: 40)
        var deliveries: [(time: Timestamp, order: Int, delivery: Delivery)] = []
        func add(_ time: Timestamp, _ delivery: Delivery) { deliveries.append((time, deliveries.count, delivery)) }
        for (index, host) in hosts.enumerated() {
            for (number, batch) in streams[index].batches.enumerated() { add(batch.sealedAt, .batch(host: index, number: number)) }
            for job in host.view.jobs {
                for (time, span) in Self.spans(job, host: host) {
                    // Most come soon, some late, some twice: a start may come after its end.
                    let times = draws.chance(0.1) ? 2 : 1
                    for _ in 0..<times {
                        let delay = draws.chance(0.05) ? draws.exponential(mean: 1_800) : draws.exponential(mean: 5)
                        add(time + Microseconds(Int64(delay * 1e6)), .span(span))
                    }
                }
            }
        }
        deliveries.sort { ($0.time, $0.order) < ($1.time, $1.order) }

        let clock = ContinuousClock()
        let began = clock.now
        var waiting: [JSONValue] = []
        var nextNote = settings.start
        for (time, _, delivery) in deliveries {
            if let speed = settings.speed {
                let due = began + .seconds((time - settings.start).seconds / speed)
                if clock.now < due {
                    try await post(&waiting)
                    try await Task.sleep(until: due, clock: clock)
                }
            }
            switch delivery {
            case .span(let span):
                waiting.append(span)
                if waiting.count >= 200 { try await post(&waiting) }
            case .batch(let host, let number):
                try await post(&waiting)
                try await post(number, of: &streams[host], draws: &draws)
            }
            if time >= nextNote {
                progress("simulated \(RFC3339.format(min(time, settings.start + settings.duration)))")
                nextNote = time + Microseconds(settings.duration.count / 10)
            }
        }
        try await post(&waiting)
    }

    /// As a CI system says it: its start, then all of it.
    private static func spans(_ job: AgentView.JobView, host: SimulatedReporter) -> [(Timestamp, JSONValue)] {
        let name = SimulatedReporter.jobName(job.id, on: host.name)
        var fields: [String: JSONValue] = [
            "id": .string(name), "host": .string(host.name), "job_id": .string(name), "repository": .string("simulated.invalid/farm/code"),
            "job": .string("build"), "pipeline": .string(host.host.draw.family.rawValue), "service": .string("simulated"),
            "time_resolution_ms": .integer(1_000), "cpus": .number(Double(host.host.draw.cpus) / Double(host.host.draw.slots)),
            "started_at": .string(RFC3339.format(job.posted.start)),
            "event_time": .string(RFC3339.format(job.posted.start)),
        ]
        let start = JSONValue.object(fields)
        fields["finished_at"] = .string(RFC3339.format(job.posted.end))
        fields["event_time"] = .string(RFC3339.format(job.posted.end))
        fields["outcome"] = .string("success")
        return [(job.posted.start, start), (job.posted.end, .object(fields))]
    }

    private func post(_ waiting: inout [JSONValue]) async throws {
        guard !waiting.isEmpty else { return }
        let lines = try waiting.map { try $0.text + "\n" }.joined()
        waiting = []
        let response = try await exchange("POST", "/v1/spans", token: tokens.ci, type: "application/x-ndjson", body: Array(lines.utf8))
        guard response.status == 202 else { throw Self.refused("/v1/spans", response) }
        for line in response.body.split(separator: UInt8(ascii: "\n")) {
            let answer = try JSONValue(parsing: Array(line)).object
            if answer?["id"] == nil { throw Fault(description: "a span was refused: \(String(decoding: line.prefix(400), as: UTF8.self))") }
        }
    }

    private func post(_ number: Int, of stream: inout SimulatedStream, draws: inout RandomDraws) async throws {
        let sequence = number + 1
        // What an earlier run delivered under the same token.
        guard sequence >= stream.expected else { return }
        if draws.chance(0.02), number + 1 < stream.batches.count {
            // One that comes too early: the collector asks for the one before it.
            _ = try await exchange(
                "POST",
                "/v1/readings",
                token: stream.token,
                type: "application/x-protobuf",
                body: stream.batches[number + 1].bytes
            )
        }
        // An answer that is lost makes an agent send again.
        for _ in 0..<(draws.chance(0.05) ? 2 : 1) {
            let response = try await exchange(
                "POST",
                "/v1/readings",
                token: stream.token,
                type: "application/x-protobuf",
                body: stream.batches[number].bytes
            )
            guard response.status == 200 else { throw Self.refused("/v1/readings", response) }
        }
        stream.expected = sequence + 1
    }

    // MARK: - Asking

    private func answers(_ hosts: [SimulatedReporter]) async throws -> SimulationReport {
        var report = SimulationReport(seed: settings.seed)
        for host in hosts {
            let footprints = try await footprints(of: host)
            for job in host.host.jobs {
                let name = SimulatedReporter.jobName(job.id, on: host.name)
                report.add(
                    family: host.host.draw.family,
                    truth: job.truth.microjoules(host.host.draw.scope),
                    footprint: footprints[name]
                )
            }
            progress("asked for the jobs of \(host.name)")
        }
        return report
    }

    /// The host's jobs by name, once they are final or two minutes have passed.
    private func footprints(of host: SimulatedReporter) async throws -> [String: [String: JSONValue]] {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(120)
        while true {
            var found: [String: [String: JSONValue]] = [:]
            var cursor: String?
            repeat {
                let from = RFC3339.format(settings.start - .hour).percentEncoded
                let to = RFC3339.format(settings.start + settings.duration + .hour).percentEncoded
                var path = "/v1/jobs?host=\(host.name)&limit=1000&from=\(from)&to=\(to)"
                if let cursor { path += "&cursor=\(cursor)" }
                let response = try await exchange("GET", path, token: tokens.read)
                guard response.status == 200 else { throw Self.refused("/v1/jobs", response) }
                for footprint in try JSONValue(parsing: response.body).object?["jobs"]?.array ?? [] {
                    // SOURCE/INSTANCE/ID/ATTEMPT
                    guard let fields = footprint.object, let parts = fields["key"]?.string?.split(separator: "/"), parts.count >= 2 else {
                        continue
                    }
                    found[String(parts[parts.count - 2])] = fields
                }
                cursor = response.header("Link").flatMap(Self.cursor)
            } while cursor != nil
            let open = host.view.jobs.count - found.values.count { $0["state"]?.string == "final" }
            guard open > 0, clock.now < deadline else { return found }
            progress("waiting for \(open) jobs of \(host.name)")
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// The cursor in `<...&cursor=X>; rel="next"`.
    private static func cursor(in link: String) -> String? {
        guard link.contains("rel=\"next\""), let range = link.firstRange(of: "cursor=") else { return nil }
        return String(link[range.upperBound...].prefix { $0 != "&" && $0 != ">" })
    }

    // MARK: - HTTP

    private func exchange(
        _ method: String,
        _ path: String,
        token: String,
        type: String = "application/json",
        body: [UInt8] = []
    ) async throws -> HTTPResponse {
        var headers = [("Authorization", "Bearer \(token)")]
        if !body.isEmpty { headers.append(("Content-Type", type)) }
        do {
            return try await client.send(
                HTTPRequest(method: method, url: url + path, headers: headers, body: body, timeout: .seconds(60))
            )
        } catch {
            throw Fault(description: "the collector cannot be reached: \(error)")
        }
    }

    private func send(
        _ method: String,
        _ path: String,
        token: String,
        body: [UInt8] = [],
        expecting status: Int
    ) async throws -> JSONValue {
        let response = try await exchange(method, path, token: token, body: body)
        guard response.status == status else { throw Self.refused(path, response) }
        return try JSONValue(parsing: response.body)
    }

    private static func refused(_ path: String, _ response: HTTPResponse) -> Fault {
        let text = String(decoding: response.body.prefix(600), as: UTF8.self)
        return Fault(description: "\(path): expected the collector to take it, found status \(response.status): \(text)")
    }
}
