import Accounting
public import Documents
public import Energy
public import Postgres
import Store

/// How much of a time's job energy each rule catches, and what none does; changes nothing.
///
/// Energy is that of the ledger's slices under the reserved policy: what jobs used and the idle energy that they held.
public struct ServiceRuleTrial: Sendable {
    public struct Caught: Sendable {
        /// Services given, the most energy first.
        public var services: [String] = []
        public var jobs = 0
        /// Cgroups that lived in the time and open spans by the rule.
        public var cgroups = 0
        public var microjoules: Int128 = 0
    }

    public struct Uncaught: Sendable {
        public let repository: String?
        public let pipeline: String?
        public var jobs = 0
        public var microjoules: Int128 = 0
    }

    public let interval: Interval
    /// By rule, in the file's order; several files' one after another.
    public private(set) var rules: [(rule: String, caught: Caught)] = []
    /// Jobs without a rule that say their service themselves.
    public private(set) var ownWord = Caught()
    /// Jobs without a rule and without a service.
    public private(set) var nothing = Caught()
    /// What no rule caught and no job said, the most energy first.
    public private(set) var uncaught: [Uncaught] = []
    public private(set) var totalMicrojoules: Int128 = 0
    public private(set) var jobs = 0

    private struct Where: Hashable {
        let repository: String?
        let pipeline: String?
    }

    /// - Parameters:
    ///   - file: the rules to try, whatever their day; nil for those that are stored, each in its time.
    public static func run(
        _ file: ServiceRuleFile?,
        _ interval: Interval,
        _ connection: PostgresConnection
    ) async throws -> ServiceRuleTrial {
        var trial = ServiceRuleTrial(interval: interval)
        let stored = try await DatedServiceRules.current(connection)
        let rules =
            file.map { DatedServiceRules(version: "", sets: [(validFrom: Timestamp(microseconds: .min), rules: $0.rules)]) } ?? stored
        var byRule: [String: Caught] = [:]
        var energyByService: [String: [String: Int128]] = [:]
        var byWhere: [Where: Uncaught] = [:]

        for hostID in try await ServiceEnergy.hosts(connection) {
            try Task.checkCancellation()
            for job in try await ServiceEnergy.jobs(hostID: hostID, interval, connection) {
                let fields = try JSONValue(parsing: Array(job.documentJSON.utf8)).object ?? [:]
                // The rules ask what was posted, not what rules gave before.
                let subject = ServiceRules.Subject(fields: fields, source: job.source, host: job.hostName)
                let given = rules.at(job.startedAt).given(for: subject)
                trial.jobs += 1
                trial.totalMicrojoules += Int128(job.microjoules)
                if let rule = given.rule {
                    byRule[rule, default: Caught()].add(job)
                    let service = job.postedService ?? given.service
                    if let service { energyByService[rule, default: [:]][service, default: 0] += Int128(job.microjoules) }
                } else if let service = job.postedService {
                    trial.ownWord.add(job)
                    energyByService["", default: [:]][service, default: 0] += Int128(job.microjoules)
                } else {
                    trial.nothing.add(job)
                    let place = Where(repository: subject.repository, pipeline: subject.pipeline)
                    var one = byWhere[place] ?? Uncaught(repository: place.repository, pipeline: place.pipeline)
                    one.jobs += 1
                    one.microjoules += Int128(job.microjoules)
                    byWhere[place] = one
                }
            }
        }
        for host in try await ResidentWorkloads.hosts(connection) where rules.firstOpening != nil {
            var last: Int32 = 0
            while true {
                let workloads = try await ResidentWorkloads.after(
                    curveID: last,
                    livedBeyond: interval.start,
                    hostID: host.id,
                    limit: 1_000,
                    connection
                )
                for workload in workloads where workload.bornAt < interval.end {
                    let days = ResidentSpans.days(of: workload, host: host, rules: rules, since: interval.start)
                    for rule in Set(days.filter { $0.start < interval.end }.map(\.rule)) { byRule[rule, default: Caught()].cgroups += 1 }
                }
                guard let end = workloads.last?.curveID else { break }
                last = end
            }
        }
        func services(_ rule: String) -> [String] {
            (energyByService[rule] ?? [:]).sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
        }
        var seen: Set<String> = []
        for rule in rules.sets.flatMap({ $0.rules.rules }) where seen.insert(rule.name).inserted {
            var caught = byRule[rule.name] ?? Caught()
            caught.services = services(rule.name)
            trial.rules.append((rule.name, caught))
        }
        trial.ownWord.services = services("")
        trial.uncaught = byWhere.values.sorted {
            ($1.microjoules, $0.repository ?? "", $0.pipeline ?? "") < ($0.microjoules, $1.repository ?? "", $1.pipeline ?? "")
        }
        return trial
    }

    private init(interval: Interval) { self.interval = interval }

    /// Of all job energy, 0...1; 0 where there is none.
    public func fraction(_ microjoules: Int128) -> Double {
        totalMicrojoules == 0 ? 0 : Double(microjoules) / Double(totalMicrojoules)
    }
}

extension ServiceRuleTrial.Caught {
    fileprivate mutating func add(_ job: ServiceEnergy.Job) {
        jobs += 1
        microjoules += Int128(job.microjoules)
    }

    public var kilowattHours: Double { Double(microjoules) / 3.6e12 }
}

extension ServiceRuleTrial {
    /// For `--format json`; energies in µJ are texts, because a farm's week may exceed what a JSON number holds.
    ///
    /// - Parameter limit: the most repositories and pipelines that are named.
    public func json(limit: Int) -> JSONValue {
        func entry(_ caught: Caught, _ more: [String: JSONValue] = [:]) -> JSONValue {
            .object(
                more.merging([
                    "services": .array(caught.services.prefix(limit).map { .string($0) }), "jobs": .integer(Int64(caught.jobs)),
                    "cgroups": .integer(Int64(caught.cgroups)), "uj": .string("\(caught.microjoules)"),
                    "fraction": .number(fraction(caught.microjoules)),
                ]) { $1 }
            )
        }
        return .object([
            "from": .string(RFC3339.format(interval.start)), "to": .string(RFC3339.format(interval.end)), "policy": .string("reserved"),
            "jobs": .integer(Int64(jobs)), "uj": .string("\(totalMicrojoules)"),
            "rules": .array(rules.map { entry($0.caught, ["rule": .string($0.rule)]) }), "own_service": entry(ownWord),
            "no_rule": entry(nothing),
            "uncaught": .array(
                uncaught.prefix(limit).map { one in
                    .object([
                        "repository": one.repository.map { .string($0) } ?? .null, "pipeline": one.pipeline.map { .string($0) } ?? .null,
                        "jobs": .integer(Int64(one.jobs)), "uj": .string("\(one.microjoules)"),
                        "fraction": .number(fraction(one.microjoules)),
                    ])
                }
            ),
        ])
    }
}
