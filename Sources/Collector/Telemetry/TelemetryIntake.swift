import Documents
import Energy
import Logging
import Postgres
import Store
import Synchronization
import Telemetry

/// Takes other exporters' series, whatever way they come: by the table to meters, and each host's into the database.
final class TelemetryIntake: Sendable {
    /// What became of the series of one request.
    struct Taken: Sendable {
        var outcome = TelemetryTable.Outcome()
        /// Samples of series that became meters.
        var mapped = 0
        /// Samples whose unit nobody knows.
        var unitless = 0
        /// Samples that were left out because their host is not the writer's.
        var forbidden = 0
        /// Hosts beyond what the writer may write for, as it named them.
        var excesses: [Claims.Excess] = []

        /// Samples that were left out although their series is a meter's, or would be one.
        var refused: Int { outcome.tally.impossible + outcome.tally.untimely + unitless }

        /// Why, and of which series; nil where none was refused.
        func reason(now: Timestamp) -> String? {
            if unitless > 0 { return "unit: expected J, kJ, Wh, kWh, W, kW or their like, of the quantity that the metric counts" }
            guard let fault = outcome.faults.first(where: { $0.reason != TelemetryTable.Unmapped.longSince }) else { return nil }
            return fault.reason == TelemetryTable.Unmapped.untimely
                ? "\(fault.name): expected times of 2020 to \(MeterCurve.tolerance.seconds) s from now (\(RFC3339.format(now))), found others"
                : "\(fault.name): expected numbers that the meter can have, found others"
        }
    }

    let rules: MeterRules
    let tallies = TelemetryTallies()
    private let pool: PostgresPool
    private let metrics: CollectorMetrics
    private let now: @Sendable () -> Timestamp
    private let info = Mutex(SeriesInfo())
    private let inside = Mutex(0)

    /// Of bodies that are being read: who stalls holds what it said it would send, and nothing else.
    let bodies = ReadingsAdmission(limitBytes: 64 << 20)

    /// Requests at a time whose bodies are all there: each holds what is unpacked of it, and one connection.
    static let mostInside = 6
    /// Chips and sensors of a large farm; more are nobody's, and what is known is learned again within a scrape.
    private static let mostInfos = 200_000

    init(rules: MeterRules, pool: PostgresPool, metrics: CollectorMetrics, now: @escaping @Sendable () -> Timestamp) {
        self.rules = rules
        self.pool = pool
        self.metrics = metrics
        self.now = now
    }

    /// Whether there is room for one more request; whoever is let in has to `leave`.
    func enter() -> Bool {
        inside.withLock { inside in
            guard inside < Self.mostInside else { return false }
            inside += 1
            return true
        }
    }

    func leave() { inside.withLock { $0 -= 1 } }

    /// Takes the series of one request. What is no meter is counted; it is no fault of the sender's.
    ///
    /// Each host's samples are written in a transaction of their own, hosts in order: a request that fails half-way is sent again, and what
    /// was written then changes nothing.
    ///
    /// - Parameters:
    ///   - source: by which way they came.
    ///   - grant: whose hosts they may be; nil for the collector's own scraper.
    func take(_ series: [TelemetrySeries], from source: String, grant: TokenGrant?) async throws -> Taken {
        let known = info.withLock { info in
            if info.labels.count > Self.mostInfos { info = SeriesInfo() }
            _ = rules.noteInfo(series, in: &info)
            return info
        }
        var taken = Taken()
        var byHost: [String: [MappedSeries]] = [:]
        for one in series {
            switch rules.map(one, known) {
            case .mapped(let mapped): byHost[mapped.hostName, default: []].append(mapped)
            case .ignored, .info: break
            case .unmapped(let reason):
                metrics.telemetrySeriesUnmapped.increment()
                tallies.note(one, reason)
                if reason == .noUnit { taken.unitless += one.samples.count }
            }
        }
        for (host, series) in byHost.sorted(by: { $0.key < $1.key }) {
            let samples = series.reduce(0) { $0 + $1.readings.count }
            metrics.telemetrySeriesMapped.increment(by: series.count)
            let outcome: TelemetryTable.Outcome? = try await pool.retriedTransaction { [self] tx in
                if let grant, try await !Self.allows(grant, host, tx) { return nil }
                return try await TelemetryTable.write(hostName: host, series, from: source, now: now(), tx)
            }
            if let outcome {
                taken.mapped += samples
                taken.outcome += outcome
                tallies.note(outcome.faults)
            } else {
                taken.forbidden += samples
                taken.excesses.append(Claims.Excess(field: "host", found: host, allowed: Self.allowed(grant)))
            }
        }
        metrics.telemetrySamples.increment(by: taken.outcome.tally.taken)
        metrics.telemetrySamplesSpare.increment(by: taken.outcome.tally.spare)
        metrics.telemetrySamplesRefused.increment(by: taken.outcome.tally.impossible + taken.outcome.tally.untimely)
        return taken
    }

    /// By the host that a name stands for: an alias is no way around.
    private static func allows(_ grant: TokenGrant, _ name: String, _ connection: PostgresConnection) async throws -> Bool {
        if grant.scope == .admin { return true }
        let host = try await HostTable.reporting(as: name, connection)
        if grant.scope == .agent {
            guard let own = grant.hostName else { return false }
            if own == name { return true }
            guard let host else { return false }
            return try await HostTable.reporting(as: own, connection)?.id == host.id
        }
        return grant.claims.allows(host: host?.name ?? name, pool: host?.pool)
    }

    private static func allowed(_ grant: TokenGrant?) -> [String] {
        guard let grant else { return [] }
        return grant.scope == .agent
            ? [grant.hostName].compactMap { $0 } : (grant.claims.hosts ?? []) + (grant.claims.pools ?? []).map { "pool \($0)" }
    }
}
