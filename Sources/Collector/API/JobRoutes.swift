import Accounting
import Documents
import Energy
import HTTPTypes
import Hummingbird
import Postgres
import Store

/// Footprints of jobs and the ledgers of hosts.
struct JobRoutes: Sendable {
    let site: Site

    func add(to router: Router<WattleContext>) {
        router.get("v1/jobs/:id") { request, context in try await job(request, context) }
        router.get("v1/jobs") { request, context in try await jobs(request, context) }
        router.get("v1/hosts") { request, context in try await hosts(request, context) }
        router.get("v1/hosts/:name/hours") { request, context in try await hours(request, context) }
        router.get("data/jobs.csv") { request, context in try await csv(request, context) }
    }

    private func job(_ request: Request, _ context: WattleContext) async throws -> Response {
        let grant = try context.requireGrant(.read, .ci)
        let id = try context.pathPart("id")
        guard SpanKey.isJobID(id) else { throw Problem.notFound("expected a job id of 26 characters, found \(id.prefix(60))") }
        let policy = try policy(request)
        let found = try await site.snapshot { connection in
            try await FootprintReader(connection, now: site.now(), policy: policy).footprint(jobID: id)
        }
        guard let found else { throw Problem.notFound("there is no job with the id \(id)") }
        // Whoever posted a job may read it back; everything else takes a read token.
        if grant.scope == .ci && found.source != grant.name { _ = try context.requireGrant(.read) }
        return try found.json(baseURL: site.baseURL).response()
    }

    private func jobs(_ request: Request, _ context: WattleContext) async throws -> Response {
        _ = try context.requireGrant(.read)
        let policy = try policy(request)
        let query = request.uri.queryParameters
        func text(_ name: String) throws -> String? { try request.query(name) }
        var filter = SpanTable.Filter()
        filter.service = try text("service")
        filter.repository = try text("repository")
        filter.from = try time(request, "from")
        filter.to = try time(request, "to")
        if let limit = try text("limit") {
            guard let limit = Int(limit), (1...1_000).contains(limit) else {
                throw Problem.badRequest("bad-parameter", "A parameter cannot be read", "limit: expected 1 to 1000, found \(limit)")
            }
            filter.limit = limit
        }
        if let cursor = try text("cursor") {
            let parts = cursor.split(separator: "-")
            guard parts.count == 2, let t = Int64(parts[0]), SpanKey.isJobID(String(parts[1])) else {
                throw Problem.badRequest(
                    "bad-parameter",
                    "A parameter cannot be read",
                    "cursor: expected the one of a Link header, found \(cursor)"
                )
            }
            filter.after = (Timestamp(microseconds: t), String(parts[1]))
        }
        let key = try text("key")
        let hostName = try text("host")
        let answer: (spans: [SpanRow], footprints: [Footprint]) = try await site.snapshot { [filter] connection in
            var filter = filter
            let reader = FootprintReader(connection, now: site.now(), policy: policy)
            if let key {
                // A key is source/instance/id/attempt, and an id may hold slashes.
                let parts = key.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
                guard parts.count >= 4, let attempt = Int(parts.last ?? "") else { return ([], []) }
                let instance = parts[1] == "-" ? "" : parts[1]
                let id = parts[2..<(parts.count - 1)].joined(separator: "/")
                let jobID = SpanKey(source: parts[0], instance: instance, id: id, attempt: attempt).jobID
                return ([], [try await reader.footprint(jobID: jobID)].compactMap { $0 })
            }
            if let hostName {
                guard let host = try await HostTable.find(name: hostName, connection) else { return ([], []) }
                filter.hostID = host.id
            }
            let spans = try await SpanTable.list(filter, connection)
            var footprints = try await reader.footprints(of: spans)
            if filter.after == nil && hostName == nil && filter.service == nil && filter.repository == nil && filter.from == nil
                && filter.to == nil
            {
                footprints += try await reader.waiting(limit: filter.limit - footprints.count).footprints
            }
            return (spans, footprints)
        }
        var headers = HTTPFields()
        if answer.spans.count == filter.limit, let last = answer.spans.last {
            var items = query.filter { $0.key != "cursor" }.map { "\($0.key)=\(percentEncoded(String($0.value)))" }
            items.append("cursor=\(last.startedAt.microseconds)-\(last.jobID)")
            headers[HTTPField.Name("Link")!] = "<\(site.baseURL)/v1/jobs?\(items.joined(separator: "&"))>; rel=\"next\""
        }
        return try JSONValue.object(["jobs": .array(answer.footprints.map { $0.json(baseURL: site.baseURL) })]).response(headers: headers)
    }

    private func hosts(_ request: Request, _ context: WattleContext) async throws -> Response {
        _ = try context.requireGrant(.read)
        let hosts = try await site.pool.withConnection { try await HostTable.all($0) }
        return try JSONValue.object([
            "hosts": .array(
                hosts.map { host in
                    .object([
                        "name": .string(host.name), "grid_zone": host.gridZone.map { .string($0) } ?? .null, "pue": .number(host.pue),
                        "slots": host.slots.map { .number($0) } ?? .null, "cpus": .integer(Int64(host.cpus)),
                        "cpu_model": .string(host.cpuModel),
                        "seen_at": .string(RFC3339.format(Timestamp(microseconds: host.seenAtMicroseconds))),
                    ])
                }
            )
        ]).response()
    }

