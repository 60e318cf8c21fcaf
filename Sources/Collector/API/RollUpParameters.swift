import Accounting
import Documents
import Energy
import Hummingbird
import Postgres
import Store

/// What somebody asks to be summed: by what, over which time, and of which jobs.
struct RollUpParameters: Sendable {
    var question: RollUpQuestion
    private let hostName: String?
    private let parameters: [(name: String, value: String)]

    static let mostKeys = 3
    static let mostPerPage = 1_000
    /// Longest time that is told by the hour.
    static let longestByHour = Microseconds(31 * Microseconds.day.count)

    /// - Parameters:
    ///   - keys: of the route; nil where the question says `by`.
    ///   - other: names under which the route asks for a field: `purl` for `release`.
    ///   - window: nil to read `from` and `to`.
    /// - Throws: `Problem` 400, 401 or 422 naming the parameter.
    init(
        _ request: Request,
        viewer: Viewer,
        now: Timestamp,
        keys: [RollUpKey]?,
        other: [String: String] = [:],
        window: Interval? = nil
    ) throws {
        func value(_ name: String) throws -> String? { try request.query(other[name] ?? name) }
        var question = RollUpQuestion(try window ?? Self.window(request, now: now))
        question.visibility = viewer.visibility(now: now)
        question.keys = try keys ?? Self.keys(request)
        question.filter.service = try value("service")
        question.filter.activity = try value("activity")
        question.filter.team = try value("team")
        question.filter.repository = try value("repository")
        question.filter.pipeline = try value("pipeline")
        question.filter.job = try value("job")
        question.filter.release = try value("release")
        question.filter.relation = try value("relation")
        question.filter.pool = try value("pool")
        question.filter.source = try value("source")
        hostName = try value("host")
        if let group = try request.query("group") {
            guard let bucket = RollUpBucket(rawValue: group) else { throw Self.unreadable("group", "hour, day or month", group) }
            question.bucket = bucket
        }
        if question.bucket == .hour, question.interval.duration > Self.longestByHour {
            throw Self.contradiction("group", "at most 31 days by the hour; ask for days, or in parts", "hour")
        }
        if let policy = try request.query("policy") {
            guard let known = Policy(rawValue: policy) else {
                throw Self.unreadable("policy", Policy.allCases.map(\.rawValue).joined(separator: ", "), policy)
            }
            question.policy = known
        }
        if let limit = try request.query("limit") {
            guard let number = Int(limit), (1...Self.mostPerPage).contains(number) else {
                throw Self.unreadable("limit", "1 to \(Self.mostPerPage)", limit)
            }
            question.limit = number
        } else {
            question.limit = 100
        }
        if let cursor = try request.query("cursor") {
            guard let number = Int(cursor), (1...1_000_000_000).contains(number) else {
                throw Self.unreadable("cursor", "the one of a Link header", cursor)
            }
            question.offset = number
        }
        if viewer.isPublic { try Self.requirePublic(question, hostName: hostName) }
        self.question = question
        parameters = request.uri.queryParameters.map { (String($0.key), String($0.value)) }
    }

    /// Where jobs ran is told to readers only, and nobody known may cut sums so finely that a difference of two is one job.
    private static func requirePublic(_ question: RollUpQuestion, hostName: String?) throws {
        let isOfMachines = question.keys.contains(.host) || question.keys.contains(.pool) || hostName != nil || question.filter.pool != nil
        guard !isOfMachines else {
            throw Problem.unauthorized("host and pool: where jobs ran is told to readers only; expected a token of scope read")
        }
        guard question.keys.count <= 1, question.filter.count <= 1 else {
            throw Problem.unauthorized("expected at most one key and one filter without a token, or a token of scope read")
        }
    }

    private static func keys(_ request: Request) throws -> [RollUpKey] {
        guard let text = try request.query("by") else { return [] }
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let keys = names.compactMap(RollUpKey.init(rawValue:))
        guard keys.count == names.count, (1...mostKeys).contains(keys.count) else {
            let known = RollUpKey.allCases.map(\.rawValue).joined(separator: ", ")
            throw unreadable("by", "one to \(mostKeys) of \(known), with commas between", text)
        }
        return RollUpKey.allCases.filter { keys.contains($0) }
    }

    /// Whole UTC hours; the last 31 days where nothing is said.
    private static func window(_ request: Request, now: Timestamp) throws -> Interval {
        let to = try request.time("to") ?? now
        let from = try request.time("from") ?? to - JobQuestion.usualWindow
        return try window(from: from, to: to, names: ("from", "to"))
    }

    static func window(from: Timestamp, to: Timestamp, names: (from: String, to: String)) throws -> Interval {
        guard from < to else {
            throw contradiction(names.to, "a time after \(names.from) (\(RFC3339.format(from)))", RFC3339.format(to))
        }
        guard to - from <= JobQuestion.longestWindow else {
            throw contradiction(names.from, "at most 366 days before \(names.to); ask for them in parts", RFC3339.format(from))
        }
        return Interval(from.hour.start, Timestamp(microseconds: to.microseconds - 1).hour.end)
    }

    var asksForHost: Bool { hostName != nil }

    /// With the host's number; nil where there is no such host.
    func resolved(_ connection: PostgresConnection) async throws -> RollUpQuestion? {
        guard let hostName else { return question }
        guard let host = try await HostTable.find(name: hostName, connection) else { return nil }
        var question = question
        question.filter.hostID = host.id
        return question
    }

    /// The query of the next page.
    var next: String {
        // A window that ends now would move from page to page.
        var items = parameters.filter { !["cursor", "from", "to"].contains($0.name) }
        items.append(("from", RFC3339.format(question.interval.start)))
        items.append(("to", RFC3339.format(question.interval.end)))
        items.append(("cursor", "\(question.offset + question.limit)"))
        return items.map { "\($0.name)=\($0.value.percentEncoded)" }.joined(separator: "&")
    }

    static func contradiction(_ name: String, _ expected: String, _ found: String) -> Problem {
        var problem = Problem.unprocessable(
            "bad-parameter",
            "A parameter makes no sense",
            "\(name): expected \(expected), found \(found.prefix(200))"
        )
        problem.extra["field"] = .string(name)
        return problem
    }

    static func unreadable(_ name: String, _ expected: String, _ found: String) -> Problem {
        .badRequest("bad-parameter", "A parameter cannot be read", "\(name): expected \(expected), found \(found.prefix(200))")
    }
}
