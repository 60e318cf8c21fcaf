import Accounting
import Documents
import Energy
import HTTPTypes
import Hummingbird
import Mustache
import Postgres
import Store

/// The pages people see.
struct PageRoutes: Sendable {
    let site: Site
    private let home: MustacheTemplate
    private let signIn: MustacheTemplate
    private let style: String

    init(site: Site) throws {
        self.site = site
        home = try MustacheTemplate(string: String(decoding: PackageResources.home_mustache, as: UTF8.self))
        signIn = try MustacheTemplate(string: String(decoding: PackageResources.sign_in_mustache, as: UTF8.self))
        style = String(decoding: PackageResources.style_css, as: UTF8.self)
    }

    func add(to router: Router<WattleContext>) {
        router.get("/") { request, context in try await showHome(request, context) }
        router.get("sign-in") { _, _ in showSignIn("Paste a read token to see footprints.") }
        router.post("sign-in") { request, context in try await takeToken(request, context) }
    }

    private func showSignIn(_ message: String, status: HTTPResponse.Status = .ok) -> Response {
        page(signIn.render(["style": style, "message": message]), status: status)
    }

    /// A token in a form becomes a cookie that scripts cannot read and other sites cannot send.
    private func takeToken(_ request: Request, _ context: WattleContext) async throws -> Response {
        let type = request.headers[.contentType]?.split(separator: ";").first.map { String($0).trimmed.lowercased() }
        guard type == "application/x-www-form-urlencoded" else {
            throw Problem(
                type: "unsupported-media-type",
                title: "The media type is not supported",
                detail: "expected application/x-www-form-urlencoded, found \(type?.prefix(60) ?? "none")",
                status: .unsupportedMediaType
            )
        }
        let form = String(decoding: try await request.body(limit: 4_096), as: UTF8.self)
        let sent = form.split(separator: "&").first { $0.hasPrefix("token=") }?.dropFirst(6) ?? ""
        guard let token = Token(String(sent).trimmed),
            let grant = try await site.pool.withConnection({ try await TokenTable.find(sha256: token.sha256, $0) }),
            grant.scope == .read || grant.scope == .admin
        else {
            return showSignIn(
                "That is no read token that counts: it is unknown, expired, revoked, or of another scope.",
                status: .forbidden
            )
        }
        let secure = site.baseURL.hasPrefix("https:") ? "; Secure" : ""
        return Response(
            status: .seeOther,
            headers: [
                .location: "/",
                .setCookie: "\(Authentication.cookie)=\(token.text); Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000\(secure)",
            ]
        )
    }

    private func showHome(_ request: Request, _ context: WattleContext) async throws -> Response {
        guard let grant = context.grant, grant.scope == .read || grant.scope == .admin else {
            return showSignIn(
                "Footprints are private here until something says public. Paste a read token to see them.",
                status: .unauthorized
            )
        }
        let now = site.now()
        let model: (hosts: [HomeHost], jobs: [Footprint]) = try await site.snapshot { connection in
            let reader = FootprintReader(connection, now: now, policy: .reserved)
            var hosts: [HomeHost] = []
            for host in try await HostTable.all(connection).prefix(100) {
                let hours = try await reader.hours(host: host, interval: Interval((now - .day).hour.next.start, now), withJobs: false)
                hosts.append(HomeHost(host: host, rows: hours.flatMap(\.rows)))
            }
            var filter = JobDirectory.Filter()
            filter.limit = 50
            let jobs = try await reader.footprints(of: try await JobDirectory.list(filter, connection))
            return (hosts, jobs)
        }
        let hosts = model.hosts.map { $0.model(now: now) }
        let jobs = model.jobs.map(Self.model)
        return page(
            home.render([
                "style": style, "base_url": site.baseURL, "hosts": hosts, "has_hosts": !hosts.isEmpty, "jobs": jobs,
                "has_jobs": !jobs.isEmpty,
            ])
        )
    }

