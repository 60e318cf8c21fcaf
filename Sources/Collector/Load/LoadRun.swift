import Crypto
import Documents
public import Energy
import Glibc
import HTTPClient
import NIOCore

/// Puts load on a collector: made-up hosts enrol and open their streams, then all that was encoded before is sent over kept-open
/// connections, each host's batches in order, one under way at a time.
public struct LoadRun: Sendable {
    /// What stopped a run.
    public struct Fault: Error, CustomStringConvertible {
        public let description: String
    }

    private let plan: LoadPlan
    private let scheme: String
    private let host: String
    private let port: Int
    private let enrolToken: String
    private let now: Timestamp
    private let progress: @Sendable (String) -> Void

    /// - Parameters:
    ///   - url: of the collector: `http://127.0.0.1:8480`.
    ///   - enrolToken: of scope enrol.
    ///   - now: all knots lie in the hour that it is in, which is not accounted before it has ended.
    public init(
        plan: LoadPlan,
        url: LoadTarget,
        enrolToken: String,
        now: Timestamp,
        progress: @escaping @Sendable (String) -> Void
    ) {
        self.plan = plan
        scheme = "http"
        host = url.host
        port = url.port
        self.enrolToken = enrolToken
        self.now = now
        self.progress = progress
    }

    private struct Request: Sendable {
        let bytes: ByteBuffer
        let knots: Int
        let samples: Int
    }

    private struct Sender: Sendable {
        let name: String
        let requests: [Request]
    }

    public func run() async throws -> LoadReport {
        let run = String(UInt32.random(in: 0 ... .max), radix: 16)
        let hosts = (0..<plan.hosts).map { LoadHost(plan: plan, run: run, number: $0, start: plan.start ?? now.hour.start) }
        progress("encoding what \(plan.hosts) hosts send")
        let client = HTTPClient(userAgent: "wattle-collector load")
        var senders: [Sender] = []
        for host in hosts { senders.append(try await prepare(host, client)) }
        progress("sending")
        let cpuBefore = Self.cpuSeconds()
        let clock = ContinuousClock()
        let began = clock.now
        let lanes = max(1, min(plan.connections, senders.count))
        var report = try await withThrowingTaskGroup(of: LoadReport.self) { tasks in
            for lane in 0..<lanes {
                let own = stride(from: lane, to: senders.count, by: lanes).map { senders[$0] }
                tasks.addTask {
                    try await LoadConnection.with(host: self.host, port: port) { connection in
                        try await send(own, lane: lane, of: lanes, began: began, over: &connection)
                    }
                }
            }
            var sum = LoadReport()
            for try await part in tasks {
                sum.batches += part.batches
                sum.knots += part.knots
                sum.samples += part.samples
                sum.bytes += part.bytes
                sum.putOff += part.putOff
                sum.refused += part.refused
                sum.firstRefusal = sum.firstRefusal ?? part.firstRefusal
                sum.acknowledgements += part.acknowledgements
            }
            return sum
        }
        report.hosts = plan.hosts
        report.seconds = (clock.now - began) / .seconds(1)
        report.cpuSeconds = Self.cpuSeconds() - cpuBefore
        report.acknowledgements.sort()
        return report
    }

    /// Enrols a host and opens its stream; makes its requests.
    private func prepare(_ host: LoadHost, _ client: HTTPClient) async throws -> Sender {
        let machine = SHA256.hash(data: Array("load \(host.name)".utf8)).hexText
        let wish = JSONValue.object(["host": .string(host.name), "machine_id_sha256": .string(machine), "names": .array([])])
        let enrolled = try await post("/v1/enrol", enrolToken, "application/json", try wish.bytes, 201, client)
        guard let token = enrolled.object?["token"]?.string else { throw Fault(description: "expected a token from /v1/enrol, found none") }
        _ = try await post("/v1/readings", token, "application/x-protobuf", try host.opening(), 200, client)
        let head = """
            POST /v1/readings HTTP/1.1\r\nHost: \(self.host):\(port)\r\nAuthorization: Bearer \(token)\r\n\
            Content-Type: application/x-protobuf\r\n\(plan.isCompressed ? "Content-Encoding: gzip\r\n" : "")Content-Length:
            """
        return Sender(
            name: host.name,
            requests: try host.bodies().map { body in
                var request = ByteBuffer(string: "\(head) \(body.bytes.count)\r\n\r\n")
                request.writeBytes(body.bytes)
                return Request(bytes: request, knots: body.knots, samples: body.samples)
            }
        )
    }

