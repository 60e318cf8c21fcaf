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
        ExplainRoute(site: site).add(to: router)
        router.get("v1/jobs") { request, context in try await jobs(request, context) }
        router.get("v1/hosts") { request, context in try await hosts(request, context) }
        router.get("v1/hosts/:name/hours") { request, context in try await hours(request, context) }
        router.get("data/jobs.csv") { request, context in try await csv(request, context) }
    }

    private func job(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let id = try context.pathPart("id")
        guard SpanKey.isJobID(id) else { throw Problem.notFound("expected a job id of 26 characters, found \(id.prefix(60))") }
        let policy = try request.policy()
        let now = site.now()
        let visibility = viewer.visibility(now: now)
        // Most jobs that are asked for are settled: one step. The others are computed from what the database holds now.
        let settled = try await site.pool.withConnection { connection in
            try await FootprintReader(connection, now: now, policy: policy).settledFootprint(jobID: id, for: visibility)
        }
        if let settled { return try settled.json(baseURL: site.baseURL, isPublic: viewer.isPublic).response() }
        let found = try await site.bounded { connection in
            try await FootprintReader(connection, now: now, policy: policy).footprint(jobID: id, for: visibility)
        }
        guard let found else { throw Problem.notFound("there is no job with the id \(id) that you may see") }
        return try found.json(baseURL: site.baseURL, isPublic: viewer.isPublic).response()
    }

    private func jobs(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let policy = try request.policy()
        let now = site.now()
        let question = try JobQuestion(request, viewer: viewer, now: now)
        let answer: (jobs: [JobRow], footprints: [Footprint]) = try await site.bounded { connection in
            let jobs = try await question.jobs(connection)
            return (jobs, try await FootprintReader(connection, now: now, policy: policy).footprints(of: jobs))
        }
        var headers = HTTPFields()
        if let next = question.next(after: answer.jobs) {
            headers[HTTPField.Name("Link")!] = "<\(site.baseURL)/v1/jobs?\(next)>; rel=\"next\""
        }
        let jobs = answer.footprints.map { $0.json(baseURL: site.baseURL, isPublic: viewer.isPublic) }
        return try JSONValue.object(["jobs": .array(jobs), "window": question.windowJSON]).response(headers: headers)
    }

    private func hosts(_ request: Request, _ context: WattleContext) async throws -> Response {
        try context.requireWholeReader()
        let now = site.now()
        let (hosts, simulated) = try await site.pool.withConnection {
            (try await HostTable.all(at: now, $0), try await SimulatedHosts.ids($0))
        }
        return try JSONValue.object([
            "hosts": .array(
                hosts.map { host in
                    .object([
                        "name": .string(host.name), "grid_zone": host.gridZone.map { .string($0) } ?? .null, "pue": .number(host.pue),
                        "slots": host.slots.map { .number($0) } ?? .null, "cpus": .integer(Int64(host.cpus)),
                        "cpu_model": .string(host.cpuModel), "simulated": .bool(simulated.contains(host.id)),
                        "seen_at": .string(RFC3339.format(Timestamp(microseconds: host.seenAtMicroseconds))),
                    ])
                }
            )
        ]).response()
    }

    private func hours(_ request: Request, _ context: WattleContext) async throws -> Response {
        try context.requireWholeReader()
        let name = try context.pathPart("name")
        let now = site.now()
        let to = try request.time("to") ?? now
        let from = try request.time("from") ?? to - .day
        guard from < to else {
            throw Problem.unprocessable(
                "bad-parameter",
                "A parameter makes no sense",
                "to: expected a time after from (\(RFC3339.format(from))), found \(RFC3339.format(to))"
            )
        }
        guard to - from <= Microseconds(Microseconds.day.count * 31) else {
            throw Problem.unprocessable(
                "bad-parameter",
                "Too long a time",
                "expected at most 31 days from from to to; ask for them in parts"
            )
        }
        let withJobs = try withJobs(request)
        let answer: JSONValue? = try await site.snapshot { connection in
            guard let host = try await HostTable.find(name: name, connection) else { return nil }
            let reader = FootprintReader(connection, now: now, policy: .reserved)
            let hours = try await reader.hours(host: host, interval: Interval(from.hour.start, to), withJobs: withJobs)
            let parts = withJobs ? try await HourPart.all(of: hours, hostID: host.id, connection) : [:]
            let intensityIDs = Set(hours.flatMap { $0.rows.flatMap(\.intensityIDs) }).sorted()
            let sources = try await IntensityTable.sources(of: intensityIDs, connection)
            let carbon = try await reader.carbon(of: host, hours, over: Interval(from.hour.start, to))
            return .object([
                "host": .string(host.name), "hours": .array(hours.map { $0.json(parts: parts, sources: sources) }),
                "carbon": carbon.json,
            ])
        }
        guard let answer else { throw Problem.notFound("there is no host \(name); a host appears with its agent's first batch") }
        return try answer.response()
    }

    /// The jobs of a window, newest first, streamed; the memory it takes does not grow with their number.
    private func csv(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let policy = try request.policy()
        let site = site.asWanted
        let now = site.now()
        var question = try JobQuestion(request, viewer: viewer, now: now)
        question.filter.limit = 500
        let first = question
        let body = ResponseBody { writer in
            var question = first
            try await writer.write(ByteBuffer(string: JobsCSV.header))
            while true {
                let page: (jobs: [JobRow], footprints: [Footprint]) = try await site.bounded { [question] connection in
                    let jobs = try await question.jobs(connection)
                    return (jobs, try await FootprintReader(connection, now: now, policy: policy).footprints(of: jobs))
                }
                try await writer.write(
                    ByteBuffer(string: page.footprints.map { JobsCSV.record($0, isPublic: viewer.isPublic) }.joined())
                )
                guard page.jobs.count == question.filter.limit, let last = page.jobs.last, let startedAt = last.startedAt else { break }
                question.filter.after = (startedAt, last.jobID)
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok,
            headers: [.contentType: "text/csv; charset=utf-8; header=present", .cacheControl: "no-store"],
            body: body
        )
    }

    private func withJobs(_ request: Request) throws -> Bool {
        guard let text = try request.query("jobs") else { return false }
        guard let answer = Bool(text) else {
            throw Problem.badRequest(
                "bad-parameter",
                "A parameter cannot be read",
                "jobs: expected true or false, found \(text.prefix(60))"
            )
        }
        return answer
    }
}
