import Documents
import Hummingbird
import Logging
import Postgres
import Store

/// Where CI posts its jobs.
struct SpanRoutes: Sendable {
    let site: Site
    let rates: RateLimit
    let pace: AuditPace

    static let bodyBytes = 8 << 20
    static let spansPerPost = 10_000

    func add(to router: Router<WattleContext>) {
        router.post("v1/spans") { request, context in try await post(request, context) }
        router.delete("v1/spans/:id") { request, context in try await delete(request, context) }
    }

    /// Whether a body of a type is a span a line; nil for a type that is not taken. Without one it is taken for JSON.
    private static func isLines(type: String?) -> Bool? {
        switch type {
        case nil, "application/json": false
        case "application/x-ndjson", "application/ndjson": true
        default: nil
        }
    }

    private func post(_ request: Request, _ context: WattleContext) async throws -> Response {
        let grant = try context.requireGrant(.ci)
        _ = try rates.require("token \(grant.name)", requestsPerSecond: grant.claims.requestsPerSecond, now: site.now())
        let type = request.headers[.contentType]?.split(separator: ";").first.map { String($0).trimmed.lowercased() }
        guard let isLines = Self.isLines(type: type) else {
            throw Problem(
                type: "unsupported-media-type",
                title: "The media type is not supported",
                detail: "expected application/json or application/x-ndjson, found \(type?.prefix(60) ?? "none")",
                status: .unsupportedMediaType
            )
        }
        // A credential that a job put into a label must not be kept.
        let body = CredentialMask().masked(try await request.body(limit: Self.bodyBytes))
        if isLines { return try await postLines(body, grant) }

        let posted: JSONValue
        do {
            posted = try JSONValue(parsing: body)
        } catch {
            site.metrics.spansRefused.increment()
            throw Problem.badRequest(
                "malformed-json",
                "The body is not JSON",
                "expected a span, an array of spans, or NDJSON with Content-Type application/x-ndjson"
            )
        }
        let values = posted.array ?? [posted]
        guard values.count <= Self.spansPerPost else {
            throw Problem.unprocessable("too-many-spans", "Too many spans", "expected at most \(Self.spansPerPost), found \(values.count)")
        }
        var documents: [SpanDocument] = []
        for (index, value) in values.enumerated() {
            do {
                documents.append(try SpanDocument(grant.binding(value), now: site.now()))
            } catch var problem as Problem {
                site.metrics.spansRefused.increment()
                // One bad span refuses the whole array: nothing is half-written.
                if posted.array != nil { problem.extra["index"] = .integer(Int64(index)) }
                throw problem
            }
        }
        let accepted = try await accept(documents, grant)
        return try JSONValue.object(["accepted": .array(accepted.map(Self.json))]).response(status: .accepted)
    }

    /// A result for each line: a bad one refuses itself only.
    private func postLines(_ body: [UInt8], _ grant: TokenGrant) async throws -> Response {
        let lines = body.split(separator: UInt8(ascii: "\n")).filter { !$0.allSatisfy { $0 == 32 || $0 == 13 || $0 == 9 } }
        guard lines.count <= Self.spansPerPost else {
            throw Problem.unprocessable(
                "too-many-spans",
                "Too many spans",
                "expected at most \(Self.spansPerPost) lines, found \(lines.count)"
            )
        }
        var results = [JSONValue](repeating: .null, count: lines.count)
        var documents: [(line: Int, document: SpanDocument)] = []
        for (index, line) in lines.enumerated() {
            do {
                documents.append((index, try SpanDocument(grant.binding(try JSONValue(parsing: Array(line))), now: site.now())))
            } catch let problem as Problem {
                site.metrics.spansRefused.increment()
                results[index] = Self.json(problem, line: index)
            } catch {
                site.metrics.spansRefused.increment()
                results[index] = .object([
                    "line": .integer(Int64(index + 1)), "type": "urn:wattle:problem:malformed-json", "title": "The line is not JSON",
                    "detail": "expected one span a line",
                ])
            }
        }
        for (place, result) in zip(documents, try await acceptEach(documents.map(\.document), grant)) {
            switch result {
            case .success(let accepted):
                site.metrics.spansAccepted.increment()
                results[place.line] = Self.json(accepted)
            case .failure(let excess):
                site.metrics.spansRefused.increment()
                results[place.line] = Self.json(try await refusal(of: excess, grant), line: place.line)
            }
        }
        var text = ""
        for result in results { text += try result.text + "\n" }
        return Response(
            status: .accepted,
            headers: [.contentType: "application/x-ndjson"],
            body: .init(byteBuffer: ByteBuffer(string: text))
        )
    }

