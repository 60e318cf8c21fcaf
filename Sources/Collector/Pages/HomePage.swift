import Documents
import Accounting
import Energy
import Hummingbird
import Postgres
import Store

extension PageRoutes {
    private static let mostHosts = 100

    /// Without a token: public jobs; where there are none, the sign-in page, which tells a visitor more than an empty list.
    func home(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let now = site.now()
        let found: HomePage = try await site.bounded { connection in
            let reader = FootprintReader(connection, now: now, policy: .reserved)
            var page = HomePage()
            if viewer.seesHosts {
                let week = Interval(Timestamp(microseconds: now.microseconds - 7 * Microseconds.day.count), now)
                var accounts = try await EnergyAccounts.read(week, connection)
                let hosts = try await HostTable.all(connection).filter { $0.retiredAtMicroseconds == nil }
                page.isCut = hosts.count > Self.mostHosts
                let simulated = try await SimulatedHosts.ids(connection)
                for host in hosts.prefix(Self.mostHosts) {
                    let day = Interval((now - .day).hour.next.start, now)
                    let hours = try await reader.hours(host: host, interval: day, withJobs: false)
                    page.hosts.append(HomeHost(host: host, rows: hours.flatMap(\.rows)))
                    // The ledger never holds the running hour.
                    let isCounted = host.parentID == nil && (!simulated.contains(host.id) || simulated.count == hosts.count)
                    for hour in hours where isCounted && hour.hour.end > now { accounts.add(hour.rows.map(\.accounts)) }
                }
                page.accounts = accounts
                page.hostless = try await JobDirectory.hostlessCount(week, atMost: 10_000, connection)
            }
            var filter = JobDirectory.Filter()
            filter.visibility = viewer.visibility(now: now)
            filter.limit = 50
            if viewer.isPublic { filter.from = now - JobQuestion.usualWindow }
            page.jobs = try await JobDirectory.list(filter, connection)
            page.footprints = try await reader.footprints(of: page.jobs)
            return page
        }
        if viewer.isPublic, found.jobs.isEmpty {
            return showSignIn(
                "Footprints are private here until something says public. Paste a read token to see them.",
                status: .unauthorized
            )
        }
        var model: [String: Any] = ["sees_hosts": viewer.seesHosts, "has_hosts": !found.hosts.isEmpty, "is_cut": found.isCut]
        model["hosts"] = found.hosts.map { $0.model(now: now) }
        if let accounts = found.accounts, !found.hosts.isEmpty { model["accounts"] = accounts.model(hostless: found.hostless) }
        let rows = Dictionary(found.jobs.map { ($0.jobID, $0) }) { $1 }
        let jobs = found.footprints.compactMap { footprint in
            rows[footprint.jobID].map { JobFigures(footprint, $0, isPublic: viewer.isPublic).row }
        }
        model["jobs"] = jobs
        model["has_jobs"] = !jobs.isEmpty
        return render("home", title: "Wattle", path: "/", viewer: viewer, model)
    }
}

private struct HomePage: Sendable {
    var accounts: EnergyAccounts?
    var hostless = 0
    var hosts: [HomeHost] = []
    var isCut = false
    var jobs: [JobRow] = []
    var footprints: [Footprint] = []
}

/// A host's last day.
struct HomeHost: Sendable {
    let host: HostRow
    let rows: [LedgerRow]

    func model(now: Timestamp) -> [String: Any] {
        let metered = rows.reduce(0.0) { $0 + Double($1.accounts.metered) }
        let jobs = rows.reduce(0.0) { $0 + Double($1.accounts.jobDynamic + $1.accounts.idleMoved.reserved) }
        let grams = rows.reduce(Double?.some(0)) { sum, row in sum.flatMap { sum in row.emissions.map { sum + Double($0.total) / 1e6 } } }
        let quality = rows.map(\.accounts.quality).max() ?? .unknown
        return [
            "name": host.name, "query": host.name.percentEncoded, "cpu": "\(host.cpus) CPUs, \(host.cpuModel)",
            "metered": rows.isEmpty ? "unknown" : Readable.energy(metered),
            "metered_bounds": rows.isEmpty
                ? ""
                : Readable.limits(
                    rows.reduce(0) { $0 + Double($1.accounts.meteredLow) } / 3.6e9,
                    rows.reduce(0) { $0 + Double($1.accounts.meteredHigh) } / 3.6e9,
                    "Wh"
                ),
            "jobs": rows.isEmpty ? "unknown" : Readable.energy(jobs), "quality": quality.rawValue, "is_modelled": quality == .modelled,
            "co2e": rows.isEmpty ? "unknown" : grams.map { "\(Readable.number($0)) g" } ?? "unknown",
            "zone": host.gridZone ?? "no grid zone",
            "seen": "\(Readable.seconds(now - Timestamp(microseconds: host.seenAtMicroseconds))) ago",
        ]
    }
}

extension EnergyAccounts {
    fileprivate func model(hostless: Int) -> [String: Any] {
        var parts: [(account: String, how: String, key: String, microjoules: Int128)] = jobs.map {
            ("jobs", Readable.method($0.method), $0.method, $0.microjoules)
        }
        parts += [
            ("guests", "hosts on these hosts, with their jobs", "guests", nestedMicrojoules),
            ("system", "what else ran", "system", systemMicrojoules), ("agent", "measuring itself", "agent", agentMicrojoules),
            ("idle", "that no job reserved", "idle", idleMicrojoules),
            ("unknown", "metered, owner not known", "unknown", unknownMicrojoules),
        ]
        parts = parts.filter { $0.microjoules > 0 }
        let percents = Readable.percents(parts.map(\.microjoules), of: meteredMicrojoules)
        let modelled = meteredMicrojoules > 0 && modelledMicrojoules >= meteredMicrojoules
        return [
            "metered": meteredMicrojoules == 0 ? "nothing yet" : Readable.energy(Double(meteredMicrojoules)),
            "metered_bounds": meteredMicrojoules == 0
                ? "" : Readable.limits(Double(meteredLowMicrojoules) / 3.6e9, Double(meteredHighMicrojoules) / 3.6e9, "Wh"),
            "is_modelled": modelledMicrojoules > 0,
            "modelled": modelled ? "modelled" : "\(Readable.percents([modelledMicrojoules], of: meteredMicrojoules)[0]) % modelled",
            "jobs_percent": meteredMicrojoules == 0 ? "unknown" : "\(Readable.percents([jobsMicrojoules], of: meteredMicrojoules)[0]) %",
            "jobs": Readable.energy(Double(jobsMicrojoules)), "hostless": hostless >= 10_000 ? "10000 or more" : "\(hostless)",
            "has_hostless": hostless > 0, "has_parts": !parts.isEmpty,
            "parts": zip(parts, percents).map { part, percent in
                [
                    "account": part.account, "how": part.how, "class": part.key, "energy": Readable.energy(Double(part.microjoules)),
                    "percent": percent,
                ]
            },
        ]
    }
}
