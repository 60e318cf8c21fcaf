public import Accounting
public import Energy
public import Postgres

/// Whose the metered energy of all hosts was, over settled hours, and on what evidence jobs got their part. Idle as the policy
/// `reserved` shares it out. A host within a host is its parent's energy and is not counted again.
public struct EnergyAccounts: Sendable, Hashable {
    /// What jobs got by one method, in µJ.
    public struct JobEnergy: Sendable, Hashable {
        /// `measured`, `measured_client`, `declared`, `equal`.
        public var method: String
        public var dynamicMicrojoules: Int64
        public var idleMicrojoules: Int64

        public var microjoules: Int64 { dynamicMicrojoules + idleMicrojoules }
    }

    public var meteredMicrojoules: Int64 = 0
    /// Hard limits of the metered energy.
    public var meteredLowMicrojoules: Int64 = 0
    public var meteredHighMicrojoules: Int64 = 0
    /// The part of it that a model says and no sensor.
    public var modelledMicrojoules: Int64 = 0
    public var systemMicrojoules: Int64 = 0
    public var agentMicrojoules: Int64 = 0
    /// Idle that no job reserved.
    public var idleMicrojoules: Int64 = 0
    public var unknownMicrojoules: Int64 = 0
    /// What hosts on these hosts drew, idle energy that they reserved included; jobs on them are in it.
    public var nestedMicrojoules: Int64 = 0
    /// Most evidence first; methods that no job had are left out.
    public var jobs: [JobEnergy] = []
    public var hosts = 0
    public var hostHours = 0
    /// Time in which a component of a host was not metered.
    public var unmetered = Microseconds.zero

    public init() {}

    public var jobsMicrojoules: Int64 { jobs.reduce(0) { $0 + $1.microjoules } }

    /// What is made up counts only where there is nothing else.
    private static let isCounted = "(NOT h.is_simulated OR NOT EXISTS (SELECT FROM host WHERE NOT is_simulated))"

    public static func read(_ interval: Interval, _ connection: PostgresConnection) async throws -> EnergyAccounts {
        let values: [PostgresValue?] = [
            .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds),
        ]
        let total = try await connection.query(
            Statement(
                "energy_accounts",
                """
                SELECT coalesce(sum(metered_uj), 0)::bigint AS metered, coalesce(sum(metered_low_uj), 0)::bigint AS low,
                    coalesce(sum(metered_high_uj), 0)::bigint AS high,
                    coalesce(sum(metered_uj) FILTER (WHERE quality = 'modelled'), 0)::bigint AS modelled,
                    coalesce(sum(system_uj), 0)::bigint AS system, coalesce(sum(agent_uj), 0)::bigint AS agent,
                    coalesce(sum(idle_uj - idle_reserved_uj), 0)::bigint AS idle, coalesce(sum(unknown_uj), 0)::bigint AS unknown,
                    coalesce(sum(unmetered_us), 0)::bigint AS unmetered, count(DISTINCT l.host_id) AS hosts,
                    count(DISTINCT (l.host_id, l.hour)) AS hours
                FROM host h CROSS JOIN LATERAL (
                    SELECT * FROM host_hour x WHERE x.host_id = h.host_id AND x.hour >= $1 AND x.hour < $2
                ) l WHERE \(isCounted) AND l.flags & \(AccountFlags.derived.rawValue) = 0
                """
            ),
            values
        ).only()
        var accounts = EnergyAccounts()
        accounts.meteredMicrojoules = try total.int64("metered")
        accounts.meteredLowMicrojoules = try total.int64("low")
        accounts.meteredHighMicrojoules = try total.int64("high")
        accounts.modelledMicrojoules = try total.int64("modelled")
        accounts.systemMicrojoules = try total.int64("system")
        accounts.agentMicrojoules = try total.int64("agent")
        accounts.idleMicrojoules = try total.int64("idle")
        accounts.unknownMicrojoules = try total.int64("unknown")
        accounts.unmetered = Microseconds(try total.int64("unmetered"))
        accounts.hosts = Int(try total.int64("hosts"))
        accounts.hostHours = Int(try total.int64("hours"))
        let found = try await connection.query(
            Statement(
                "energy_by_share_method",
                """
                SELECT CASE WHEN s.span_id < 0 THEN 'nested' ELSE s.share_method END AS share_method, sum(s.dynamic_uj)::bigint AS dynamic,
                    sum(s.idle_reserved_uj)::bigint AS idle
                FROM host h CROSS JOIN LATERAL (
                    SELECT x.span_id, share_method, dynamic_uj, x.idle_reserved_uj FROM slice x JOIN host_hour l USING (host_id, hour, component)
                    WHERE x.host_id = h.host_id AND x.hour >= $1 AND x.hour < $2 AND l.flags & \(AccountFlags.derived.rawValue) = 0
                ) s WHERE \(isCounted) GROUP BY 1
                """
            ),
            values
        ).map {
            JobEnergy(
                method: try $0.string("share_method"),
                dynamicMicrojoules: try $0.int64("dynamic"),
                idleMicrojoules: try $0.int64("idle")
            )
        }
        accounts.nestedMicrojoules = found.first { $0.method == "nested" }?.microjoules ?? 0
        let order = ["measured", "measured_client", "declared", "equal"]
        accounts.jobs = order.compactMap { method in found.first { $0.method == method } }
        return accounts
    }

    /// Adds the accounts of an hour that is not settled, as computed now.
    public mutating func add(_ hour: [ComponentAccounts]) {
        for component in hour {
            meteredMicrojoules += component.metered
            meteredLowMicrojoules += component.meteredLow
            meteredHighMicrojoules += component.meteredHigh
            if component.quality == .modelled { modelledMicrojoules += component.metered }
            systemMicrojoules += component.system
            agentMicrojoules += component.agent
            idleMicrojoules += component.idle - component.idleMoved.reserved
            unknownMicrojoules += component.unknown
            for slice in component.slices {
                if slice.spanID < 0 {
                    nestedMicrojoules += slice.dynamic + slice.idle.reserved
                    continue
                }
                let method = slice.shareMethod.rawValue
                if let known = jobs.firstIndex(where: { $0.method == method }) {
                    jobs[known].dynamicMicrojoules += slice.dynamic
                    jobs[known].idleMicrojoules += slice.idle.reserved
                } else {
                    jobs.append(JobEnergy(method: method, dynamicMicrojoules: slice.dynamic, idleMicrojoules: slice.idle.reserved))
                }
            }
        }
    }
}