    /// Most spans that are written in one transaction of NDJSON.
    private static let spansPerTransaction = 500

    /// Writes all in one transaction: an array is taken whole or not at all.
    private func accept(_ documents: [SpanDocument], _ grant: TokenGrant) async throws -> [SpanIntake.Accepted] {
        let intake = SpanIntake(now: site.now)
        let writes = documents.map { SpanWrite($0) }
        do {
            let accepted = try await site.pool.retriedTransaction { tx in
                try await intake.accept(writes, source: grant.source, claims: grant.claims, tx).map { try $0.get() }
            }
            site.metrics.spansAccepted.increment(by: accepted.count)
            return accepted
        } catch let excess as Claims.Excess {
            site.metrics.spansRefused.increment(by: documents.count)
            throw try await refusal(of: excess, grant)
        }
    }

    /// Writes line by line as far as the answer goes: what one may not say does not harm the others.
    private func acceptEach(_ documents: [SpanDocument], _ grant: TokenGrant) async throws -> [Result<SpanIntake.Accepted, Claims.Excess>] {
        let intake = SpanIntake(now: site.now)
        let writes = documents.map { SpanWrite($0) }
        var results: [Result<SpanIntake.Accepted, Claims.Excess>] = []
        for start in stride(from: 0, to: writes.count, by: Self.spansPerTransaction) {
            let part = Array(writes[start..<min(start + Self.spansPerTransaction, writes.count)])
            results += try await site.pool.retriedTransaction { tx in
                try await intake.accept(part, source: grant.source, claims: grant.claims, tx)
            }
        }
        return results
    }

    /// What goes beyond a token's claims is refused as a whole, and on record.
    private func refusal(of excess: Claims.Excess, _ grant: TokenGrant) async throws -> Problem {
        if pace.admits(grant.name, excess.field, now: site.now()) {
            try await site.pool.withConnection { try await ClaimCheck.audit(excess, who: grant.name, $0) }
        }
        return ClaimCheck.problem(excess, who: "the token \(grant.name)")
    }

    private static func json(_ problem: Problem, line: Int) -> JSONValue {
        .object([
            "line": .integer(Int64(line + 1)), "type": .string("urn:wattle:problem:\(problem.type)"), "title": .string(problem.title),
            "detail": .string(problem.detail),
        ])
    }

    private static func json(_ accepted: SpanIntake.Accepted) -> JSONValue {
        .object([
            "id": .string(accepted.jobID), "key": .string(accepted.key.text), "state": .string(accepted.placement.state),
        ])
    }

    private func delete(_ request: Request, _ context: WattleContext) async throws -> Response {
        let grant = try context.requireGrant(.ci)
        let id = try context.pathPart("id")
        guard SpanKey.isJobID(id) else { throw Problem.notFound("expected a job id of 26 characters, found \(id.prefix(60))") }
        let source = grant.scope == .admin ? nil : grant.source
        // A bearer that speaks of one job deletes none.
        guard grant.bound.isEmpty else { throw Problem.forbidden("scope", "expected a token of scope ci, found one of an issuer") }
        let isDeleted: Bool
        do {
            isDeleted = try await site.pool.retriedTransaction { [site] tx in
                try await SpanIntake(now: site.now).delete(jobID: id, source: source, claims: grant.claims, tx)
            }
        } catch let excess as Claims.Excess {
            throw try await refusal(of: excess, grant)
        }
        guard isDeleted else { throw Problem.notFound("this token's source has posted no span with the id \(id)") }
        return Response(status: .noContent)
    }
}
