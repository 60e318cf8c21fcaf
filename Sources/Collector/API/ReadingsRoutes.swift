import Documents
import Energy
import Hummingbird
import Logging
import Postgres
import Store
import Wire

/// Where agents deliver.
struct ReadingsRoutes: Sendable {
    let site: Site

    func add(to router: Router<WattleContext>) {
        router.get("v1/readings/stream") { request, context in try await stream(request, context) }
        router.post("v1/readings") { request, context in try await readings(request, context) }
    }

    /// Opens a stream: which sequence number is expected, and the collector's clock.
    private func stream(_ request: Request, _ context: WattleContext) async throws -> Response {
        let grant = try context.requireGrant(.agent)
        guard let boot = try request.query("boot"), let incarnation = try request.query("incarnation"), !boot.isEmpty,
            !incarnation.isEmpty
        else {
            throw Problem.badRequest("missing-parameter", "A parameter is missing", "expected ?boot=BOOT_ID&incarnation=HEX")
        }
        let expected = try await site.pool.withConnection {
            try await StreamTable.expectedSequence(tokenID: grant.id, bootID: boot, incarnation: incarnation, $0)
        }
        return try JSONValue.object([
            "host": grant.hostName.map { .string($0) } ?? .null, "expected_seq": .integer(expected),
            "now_us": .integer(site.now().microseconds),
        ]).response()
    }

    private func readings(_ request: Request, _ context: WattleContext) async throws -> Response {
        let grant = try context.requireGrant(.agent)
        do {
            return try await accept(request, grant)
        } catch let problem as Problem where problem.status == .tooManyRequests {
            site.metrics.batchesPutOff.increment()
            throw problem
        } catch let problem as Problem {
            site.metrics.batchesRefused.increment()
            context.logger.warning("readings refused", metadata: ["token": "\(grant.name)", "detail": "\(problem.detail)"])
            throw problem
        }
    }

    /// Whether two names are one host's: it may have been renamed.
    private func isSame(_ a: String, _ b: String) async throws -> Bool {
        try await site.pool.withConnection { connection in
            guard let first = try await HostTable.reporting(as: a, connection) else { return false }
            return try await HostTable.reporting(as: b, connection)?.id == first.id
        }
    }

    /// Reads a body and makes a batch of it, within the bounds of what may be under way.
    private func decoded(_ request: Request, _ encoding: ReadingsEncoding, isJSON: Bool) async throws -> ReadingsRecord {
        let limit = isJSON ? ReadingsDecoding.jsonBytes : WireLimits.batchBytes
        let declared = request.headers[.contentLength].flatMap { Int($0) } ?? limit
        guard !site.readings.isFull else {
            try await request.discardBody()
            throw Problem.busy
        }
        // One that is too long is read and thrown away: it takes no memory.
        do {
            return try await site.admission.admit(declared > limit ? 0 : declared) {
                let body = try await request.body(limit: limit)
                return try await site.admission.decode {
                    // A batch's digest is over its bytes before compression: an agent may send it again compressed otherwise, or not at all.
                    let bytes = try encoding.decode(body, limit: limit)
                    return isJSON ? try ReadingsDecoding.decode(json: bytes) : try ReadingsDecoding.decode(bytes)
                }
            }
        } catch let problem as Problem where problem.status == .tooManyRequests {
            try await request.discardBody()
            throw problem
        }
    }

    private func accept(_ request: Request, _ grant: TokenGrant) async throws -> Response {
        let encoding = try ReadingsEncoding(header: request.headers[.contentEncoding])
        let type = request.headers[.contentType]?.split(separator: ";").first.map { String($0).trimmed }
        guard type == "application/x-protobuf" || type == "application/json" else {
            throw Problem(
                type: "unsupported-media-type",
                title: "The media type is not supported",
                detail: "expected application/x-protobuf or application/json, found \(type ?? "none")",
                status: .unsupportedMediaType
            )
        }
        let record = try await decoded(request, encoding, isJSON: type == "application/json")
        if let hostName = grant.hostName, hostName != record.hostName, try await !isSame(hostName, record.hostName) {
            throw Problem.forbidden(
                "other-host",
                "the token \(grant.name) is for host \(hostName), the batch is of host \(record.hostName)"
            )
        }
        let outcome: ReadingsOutcome
        do {
            outcome = try await site.readings.commit(ReadingsDelivery(record: record, tokenID: grant.id))
        } catch let error as PostgresError where error.isContentFault {
            // Content that no check foresaw: it would fail again, and the agent must not try for ever.
            throw Problem.unprocessable(
                "invalid-batch",
                "The batch cannot be stored",
                "\(error.message) (SQLSTATE \(error.sqlState ?? "unknown"))"
            )
        } catch let fault as ReadingsFault {
            throw Problem.unprocessable("invalid-batch", "The batch contradicts what came before", fault.description)
        }
        switch outcome {
        case .acknowledged(let sequence):
            site.metrics.batchesAccepted.increment()
            site.metrics.knotsAccepted.increment(by: record.knotCount)
            return try JSONValue.object(["acknowledged_seq": .integer(sequence), "received_at_us": .integer(site.now().microseconds)])
                .response()
        case .expected(let sequence):
            throw Problem(
                type: "missing-batches",
                title: "Batches are missing",
                detail: "expected batch \(sequence), found \(record.sequence)",
                status: .conflict,
                extra: ["expected_seq": .integer(sequence)]
            )
        case .conflict:
            throw Problem(
                type: "stream-conflict",
                title: "Another spool uses this stream",
                detail: "batch \(record.sequence) was committed with other content; draw a new incarnation",
                status: .conflict
            )
        case .otherMachine(let since):
            throw Problem.forbidden(
                "other-machine",
                "expected one machine to report as \(record.hostName), found two since \(RFC3339.format(since)), a cloned image perhaps: "
                    + "boot \(record.bootID) is not the one whose batches are taken. Give each a name and a token of its own "
                    + "(wattle-agent enrol)"
            )
        }
    }
}

extension Request {
    /// Reads the body and throws it away: a client that writes all before it reads would never see the answer.
    func discardBody() async throws {
        do { _ = try await body(limit: 0) } catch is Problem {}
    }
}
