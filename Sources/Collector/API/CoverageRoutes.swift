import Accounting
import Documents
import Energy
import Hummingbird
import Postgres
import Store

/// Which machines are measured, how, and how much of the time.
struct CoverageRoutes: Sendable {
    let site: Site

    func add(to router: Router<WattleContext>) {
        router.get("v1/coverage") { request, context in try await coverage(request, context) }
    }

    private func coverage(_ request: Request, _ context: WattleContext) async throws -> Response {
        try context.requireWholeReader()
        let now = site.now()
        let to = try request.time("to") ?? now
        let window = try RollUpParameters.window(
            from: try request.time("from") ?? to - Microseconds(7 * Microseconds.day.count),
            to: to,
            names: ("from", "to")
        )
        let hosts = try await site.bounded { try await RollUpTable.coverage(window, $0) }
        let inService = hosts.filter { !$0.isRetired }
        // The running hour is not in the ledger yet.
        let hours = Int64(Hour.touching(Interval(window.start, min(window.end, now.hour.start))).count)
        let roots = hosts.filter { $0.parent == nil }
        func sum(_ method: ShareMethod) -> Int128 { roots.reduce(0) { $0 + ($1.byMethod[method.rawValue] ?? 0) } }
        let jobs = ShareMethod.allCases.reduce(Int128(0)) { $0 + sum($1) }
        return try JSONValue.object([
            "window": .object(["from": .string(RFC3339.format(window.start)), "to": .string(RFC3339.format(window.end))]),
            "hosts": .array(hosts.map { json($0, hours: hours) }),
            "farm": .object([
                "hosts": .integer(Int64(inService.count)), "metered_hosts": .integer(Int64(inService.count { !$0.meters.isEmpty })),
                "modelled_hosts": .integer(Int64(inService.count { $0.meters.contains { $0.quality == "modelled" } })),
                "metered_uj": .string(String(roots.reduce(Int128(0)) { $0 + $1.meteredMicrojoules })), "jobs_uj": .string(String(jobs)),
                "by_method": parts(jobs, sum),
            ]),
        ]).response()
    }

    /// Parts of the jobs' energy; null where there is none.
    private func parts(_ jobs: Int128, _ sum: (ShareMethod) -> Int128) -> JSONValue {
        guard jobs > 0 else { return .null }
        return .object(
            Dictionary(
                uniqueKeysWithValues: ShareMethod.allCases.map {
                    ($0.rawValue, .number(Digits.rounded(Double(sum($0)) / Double(jobs), low: 0, high: 1e-4)))
                }
            )
        )
    }

    private func json(_ host: HostCoverage, hours: Int64) -> JSONValue {
        let jobs = host.byMethod.values.reduce(0, +)
        let time = Double(host.hours) * Microseconds.hour.seconds - host.unmetered.seconds
        let metered = hours > 0 ? max(0, min(1, time / (Double(hours) * Microseconds.hour.seconds))) : 0
        return .object([
            "name": .string(host.name), "pool": host.pool.map { .string($0) } ?? .null,
            "parent": host.parent.map { .string($0) } ?? .null, "retired": .bool(host.isRetired), "simulated": .bool(host.isSimulated),
            "grid_zone": host.gridZone.map { .string($0) } ?? .null,
            "meters": .array(
                host.meters.map { meter in
                    .object([
                        "name": .string(meter.name), "zone": .string(meter.zone), "sensor": .string(meter.sensor),
                        "quality": .string(meter.quality), "basis": .string(meter.basis),
                    ])
                }
            ), "metered_since": host.meteredSince.map { .string(RFC3339.format($0)) } ?? .null,
            "metered": .number(Digits.rounded(metered, low: 0, high: 1e-4)), "metered_uj": .string(String(host.meteredMicrojoules)),
            "jobs_uj": .string(String(jobs)), "by_method": parts(jobs) { host.byMethod[$0.rawValue] ?? 0 },
        ])
    }
}