    private func hours(_ request: Request, _ context: WattleContext) async throws -> Response {
        _ = try context.requireGrant(.read)
        let name = try context.pathPart("name")
        let now = site.now()
        let to = try time(request, "to") ?? now
        let from = try time(request, "from") ?? to - .day
        guard from < to else {
            throw Problem.badRequest(
                "bad-parameter",
                "A parameter cannot be read",
                "to: expected a time after from (\(RFC3339.format(from))), found \(RFC3339.format(to))"
            )
        }
        guard to - from <= Microseconds(Microseconds.day.count * 31) else {
            throw Problem.badRequest("bad-parameter", "Too long a time", "expected at most 31 days from from to to; ask for them in parts")
        }
        let withJobs = request.uri.queryParameters["jobs"] == "true"
        let answer: JSONValue? = try await site.snapshot { connection in
            guard let host = try await HostTable.find(name: name, connection) else { return nil }
            let reader = FootprintReader(connection, now: now, policy: .reserved)
            let hours = try await reader.hours(host: host, interval: Interval(from.hour.start, to), withJobs: withJobs)
            let spans = withJobs ? try await names(of: hours, hostID: host.id, connection) : [:]
            return .object(["host": .string(host.name), "hours": .array(hours.map { $0.json(spans: spans) })])
        }
        guard let answer else { throw Problem.notFound("there is no host \(name); a host appears with its agent's first batch") }
        return try answer.response()
    }

    private func names(
        of hours: [HostHourAnswer],
        hostID: Int32,
        _ connection: PostgresConnection
    ) async throws -> [Int64: (jobID: String, key: String, job: String?)] {
        var names: [Int64: (jobID: String, key: String, job: String?)] = [:]
        for spanID in Set(hours.flatMap { $0.slices.map(\.slice.spanID) }) {
            guard let span = try await SpanTable.find(hostID: hostID, spanID: spanID, connection),
                let row = try await SpanTable.key(jobID: span.jobID, connection)
            else { continue }
            let key = SpanKey(source: row.source, instance: row.instance, id: row.id, attempt: Int(row.attempt))
            let job = try JSONValue(parsing: Array(span.documentJSON.utf8)).object?["job"]?.string
            names[spanID] = (span.jobID, key.text, job)
        }
        return names
    }

    /// All jobs, newest first, streamed; the memory it takes does not grow with their number.
    private func csv(_ request: Request, _ context: WattleContext) async throws -> Response {
        _ = try context.requireGrant(.read)
        let policy = try policy(request)
        let site = site
        let body = ResponseBody { writer in
            try await writer.write(ByteBuffer(string: JobsCSV.header))
            var filter = SpanTable.Filter()
            filter.limit = 500
            while true {
                let page: (spans: [SpanRow], footprints: [Footprint]) = try await site.snapshot { [filter] connection in
                    let spans = try await SpanTable.list(filter, connection)
                    let reader = FootprintReader(connection, now: site.now(), policy: policy)
                    return (spans, try await reader.footprints(of: spans))
                }
                try await writer.write(ByteBuffer(string: page.footprints.map(JobsCSV.record).joined()))
                guard page.spans.count == filter.limit, let last = page.spans.last else { break }
                filter.after = (last.startedAt, last.jobID)
            }
            var after: (receivedAt: Int64, jobID: String)?
            while true {
                let page = try await site.snapshot { [after] connection in
                    try await FootprintReader(connection, now: site.now(), policy: policy).waiting(limit: 500, after: after)
                }
                try await writer.write(ByteBuffer(string: page.footprints.map(JobsCSV.record).joined()))
                guard let next = page.next else { break }
                after = next
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok,
            headers: [.contentType: "text/csv; charset=utf-8; header=present", .cacheControl: "no-store"],
            body: body
        )
    }

    private func policy(_ request: Request) throws -> Policy {
        guard let text = try request.query("policy") else { return .reserved }
        guard let policy = Policy(rawValue: text) else {
            let expected = Policy.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.badRequest("bad-parameter", "A parameter cannot be read", "policy: expected \(expected), found \(text)")
        }
        return policy
    }

    private func time(_ request: Request, _ name: String) throws -> Timestamp? {
        guard let text = try request.query(name) else { return nil }
        guard let time = RFC3339.parse(text) else {
            throw Problem.badRequest(
                "bad-parameter",
                "A parameter cannot be read",
                "\(name): expected an RFC 3339 time such as 2026-09-01T09:00:00Z, found \(text)"
            )
        }
        return time
    }

    private func percentEncoded(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || [45, 46, 95, 126].contains(byte)
            return isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }.joined()
    }
}
