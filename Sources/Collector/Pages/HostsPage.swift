import Documents
import Energy
import Hummingbird
import Postgres
import Store

extension PageRoutes {
    private static let mostHosts = 1_000

    func hosts(_ request: Request, _ context: WattleContext) async throws -> Response {
        try context.requireWholeReader()
        let now = site.now()
        let found = try await site.bounded { connection in
            try await HostOverview.read(
                since: Timestamp(microseconds: now.microseconds - 7 * Microseconds.day.count),
                now: now,
                limit: Self.mostHosts + 1,
                connection
            )
        }
        let shown = found.prefix(Self.mostHosts)
        let inService = shown.filter { $0.host.retiredAtMicroseconds == nil }
        let retired = shown.filter { $0.host.retiredAtMicroseconds != nil }
        var pools: [(pool: String?, hosts: [HostOverview])] = []
        for host in inService {
            if pools.last?.pool == host.host.pool, !pools.isEmpty {
                pools[pools.count - 1].hosts.append(host)
            } else {
                pools.append((host.host.pool, [host]))
            }
        }
        var model: [String: Any] = ["has_hosts": !shown.isEmpty, "is_cut": found.count > Self.mostHosts, "limit": "\(Self.mostHosts)"]
        model["pools"] = pools.map { pool in
            [
                "pool": pool.pool.map { "Pool \($0)" } ?? (pools.count == 1 ? "Hosts" : "In no pool"),
                "count": Readable.count(Int64(pool.hosts.count), "host"), "hosts": pool.hosts.map { $0.model(now: now) },
            ] as [String: Any]
        }
        if !retired.isEmpty {
            model["out_of_service"] =
                ["count": Readable.count(Int64(retired.count), "host"), "hosts": retired.map { $0.model(now: now) }] as [String: Any]
        }
        return render("hosts", title: "Hosts", path: "/hosts", viewer: try context.viewer(site.access), model)
    }
}

extension HostOverview {
    fileprivate func model(now: Timestamp) -> [String: Any] {
        let quality = qualities.contains("modelled") ? "modelled" : qualities.joined(separator: ", ")
        let cpus = "\(host.cpus) CPUs\(host.cpuModel.isEmpty ? "" : ", \(host.cpuModel)")"
        var model: [String: Any] = [
            "name": host.name, "query": host.name.percentEncoded,
            "about": [
                isSimulated ? "simulated" : "", cpus, parent.map { "on \($0)" } ?? "", isEphemeral ? "ephemeral" : "",
                aliases.isEmpty ? "" : "also \(aliases.joined(separator: ", "))",
            ]
            .filter { !$0.isEmpty }.joined(separator: " · "),
            "metered": meteredMicrojoules.map { Readable.energy(Double($0)) } ?? "unknown",
            "on_jobs": jobsMicrojoules.map { Readable.energy(Double($0)) } ?? "unknown",
            "is_modelled": quality == "modelled" && meteredMicrojoules != nil,
            "jobs": "\(jobs)", "last_job": lastJobAt.map { "last \(Readable.seconds(now - $0)) ago" } ?? "none in 7 days",
            "runners": runners.isEmpty ? "none mapped" : Readable.count(Int64(runners.count), "runner"),
            "runner_names": runners.prefix(4).joined(separator: ", ") + (runners.count > 4 ? ", ..." : ""),
            "zone": host.gridZone ?? "no grid zone",
            "site": "PUE \(Readable.number(host.pue)), \(host.slots.map { "\(Readable.number($0)) slots" } ?? "slots not said")",
            "quality": quality.isEmpty ? "no meter" : quality, "quality_class": quality.isEmpty ? "none" : "",
            "seen": "\(Readable.seconds(now - Timestamp(microseconds: host.seenAtMicroseconds))) ago",
        ]
        // A template looks for what a row lacks in what is around it: every name is here.
        model["retired"] = ""
        model["on_jobs_part"] = ""
        if let metered = meteredMicrojoules, metered > 0, let own = jobsMicrojoules {
            model["on_jobs_part"] = "\(Readable.percents([own], of: metered)[0]) %"
        }
        if let retiredAt = host.retiredAtMicroseconds {
            model["retired"] = "retired \(Readable.time(Timestamp(microseconds: retiredAt))): \(retiredBecause ?? "")"
        }
        return model
    }
}
