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
        public var dynamicMicrojoules: Int128
        public var idleMicrojoules: Int128

        public var microjoules: Int128 { dynamicMicrojoules + idleMicrojoules }
    }

    public var meteredMicrojoules: Int128 = 0
    /// Hard limits of the metered energy.
    public var meteredLowMicrojoules: Int128 = 0
    public var meteredHighMicrojoules: Int128 = 0
    /// The part of it that a model says and no sensor.
    public var modelledMicrojoules: Int128 = 0
    public var systemMicrojoules: Int128 = 0
    public var agentMicrojoules: Int128 = 0
    /// Idle that no job reserved.
    public var idleMicrojoules: Int128 = 0
    public var unknownMicrojoules: Int128 = 0
    /// What hosts on these hosts drew, idle energy that they reserved included; jobs on them are in it.
    public var nestedMicrojoules: Int128 = 0
    /// Most evidence first; methods that no job had are left out.
    public var jobs: [JobEnergy] = []
    public var hosts = 0
    public var hostHours = 0
    /// Time in which a component of a host was not metered.
    public var unmetered = Microseconds.zero

    public init() {}

    public var jobsMicrojoules: Int128 { jobs.reduce(0) { $0 + $1.microjoules } }

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
                SELECT coalesce(sum(metered_uj), 0)::numeric AS metered, coalesce(sum(metered_low_uj), 0)::numeric AS low,
                    coalesce(sum(metered_high_uj), 0)::numeric AS high,
                    coalesce(sum(metered_uj) FILTER (WHERE quality = 'modelled'), 0)::numeric AS modelled,
                    coalesce(sum(system_uj), 0)::numeric AS system, coalesce(sum(agent_uj), 0)::numeric AS agent,
                    coalesce(sum(idle_uj - idle_reserved_uj), 0)::numeric AS idle, coalesce(sum(unknown_uj), 0)::numeric AS unknown,
                    coalesce(sum(unmetered_us), 0)::numeric AS unmetered, count(DISTINCT l.host_id) AS hosts,
                    count(DISTINCT (l.host_id, l.hour)) AS hours
                FROM host h CROSS JOIN LATERAL (
                    SELECT * FROM host_hour x WHERE x.host_id = h.host_id AND x.hour >= $1 AND x.hour < $2
                ) l WHERE \(isCounted) AND l.flags & \(AccountFlags.derived.rawValue) = 0
                """
            ),
            values
        ).only()
        var accounts = EnergyAccounts()
        accounts.meteredMicrojoules = try RollUpTable.whole(total, "metered")
        accounts.meteredLowMicrojoules = try RollUpTable.whole(total, "low")
        accounts.meteredHighMicrojoules = try RollUpTable.whole(total, "high")
        accounts.modelledMicrojoules = try RollUpTable.whole(total, "modelled")
        accounts.systemMicrojoules = try RollUpTable.whole(total, "system")
        accounts.agentMicrojoules = try RollUpTable.whole(total, "agent")
        accounts.idleMicrojoules = try RollUpTable.whole(total, "idle")
        accounts.unknownMicrojoules = try RollUpTable.whole(total, "unknown")
        accounts.unmetered = Microseconds(Int64(clamping: try RollUpTable.whole(total, "unmetered")))
        accounts.hosts = Int(try total.int64("hosts"))
        accounts.hostHours = Int(try total.int64("hours"))
        let found = try await connection.query(
            Statement(
                "energy_by_share_method",
                """
                SELECT CASE WHEN s.span_id < 0 THEN 'nested' ELSE s.share_method END AS share_method, sum(s.dynamic_uj)::numeric AS dynamic,
                    sum(s.idle_reserved_uj)::numeric AS idle
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
                dynamicMicrojoules: try RollUpTable.whole($0, "dynamic"),
                idleMicrojoules: try RollUpTable.whole($0, "idle")
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
            meteredMicrojoules += Int128(component.metered)
            meteredLowMicrojoules += Int128(component.meteredLow)
            meteredHighMicrojoules += Int128(component.meteredHigh)
            if component.quality == .modelled { modelledMicrojoules += Int128(component.metered) }
            systemMicrojoules += Int128(component.system)
            agentMicrojoules += Int128(component.agent)
            idleMicrojoules += Int128(component.idle - component.idleMoved.reserved)
            unknownMicrojoules += Int128(component.unknown)
            for slice in component.slices {
                if slice.spanID < 0 {
                    nestedMicrojoules += Int128(slice.dynamic + slice.idle.reserved)
                    continue
                }
                let method = slice.shareMethod.rawValue
                if let known = jobs.firstIndex(where: { $0.method == method }) {
                    jobs[known].dynamicMicrojoules += Int128(slice.dynamic)
                    jobs[known].idleMicrojoules += Int128(slice.idle.reserved)
                } else {
                    jobs.append(
                        JobEnergy(method: method, dynamicMicrojoules: Int128(slice.dynamic), idleMicrojoules: Int128(slice.idle.reserved))
                    )
                }
            }
        }
    }
}
