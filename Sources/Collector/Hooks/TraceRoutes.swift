import CIEvents
import Energy
import Gzip
import HTTPTypes
import Hummingbird
import NIOCore
import Postgres
import Store

/// Where OTLP exporters deliver traces of pipelines: each task that they tell of is a job.
struct TraceRoutes: Sendable {
    let site: Site
    let rates: RateLimit
    let pace: AuditPace

    static let bodyBytes = 16 << 20
    static let inflatedBytes = 64 << 20

    func add(to router: Router<WattleContext>) {
        router.post("v1/traces") { request, context in try await export(request, context) }
    }

    private func export(_ request: Request, _ context: WattleContext) async throws -> Response {
        let grant = try context.requireGrant(.ci)
        guard let encoding = request.headers[.contentType].flatMap({ OTLPEncoding(contentType: $0) }) else {
            throw Problem(
                type: "unsupported-media-type",
                title: "The body's type is not taken",
                detail: "expected application/x-protobuf or application/json, found \(request.headers[.contentType]?.prefix(60) ?? "none")",
                status: .unsupportedMediaType
            )
        }
        guard grant.bound.isEmpty else {
            throw Problem.forbidden(
                "scope",
                "expected a token of scope ci, found one of an issuer, which speaks of one job: POST /v1/spans"
            )
        }
        let verdict = rates.take("token \(grant.name)", requestsPerSecond: grant.claims.requestsPerSecond, now: site.now())
        guard verdict.isAllowed else {
            var response = try Self.status(
                encoding,
                .resourceExhausted,
                "too many requests; come again in \(verdict.waitSeconds) s",
                .tooManyRequests
            )
            response.headers[.retryAfter] = "\(verdict.waitSeconds)"
            return response
        }
        let reading: OTLPTraces.Reading
        switch Self.read(try await inflated(request), encoding, receivedAt: site.now()) {
        case .success(let read): reading = read
        case .failure(let unreadable): return try Self.status(encoding, .invalidArgument, unreadable.description, .badRequest)
        }
        let taken = try await take(reading.jobs, grant)
        let rejected = reading.rejected + taken.refusals.count
        let reason = reading.reason.isEmpty ? taken.refusals.first ?? "" : reading.reason
        return Response(
            status: .ok,
            headers: [.contentType: encoding.contentType],
            body: .init(byteBuffer: ByteBuffer(bytes: try encoding.response(rejectedSpans: rejected, message: rejected > 0 ? reason : "")))
        )
    }

    private static func read(
        _ bytes: [UInt8],
        _ encoding: OTLPEncoding,
        receivedAt: Timestamp
    ) -> Result<OTLPTraces.Reading, UnreadableDelivery> {
        do {
            switch encoding {
            case .json: return .success(try OTLPTraces.jobs(json: bytes, receivedAt: receivedAt))
            case .protobuf: return .success(try OTLPTraces.jobs(protobuf: bytes, receivedAt: receivedAt))
            }
        } catch {
            return .failure(error)
        }
    }

    private func take(_ jobs: [JobEvent], _ grant: TokenGrant) async throws -> JobTaking.Taken {
        guard !jobs.isEmpty else { return JobTaking.Taken() }
        let taking = JobTaking(now: site.now)
        let taken = try await site.pool.retriedTransaction { tx in
            try await taking.take(jobs.map { job in { try taking.write(job) } }, source: grant.source, claims: grant.claims, tx)
        }
        // After the commit: a transaction that is run again must not find that the one that was undone had its turn.
        let excesses = taken.excesses.filter { pace.admits(grant.name, $0.field, now: site.now()) }
        if !excesses.isEmpty {
            try await site.pool.withConnection { connection in
                for excess in excesses { try await ClaimCheck.audit(excess, who: grant.name, connection) }
            }
        }
        site.metrics.spansAccepted.increment(by: taken.jobIDs.count)
        site.metrics.spansRefused.increment(by: taken.refusals.count)
        return taken
    }

    private func inflated(_ request: Request) async throws -> [UInt8] {
        let body = try await request.body(limit: Self.bodyBytes)
        switch request.headers[.contentEncoding]?.lowercased() {
        case nil, "identity": return body
        case "gzip":
            do {
                return try Gzip.decompress(body, limit: Self.inflatedBytes)
            } catch {
                throw Problem.badRequest(
                    "malformed-encoding",
                    "The body cannot be inflated",
                    "expected gzip of at most \(Self.inflatedBytes) bytes: \(error)"
                )
            }
        case let other?:
            throw Problem(
                type: "unsupported-encoding",
                title: "The encoding is not taken",
                detail: "expected gzip or none, found \(other.prefix(60))",
                status: .unsupportedMediaType
            )
        }
    }

    private static func status(
        _ encoding: OTLPEncoding,
        _ code: RPCCode,
        _ message: String,
        _ status: HTTPResponse.Status
    ) throws -> Response {
        Response(
            status: status,
            headers: [.contentType: encoding.contentType],
            body: .init(byteBuffer: ByteBuffer(bytes: try encoding.status(code, message: CredentialMask().masked(message))))
        )
    }
}
