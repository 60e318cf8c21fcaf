import CIEvents
import Documents
import Energy
import Gzip
import HTTPTypes
import Hummingbird
import NIOCore
import Postgres
import Snappy
import Store
import Telemetry

/// Where OpenTelemetry's exporters and Prometheus' remote write deliver.
///
/// What a sender does with an answer decides what is answered. Prometheus drops a request for good at 400, and by its standard settings at
/// 429 too, and repeats it at 5xx; OTLP's exporters repeat at 429 and 503 and drop at other errors. So a full collector says 503 to the
/// one and 429 to the other, and what would fail again in the same way is a 4xx.
struct TelemetryRoutes: Sendable {
    let site: Site
    let intake: TelemetryIntake
    let rates: RateLimit
    let pace: AuditPace

    static let bodyBytes = 8 << 20
    static let inflatedBytes = 32 << 20

    func add(to router: Router<WattleContext>) {
        router.post("api/v1/write") { request, context in try await write(request, context) }
        router.post("v1/metrics") { request, context in try await export(request, context) }
    }

    // MARK: Remote write

    private func write(_ request: Request, _ context: WattleContext) async throws -> Response {
        let grant = try context.requireGrant(.telemetry, .agent)
        let version = try Self.version(request.headers[.contentType])
        // A Prometheus that is told 429 drops what it sent, unless its owner set retry_on_http_429.
        let verdict = rates.take("token \(grant.name)", requestsPerSecond: grant.claims.requestsPerSecond, now: site.now())
        guard verdict.isAllowed else { throw Self.busy(seconds: verdict.waitSeconds) }
        guard let packed = try await body(of: request) else { throw Self.busy(seconds: 1) }
        // Only now: a body that does not come is nobody's turn.
        guard intake.enter() else { throw Self.busy(seconds: 1) }
        defer { intake.leave() }
        // A request without any bytes is one without series, however it is said to be packed.
        guard packed.isEmpty || request.headers[.contentEncoding]?.lowercased() == "snappy" else {
            throw Self.unsupported("expected Content-Encoding: snappy, found \(request.headers[.contentEncoding]?.prefix(60) ?? "none")")
        }
        let body = packed.isEmpty ? [] : try Self.unpacked(packed)
        let written: RemoteWriteRequest
        do {
            written = try RemoteWriteRequest(body, version: version)
        } catch {
            throw Problem(
                type: "malformed-write",
                title: "The request cannot be read",
                detail: error.description,
                status: .badRequest,
                extra: ["field": .string(error.field)]
            )
        }
        let taken = try await take(written.series, "write", grant)
        var headers = HTTPFields()
        // Version 2.0 asks how much was written; series that are no meter are none of the sender's concern and count as taken.
        for (name, n) in [("Samples", max(0, written.samples - taken.forbidden - taken.refused)), ("Histograms", 0), ("Exemplars", 0)] {
            if let field = HTTPField.Name("X-Prometheus-Remote-Write-\(name)-Written") { headers[field] = "\(n)" }
        }
        if let excess = taken.excesses.first {
            var problem = ClaimCheck.problem(excess, who: "the token \(grant.name)")
            problem.fields = headers
            throw problem
        }
        return Response(status: .noContent, headers: headers)
    }

    /// By the message that the media type names: 1.0's senders name none.
    private static func version(_ header: String?) throws -> RemoteWriteRequest.Version {
        let parts = (header ?? "").split(separator: ";").map { String($0).trimmed }
        guard parts.first?.lowercased() == "application/x-protobuf" else {
            throw unsupported("expected Content-Type: application/x-protobuf, found \(header?.prefix(80) ?? "none")")
        }
        switch parts.dropFirst().first(where: { $0.hasPrefix("proto=") })?.dropFirst(6) {
        case nil, "prometheus.WriteRequest": return .one
        case "io.prometheus.write.v2.Request": return .two
        case let other?:
            throw unsupported("expected proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request, found \(other.prefix(80))")
        }
    }

    private static func unpacked(_ body: [UInt8]) throws -> [UInt8] {
        do throws(SnappyError) {
            return try Snappy.decompress(body, limit: inflatedBytes)
        } catch {
            switch error {
            case .tooLong: throw Problem.tooLarge(limitBytes: inflatedBytes)
            case .malformed: throw Problem.badRequest("malformed-encoding", "The body cannot be unpacked", error.description)
            // Not the sender's fault: it is to keep what it has.
            case .unavailable: throw busy(seconds: 60, because: error.description)
            }
        }
    }

    private static func unsupported(_ detail: String) -> Problem {
        Problem(
            type: "unsupported-media-type",
            title: "The media type is not supported",
            detail: detail,
            status: .unsupportedMediaType
        )
    }

    private static func busy(seconds: Int, because reason: String = "too many requests at once") -> Problem {
        Problem(
            type: "busy",
            title: "The collector is busy",
            detail: "\(reason); come again in \(seconds) s",
            status: .serviceUnavailable,
            fields: [.retryAfter: "\(seconds)"]
        )
    }