    private static func model(_ job: Footprint) -> [String: String] {
        func reason(_ field: String) -> String { job.missing.first { $0.field == field }?.reason ?? "" }
        func text(_ field: String) -> String? { job.fields[field]?.string }
        var model: [String: String] = ["id": job.jobID, "name": text("job") ?? job.key, "host": job.hostName ?? "not said"]
        model["service"] = text("service") ?? text("repository") ?? job.source
        let finished = job.finishedAt.map { Timestamp(microseconds: $0.microseconds / 1_000_000 * 1_000_000) }
        model["finished"] = finished.map(RFC3339.format) ?? "running"
        model["state"] = job.state.rawValue
        model["quality"] = job.energy?.quality.rawValue ?? "unknown"
        model["energy"] = "unknown"
        model["energy_bounds"] = reason("energy")
        model["co2e"] = "unknown"
        model["co2e_bounds"] = reason("co2e.location_g")
        model["share"] = job.share.map { "share \($0.method.rawValue)" } ?? ""
        if let start = job.startedAt, let end = job.finishedAt { model["duration"] = "\(Readable.seconds(end - start)) long" }
        if let energy = job.energy {
            model["energy"] = Readable.energy(Double(energy.total.microjoules))
            model["energy_bounds"] = Readable.limits(energy.bounds.low / 3.6e9, energy.bounds.high / 3.6e9, "Wh")
        }
        if let grams = job.locationGrams {
            model["co2e"] = "\(Readable.number(grams.best)) g"
            model["co2e_bounds"] = Readable.limits(grams.low, grams.high, "g")
        }
        return model
    }

    private func page(_ html: String, status: HTTPResponse.Status = .ok) -> Response {
        var headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
            .contentSecurityPolicy:
                "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            .xContentTypeOptions: "nosniff",
        ]
        if status == .unauthorized { headers[.wwwAuthenticate] = Problem.challenge }
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: html)))
    }
}

/// A host's last day.
struct HomeHost: Sendable {
    let host: HostRow
    let rows: [LedgerRow]

    func model(now: Timestamp) -> [String: String] {
        let metered = rows.reduce(0.0) { $0 + Double($1.accounts.metered) }
        let jobs = rows.reduce(0.0) { $0 + Double($1.accounts.jobDynamic + $1.accounts.idleMoved.reserved) }
        let grams = rows.reduce(Double?.some(0)) { sum, row in sum.flatMap { sum in row.emissions.map { sum + Double($0.total) / 1e6 } } }
        let quality = rows.map(\.accounts.quality).max() ?? .unknown
        return [
            "name": host.name, "cpu": "\(host.cpus) CPUs, \(host.cpuModel)", "metered": rows.isEmpty ? "unknown" : Readable.energy(metered),
            "metered_bounds": rows.isEmpty
                ? ""
                : Readable.limits(
                    rows.reduce(0) { $0 + Double($1.accounts.meteredLow) } / 3.6e9,
                    rows.reduce(0) { $0 + Double($1.accounts.meteredHigh) } / 3.6e9,
                    "Wh"
                ),
            "jobs": rows.isEmpty ? "unknown" : Readable.energy(jobs), "quality": quality.rawValue,
            "co2e": rows.isEmpty ? "unknown" : grams.map { "\(Readable.number($0)) g" } ?? "unknown",
            "zone": host.gridZone ?? "no grid zone",
            "seen": "\(Readable.seconds(now - Timestamp(microseconds: host.seenAtMicroseconds))) ago",
        ]
    }
}

/// Figures as people read them: three digits.
enum Readable {
    static func number(_ value: Double) -> String {
        Digits.plain(Digits.rounded(value, low: -abs(value), high: abs(value)))
    }

    static func energy(_ microjoules: Double) -> String { "\(number(microjoules / 3.6e12)) kWh" }

    /// Limits in the unit that leaves no row of zeros: `0.574 to 58.6 mWh`.
    static func limits(_ low: Double, _ high: Double, _ unit: String) -> String {
        let scales: [(Double, String)] = [(1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ")]
        let (scale, prefix) = scales.first { abs(high) >= $0.0 } ?? (1e-6, "µ")
        return "\(number(low / scale)) to \(number(high / scale)) \(prefix)\(unit)"
    }

    static func seconds(_ duration: Microseconds) -> String {
        let seconds = duration.seconds
        if seconds < 100 { return "\(number(seconds)) s" }
        if seconds < 6_000 { return "\(Int(seconds / 60)) min" }
        return seconds < 172_800 ? "\(Int(seconds / 3_600)) h" : "\(Int(seconds / 86_400)) d"
    }
}
