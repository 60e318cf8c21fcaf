/// The accounts of a host summed over hours, and whether they add up, in whole µJ.
public struct HostLedger: Sendable {
    public struct Row: Sendable, Hashable {
        public var job: String
        public var id: String
        public var dynamic: Int128
        public var idleReserved: Int128
        public var total: Int128 { dynamic + idleReserved }
    }

    public let host: String
    public let hourCount: Int
    /// Hours that are not settled: their figures may still move.
    public let openHours: Int
    /// Largest first.
    public let jobs: [Row]
    public let system: Int128
    public let agent: Int128
    /// Idle energy that no job reserved.
    public let idleLeft: Int128
    public let unknown: Int128
    public let metered: Int128
    /// What does not add up; empty where everything does.
    public let faults: [String]
    /// Nil from a collector that does not tell it.
    public let carbon: HostCarbon?

    /// The sum of all rows.
    public var total: Int128 { jobs.reduce(Int128(0)) { $0 + $1.total } + system + agent + idleLeft + unknown }

    public init(_ answer: HostHours) {
        var rows: [String: Row] = [:]
        var faults: [String] = []
        var system: Int128 = 0
        var agent: Int128 = 0
        var idleLeft: Int128 = 0
        var unknown: Int128 = 0
        var metered: Int128 = 0
        for hour in answer.hours {
            let accounts =
                Int128(hour.jobDynamic.count) + Int128(hour.system.count) + Int128(hour.agent.count) + Int128(hour.idle.count)
                + Int128(hour.unknown.count)
            if accounts != Int128(hour.metered.count) {
                faults.append("\(hour.hour): the accounts sum to \(accounts) µJ, metered are \(hour.metered.count) µJ")
            }
            var dynamic: Int128 = 0
            var reserved: Int128 = 0
            for job in hour.jobs ?? [] {
                dynamic += Int128(job.dynamicMicrojoules.count)
                reserved += Int128(job.idleMicrojoules.count)
                rows[job.id, default: Row(job: job.job ?? job.key ?? job.id, id: job.id, dynamic: 0, idleReserved: 0)].dynamic += Int128(
                    job.dynamicMicrojoules.count
                )
                rows[job.id]?.idleReserved += Int128(job.idleMicrojoules.count)
            }
            if dynamic != Int128(hour.jobDynamic.count) {
                faults.append(
                    "\(hour.hour): the jobs' dynamic energy sums to \(dynamic) µJ, their account holds \(hour.jobDynamic.count) µJ"
                )
            }
            if reserved != Int128(hour.idleReserved.count) {
                faults.append("\(hour.hour): the jobs' idle energy sums to \(reserved) µJ, \(hour.idleReserved.count) µJ were reserved")
            }
            system += Int128(hour.system.count)
            agent += Int128(hour.agent.count)
            idleLeft += Int128(hour.idle.count) - Int128(hour.idleReserved.count)
            unknown += Int128(hour.unknown.count)
            metered += Int128(hour.metered.count)
        }
        host = answer.host
        hourCount = answer.hours.count
        openHours = answer.hours.count { $0.state != "settled" }
        jobs = rows.values.sorted { ($0.total, $1.id) > ($1.total, $0.id) }
        self.system = system
        self.agent = agent
        self.idleLeft = idleLeft
        self.unknown = unknown
        self.metered = metered
        if jobs.reduce(Int128(0), { $0 + $1.total }) + system + agent + idleLeft + unknown != metered, faults.isEmpty {
            faults.append("the rows do not sum to what was metered")
        }
        self.faults = faults
        carbon = answer.carbon
    }
}
