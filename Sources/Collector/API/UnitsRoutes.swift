import Documents
import Energy
import Hummingbird
import Postgres
import Store

/// Where services say what they made: packages served, updates made.
struct UnitsRoutes: Sendable {
    let site: Site
    let rates: RateLimit
    let pace: AuditPace

    static let bodyBytes = 1 << 20
    static let unitsPerPost = 1_000

    func add(to router: Router<WattleContext>) {
        router.post("v1/units") { request, context in try await post(request, context) }
    }

    private func post(_ request: Request, _ context: WattleContext) async throws -> Response {
        let grant = try context.requireGrant(.ci)
        // A bearer that speaks of one job does not speak for a service.
        guard grant.bound.isEmpty else { throw Problem.forbidden("scope", "expected a token of scope ci, found one of an issuer") }
        _ = try rates.require("token \(grant.name)", requestsPerSecond: grant.claims.requestsPerSecond, now: site.now())
        // Units name no repository, host or instance: who may speak of some of these only speaks for no whole service.
        if !grant.claims.allowsEverything {
            let excess = Claims.Excess(field: "service", found: "units of a whole service", allowed: ["spans within the token's claims"])
            if pace.admits(grant.name, "units", now: site.now()) {
                try await site.pool.withConnection { try await ClaimCheck.audit(excess, who: "token \(grant.name)", $0) }
            }
            throw ClaimCheck.problem(excess, who: "token \(grant.name)")
        }
        let type = request.headers[.contentType]?.split(separator: ";").first.map { String($0).trimmed.lowercased() }
        guard type == nil || type == "application/json" else {
            throw Problem(
                type: "unsupported-media-type",
                title: "The media type is not supported",
                detail: "expected application/json, found \(type?.prefix(60) ?? "none")",
                status: .unsupportedMediaType
            )
        }
        let posted: JSONValue
        do {
            posted = try JSONValue(parsing: CredentialMask().masked(try await request.body(limit: Self.bodyBytes)))
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem.badRequest("malformed-json", "The body is not JSON", "expected an object of units, or an array of them")
        }
        let values = posted.array ?? [posted]
        guard values.count <= Self.unitsPerPost else {
            throw Problem.unprocessable("invalid-units", "Too many units", "expected at most \(Self.unitsPerPost), found \(values.count)")
        }
        var rows: [UnitsRow] = []
        for (index, value) in values.enumerated() {
            do {
                rows.append(try UnitsDocument.row(value, now: site.now()))
            } catch var problem as Problem {
                // One that is wrong refuses the whole array: nothing is half-written.
                if posted.array != nil { problem.extra["index"] = .integer(Int64(index)) }
                throw problem
            }
        }
        let taken = rows
        let isNew = try await site.pool.withConnection { connection in
            try await connection.transaction { tx in try await UnitsTable.put(taken, source: grant.source, tx) }
        }
        return try JSONValue.object([
            "accepted": .array(
                zip(rows, isNew).map { row, isNew in .object(["id": .string(row.id), "state": .string(isNew ? "new" : "replaced")]) }
            )
        ]).response(status: .accepted)
    }
}

/// Units as posted.
enum UnitsDocument {
    private static let known = ["id", "service", "activity", "unit", "count", "from", "to"]

    /// - Throws: `Problem` 422 naming the field, what was expected and what was found.
    static func row(_ value: JSONValue, now: Timestamp) throws -> UnitsRow {
        guard let fields = value.object else { throw problem("units", "an object", value) }
        func text(_ name: String) throws -> String? {
            guard let value = fields[name], !value.isNull else { return nil }
            guard let text = value.string, !text.isEmpty, text.utf8.count <= SpanDocument.nameLimit, !text.utf8.contains(0) else {
                throw problem(name, "a text of 1 to \(SpanDocument.nameLimit) bytes", value)
            }
            return text
        }
        func needed(_ name: String) throws -> String {
            guard let text = try text(name) else { throw problem(name, "a text of 1 to \(SpanDocument.nameLimit) bytes", .null) }
            return text
        }
        func time(_ name: String) throws -> Timestamp {
            guard let time = fields[name]?.string.flatMap(RFC3339.parse), time.microseconds >= 0, time <= now + .hour else {
                throw problem(
                    name,
                    "an RFC 3339 time such as 2026-09-01T09:00:00Z, at most an hour from now (\(RFC3339.format(now)))",
                    fields[name] ?? .null
                )
            }
            return time
        }
        if let unknown = fields.keys.sorted().first(where: { !known.contains($0) }) {
            throw problem(String(unknown.prefix(60)), "only \(known.joined(separator: ", "))", .string("another field"))
        }
        let (from, to) = (try time("from"), try time("to"))
        guard from < to else { throw problem("to", "a time after from (\(RFC3339.format(from)))", fields["to"] ?? .null) }
        guard to - from <= JobQuestion.longestWindow else {
            throw problem("to", "at most 366 days after from (\(RFC3339.format(from)))", fields["to"] ?? .null)
        }
        guard let count = fields["count"]?.double, (0...1e15).contains(count) else {
            throw problem("count", "a number from 0", fields["count"] ?? .null)
        }
        return UnitsRow(
            id: try needed("id"),
            service: try needed("service"),
            activity: try text("activity"),
            unit: try needed("unit"),
            count: count,
            interval: Interval(from, to)
        )
    }

    private static func problem(_ field: String, _ expected: String, _ found: JSONValue) -> Problem {
        let found = found.isNull ? "nothing" : found.described
        var problem = Problem.unprocessable(
            "invalid-units",
            "The units cannot be read",
            "field \(field): expected \(expected), found \(found)"
        )
        problem.extra["field"] = .string(field)
        return problem
    }
}
