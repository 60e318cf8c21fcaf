/// The accounts of a host summed over hours, and whether they add up, in whole µJ.
public struct HostLedger: Sendable {
    public struct Row: Sendable, Hashable {
        /// The job's name; `(host v1)` for a host that runs on this one.
        public var job: String
        /// Nil for such a host.
        public var id: String?
        /// The host that runs on this one; nil for a job.
        public var host: String?
        public var dynamic: Int128 = 0
        public var idleReserved: Int128 = 0
        public var total: Int128 { dynamic + idleReserved }

        init(_ job: HostHour.Job) {
            self.job = job.host.map { "(host \($0))" } ?? job.job ?? job.key ?? job.id ?? "(not named)"
            id = job.id
            host = job.host
        }
    }

    public let host: String
    public let hourCount: Int
    /// Hours that are not settled: their figures may still move.
    public let openHours: Int
    /// Hours that could not be accounted, of which nothing is known; in no sum.
    public let unaccountedHours: Int
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
        var unaccounted = 0
        for hour in answer.hours {
            guard let hourMetered = hour.metered, let jobDynamic = hour.jobDynamic, let hourSystem = hour.system,
                let hourAgent = hour.agent, let idle = hour.idle, let hourUnknown = hour.unknown, let idleReserved = hour.idleReserved
            else {
                unaccounted += 1
                continue
            }
            let accounts =
                Int128(jobDynamic.count) + Int128(hourSystem.count) + Int128(hourAgent.count) + Int128(idle.count)
                + Int128(hourUnknown.count)
            if accounts != Int128(hourMetered.count) {
                faults.append("\(hour.hour): the accounts sum to \(accounts) µJ, metered are \(hourMetered.count) µJ")
            }
            var dynamic: Int128 = 0
            var reserved: Int128 = 0
            for job in hour.jobs ?? [] {
                dynamic += Int128(job.dynamicMicrojoules.count)
                reserved += Int128(job.idleMicrojoules.count)
                let new = Row(job)
                // Nothing else is named thus: of a job's id no character is a bracket.
                let key = job.id ?? new.job
                rows[key, default: new].dynamic += Int128(job.dynamicMicrojoules.count)
                rows[key]?.idleReserved += Int128(job.idleMicrojoules.count)
            }
            if dynamic != Int128(jobDynamic.count) {
                faults.append("\(hour.hour): the jobs' dynamic energy sums to \(dynamic) µJ, their account holds \(jobDynamic.count) µJ")
            }
            if reserved != Int128(idleReserved.count) {
                faults.append("\(hour.hour): the jobs' idle energy sums to \(reserved) µJ, \(idleReserved.count) µJ were reserved")
            }
            system += Int128(hourSystem.count)
            agent += Int128(hourAgent.count)
            idleLeft += Int128(idle.count) - Int128(idleReserved.count)
            unknown += Int128(hourUnknown.count)
            metered += Int128(hourMetered.count)
        }
        host = answer.host
        hourCount = answer.hours.count
        openHours = answer.hours.count { $0.state != "settled" && $0.metered != nil }
        unaccountedHours = unaccounted
        jobs = rows.sorted { ($0.value.total, $1.key) > ($1.value.total, $0.key) }.map(\.value)
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