    // MARK: OTLP

    private func export(_ request: Request, _ context: WattleContext) async throws -> Response {
        let grant = try context.requireGrant(.telemetry, .agent)
        guard let encoding = request.headers[.contentType].flatMap({ OTLPEncoding(contentType: $0) }) else {
            throw Self.unsupported(
                "expected application/x-protobuf or application/json, found \(request.headers[.contentType]?.prefix(60) ?? "none")"
            )
        }
        let compression = try ReadingsEncoding(header: request.headers[.contentEncoding])
        let verdict = rates.take("token \(grant.name)", requestsPerSecond: grant.claims.requestsPerSecond, now: site.now())
        guard verdict.isAllowed else { return try Self.full(encoding, seconds: verdict.waitSeconds) }
        guard let packed = try await body(of: request) else { return try Self.full(encoding, seconds: 1) }
        guard intake.enter() else { return try Self.full(encoding, seconds: 1) }
        defer { intake.leave() }
        // A document of JSON takes many times its bytes.
        let body = try compression.decode(packed, limit: encoding == .json ? Self.bodyBytes : Self.inflatedBytes)
        let metrics: OTLPMetrics
        do {
            metrics = try encoding == .json ? OTLPMetrics(json: body) : OTLPMetrics(protobuf: body)
        } catch {
            return try Self.status(encoding, .invalidArgument, error.description, .badRequest)
        }
        let taken = try await take(metrics.series, "otlp", grant)
        let rejected = metrics.rejected + taken.refused
        guard let excess = taken.excesses.first else {
            let reason = [metrics.reason?.description, taken.reason(now: site.now())].compactMap { $0 }.joined(separator: "; ")
            return try Self.exported(encoding, rejected: rejected, reason)
        }
        let reason = "beyond what the token \(grant.name) may say: \(excess)"
        guard taken.mapped > 0 else { return try Self.status(encoding, .permissionDenied, reason, .forbidden) }
        return try Self.exported(encoding, rejected: taken.forbidden + rejected, reason)
    }

    /// An `ExportMetricsServiceResponse`: empty where all was taken.
    private static func exported(_ encoding: OTLPEncoding, rejected: Int, _ message: String) throws -> Response {
        let body: [UInt8]
        switch encoding {
        case .json:
            let partial: JSONValue = .object(["rejectedDataPoints": .string("\(rejected)"), "errorMessage": .string(message)])
            body = Array(try JSONValue.object(rejected == 0 ? [:] : ["partialSuccess": partial]).text.utf8)
        // The message has the same numbers as that of traces.
        case .protobuf: body = try encoding.response(rejectedSpans: rejected, message: message)
        }
        return Response(
            status: .ok,
            headers: [.contentType: encoding.contentType],
            body: .init(byteBuffer: ByteBuffer(bytes: body))
        )
    }

    private static func full(_ encoding: OTLPEncoding, seconds: Int) throws -> Response {
        var response = try status(encoding, .resourceExhausted, "too many requests; come again in \(seconds) s", .tooManyRequests)
        response.headers[.retryAfter] = "\(seconds)"
        return response
    }

    private static func status(
        _ encoding: OTLPEncoding,
        _ code: RPCCode,
        _ message: String,
        _ status: HTTPTypes.HTTPResponse.Status
    ) throws -> Response {
        Response(
            status: status,
            headers: [.contentType: encoding.contentType],
            body: .init(byteBuffer: ByteBuffer(bytes: try encoding.status(code, message: CredentialMask().masked(message))))
        )
    }

    // MARK: Both

    /// The body as it came; nil where too much of others is under way.
    private func body(of request: Request) async throws -> [UInt8]? {
        let declared = request.headers[.contentLength].flatMap { Int($0) } ?? Self.bodyBytes
        do {
            // One that is too long is read and thrown away: it takes no memory.
            return try await intake.bodies.admit(declared > Self.bodyBytes ? 0 : max(0, declared)) {
                try await request.body(limit: Self.bodyBytes)
            }
        } catch let problem as Problem where problem.status == .tooManyRequests {
            try await request.discardBody()
            return nil
        }
    }

    private func take(_ series: [TelemetrySeries], _ way: String, _ grant: TokenGrant) async throws -> TelemetryIntake.Taken {
        let taken: TelemetryIntake.Taken
        do {
            taken = try await intake.take(series, from: "\(way) \(grant.name)", grant: grant)
        } catch let error as PostgresError where error.isContentFault {
            // Content that no check foresaw: it would fail again, and the sender must not try for ever.
            throw Problem.badRequest("invalid-series", "The series cannot be stored", "\(error.message) (\(error.sqlState ?? "-"))")
        }
        if let excess = taken.excesses.first, pace.admits(grant.name, excess.field, now: site.now()) {
            try await site.pool.withConnection { try await ClaimCheck.audit(excess, who: grant.name, $0) }
        }
        return taken
    }
}