    private func post(
        _ path: String,
        _ token: String,
        _ type: String,
        _ body: [UInt8],
        _ expected: Int,
        _ client: HTTPClient
    ) async throws -> JSONValue {
        let response = try await client.send(
            HTTPRequest(
                method: "POST",
                url: "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)\(path)",
                headers: [("Authorization", "Bearer \(token)"), ("Content-Type", type)],
                body: body,
                timeout: .seconds(30)
            )
        )
        guard response.status == expected else {
            let found = String(decoding: response.body.prefix(400), as: UTF8.self)
            throw Fault(description: "\(path): expected status \(expected), found \(response.status): \(found)")
        }
        return try JSONValue(parsing: response.body)
    }

    /// Sends one batch of each host in turn.
    private func send(
        _ senders: [Sender],
        lane: Int,
        of lanes: Int,
        began: ContinuousClock.Instant,
        over connection: inout LoadConnection
    ) async throws -> LoadReport {
        let clock = ContinuousClock()
        let end = plan.seconds.map { began + .seconds($0) }
        var report = LoadReport()
        var given: Set<String> = []
        var knots = 0
        for number in 0..<(senders.map(\.requests.count).max() ?? 0) {
            for sender in senders where number < sender.requests.count && !given.contains(sender.name) {
                let request = sender.requests[number]
                if let rate = plan.knotsPerSecond {
                    // Each lane at its part of the rate; they begin one after another, so that they do not all send at once.
                    let due = began + .seconds(Double(knots * lanes + request.knots * lane) / rate)
                    if clock.now < due { try await Task.sleep(until: due, clock: clock) }
                }
                knots += request.knots
                var isDone = false
                while !isDone {
                    if let end, clock.now >= end { return report }
                    let sent = clock.now
                    let answer = try await connection.exchange(request.bytes)
                    let milliseconds = (clock.now - sent) / .milliseconds(1)
                    switch answer.status {
                    case 200:
                        report.batches += 1
                        report.knots += request.knots
                        report.samples += request.samples
                        report.bytes += request.bytes.readableBytes
                        report.acknowledgements.append(milliseconds)
                        isDone = true
                    case 429:
                        report.putOff += 1
                        try await Task.sleep(for: .seconds(answer.retryAfter ?? 1))
                    default:
                        // Without this one the host's next are out of order.
                        report.refused += 1
                        report.firstRefusal = report.firstRefusal ?? "\(answer.status) \(answer.body.prefix(300))"
                        given.insert(sender.name)
                        isDone = true
                    }
                }
            }
        }
        return report
    }

    private static func cpuSeconds() -> Double {
        var usage = rusage()
        guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}

/// Where load is sent.
public struct LoadTarget: Sendable, Hashable {
    public let host: String
    public let port: Int

    /// `http://HOST:PORT`; nil for anything else. Load needs no TLS: it stays on the machine.
    public init?(_ url: String) {
        guard url.hasPrefix("http://") else { return nil }
        var rest = url.dropFirst("http://".count)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard !rest.isEmpty, !rest.contains("/"), !rest.contains("@") else { return nil }
        if rest.hasPrefix("[") {
            guard let close = rest.firstIndex(of: "]") else { return nil }
            host = String(rest[rest.index(after: rest.startIndex)..<close])
            rest = rest[rest.index(after: close)...]
        } else {
            let end = rest.firstIndex(of: ":") ?? rest.endIndex
            host = String(rest[..<end])
            rest = rest[end...]
        }
        guard rest.isEmpty || rest.first == ":", let port = rest.isEmpty ? 80 : Int(rest.dropFirst()), (1...65_535).contains(port),
            !host.isEmpty
        else { return nil }
        self.port = port
    }

    /// Whether nothing leaves this machine.
    public var isLoopback: Bool {
        guard host != "localhost", host != "::1" else { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return parts.count == 4 && parts[0] == 127 && !parts.contains(nil)
    }
}
