import Accounting
import Documents
import Energy
import HTTPTypes
import Hummingbird
import Postgres
import Store

/// Which jobs somebody asks for: filters, a window of time that cannot be unbounded, and a page of it.
struct JobQuestion: Sendable {
    var filter = JobDirectory.Filter()
    private let hostName: String?
    private let key: SpanKey?
    private let parameters: [(name: String, value: String)]

    /// Longest window, and the one of those who name none.
    static let longestWindow = Microseconds(366 * Microseconds.day.count)
    static let usualWindow = Microseconds(31 * Microseconds.day.count)
    static let mostPerPage = 1_000

    /// - Throws: `Problem` 400 naming the parameter.
    init(_ request: Request, viewer: Viewer, now: Timestamp) throws {
        filter.visibility = viewer.visibility(now: now)
        filter.service = try request.query("service")
        filter.repository = try request.query("repository")
        filter.activity = try request.query("activity")
        filter.team = try request.query("team")
        filter.pool = try request.query("pool")
        filter.runner = try request.query("runner")
        filter.source = try request.query("source")
        filter.release = try request.query("release")
        filter.hostClass = try request.query("host_class")
        hostName = try request.query("host")
        // A public job does not say where it ran; neither may a question find it out.
        if viewer.isPublic, hostName != nil || filter.runner != nil || filter.pool != nil {
            throw Problem.unauthorized("host, runner and pool: where a job ran is told to readers only; expected a token of scope read")
        }
        if let key = try request.query("key") {
            guard let parsed = SpanKey(key) else {
                throw Self.problem("key", "SOURCE/INSTANCE/ID/ATTEMPT as a footprint tells it", key)
            }
            self.key = parsed
        } else {
            key = nil
        }
        let to = try request.time("to")
        let from = try request.time("from")
        if let from, let to, from >= to {
            throw Self.contradiction("to", "a time after from (\(RFC3339.format(from)))", RFC3339.format(to))
        }
        let start = from ?? (to ?? now) - Self.usualWindow
        guard (to ?? now) - start <= Self.longestWindow else {
            throw Self.contradiction("from", "at most 366 days before to (by default now); ask for them in parts", RFC3339.format(start))
        }
        filter.from = start
        filter.to = to
        if let limit = try request.query("limit") {
            guard let number = Int(limit), (1...Self.mostPerPage).contains(number) else {
                throw Self.problem("limit", "1 to \(Self.mostPerPage)", limit)
            }
            filter.limit = number
        }
        if let cursor = try request.query("cursor") {
            let parts = cursor.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2, let t = Int64(parts[0]), SpanKey.isJobID(String(parts[1])) else {
                throw Self.problem("cursor", "the one of a Link header", cursor)
            }
            filter.after = (Timestamp(microseconds: t), String(parts[1]))
        }
        parameters = request.uri.queryParameters.map { (String($0.key), String($0.value)) }
    }

    func jobs(_ connection: PostgresConnection) async throws -> [JobRow] {
        if let key {
            return [try await JobDirectory.find(jobID: key.jobID, for: filter.visibility, connection)].compactMap { $0 }
        }
        var filter = filter
        if let hostName {
            guard let host = try await HostTable.find(name: hostName, connection) else { return [] }
            filter.hostID = host.id
        }
        return try await JobDirectory.list(filter, connection)
    }

    /// The query of the next page; nil after the last one.
    func next(after jobs: [JobRow]) -> String? {
        guard key == nil, jobs.count == filter.limit, let last = jobs.last, let startedAt = last.startedAt else { return nil }
        // A window that ends now would move from page to page.
        var items = parameters.filter { !["cursor", "from"].contains($0.name) }
        if let from = filter.from { items.append(("from", RFC3339.format(from))) }
        items.append(("cursor", "\(startedAt.microseconds)-\(last.jobID)"))
        return items.map { "\($0.name)=\($0.value.percentEncoded)" }.joined(separator: "&")
    }

    var windowJSON: JSONValue {
        .object([
            "from": filter.from.map { .string(RFC3339.format($0)) } ?? .null, "to": filter.to.map { .string(RFC3339.format($0)) } ?? .null,
        ])
    }

    /// What can be read and makes no sense.
    private static func contradiction(_ name: String, _ expected: String, _ found: String) -> Problem {
        .unprocessable("bad-parameter", "A parameter makes no sense", "\(name): expected \(expected), found \(found.prefix(200))")
    }

    private static func problem(_ name: String, _ expected: String, _ found: String) -> Problem {
        .badRequest("bad-parameter", "A parameter cannot be read", "\(name): expected \(expected), found \(found.prefix(200))")
    }
}

extension Request {
    /// How idle energy is shared out in the answer.
    ///
    /// - Throws: `Problem` 400.
    func policy() throws -> Policy {
        guard let text = try query("policy") else { return .reserved }
        guard let policy = Policy(rawValue: text) else {
            let expected = Policy.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.badRequest("bad-parameter", "A parameter cannot be read", "policy: expected \(expected), found \(text)")
        }
        return policy
    }

    /// A time of the query.
    ///
    /// - Throws: `Problem` 400.
    func time(_ name: String) throws -> Timestamp? {
        guard let text = try query(name) else { return nil }
        guard let time = RFC3339.parse(text) else {
            throw Problem.badRequest(
                "bad-parameter",
                "A parameter cannot be read",
                "\(name): expected an RFC 3339 time such as 2026-09-01T09:00:00Z, found \(text.prefix(60))"
            )
        }
        return time
    }
}
