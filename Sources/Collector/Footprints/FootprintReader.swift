import Accounting
import Carbon
import Documents
import Energy
import Postgres
import Store

/// Reads footprints: settled hours from the ledger, others computed now from the same inputs by the same code.
///
/// Made for one answer: it remembers the hours it has computed. Everything is read in one snapshot.
final class FootprintReader {
    let connection: PostgresConnection
    private let now: Timestamp
    let policy: Policy
    private var hosts: [Int32: HostRow] = [:]
    private var computed: [WorkQueue.Item: HourAccounts] = [:]
    /// Open hours of the hosts that others run on.
    let machines = OpenMachineHours()
    private var coverComplete: [Int32: Timestamp?] = [:]
    private var hostTerms: [Int32: HostTerms] = [:]
    private var withheld: Set<String>?
    /// What operators say of hosts without a meter.
    var hostWords: [Int32: HostWords] = [:]
    private var threads: [Int32: [(from: Timestamp, threads: Int?)]] = [:]

    init(_ connection: PostgresConnection, now: Timestamp, policy: Policy) {
        self.connection = connection
        self.now = now
        self.policy = policy
    }

    /// The footprint of a job all of whose hours are settled, in one step; nil for any other, and for one that is not theirs to see.
    func settledFootprint(jobID: String, for visibility: JobVisibility) async throws -> Footprint? {
        guard let settled = try await SettledSpan.read(jobID: jobID, for: visibility, now: now, connection) else { return nil }
        var footprint = try Footprint(settled.job, state: .final, policy: policy)
        footprint.hostName = settled.host.name
        footprint.pue = settled.host.pue
        footprint.workload = settled.workload
        let slices = settled.slices.ordered
        footprint.fill(
            slices: slices,
            duration: settled.interval.duration,
            cpus: try await cpus(of: settled.host, slices: slices),
            zone: try await zone(of: settled.host, slices),
            terms: try await terms(of: settled.host)
        )
        footprint.isIntensityWithheld = try await isWithheld(footprint)
        footprint.statement = try FootprintStatement(
            footprint,
            origin: FootprintStatement.Origin(
                interval: settled.interval,
                terms: settled.terms,
                hours: settled.hours,
                slices: slices,
                hostTerms: try await terms(of: settled.host)
            )
        )
        return footprint
    }

    /// The footprint of a job that somebody may see; nil for one that is not there, was deleted, never started or is not theirs to see.
    func footprint(jobID: String, for visibility: JobVisibility) async throws -> Footprint? {
        guard let job = try await JobDirectory.find(jobID: jobID, for: visibility, connection) else { return nil }
        return try await footprints(of: [job]).first
    }

    /// The footprints of jobs, in their order.
    func footprints(of jobs: [JobRow]) async throws -> [Footprint] {
        var result: [String: Footprint] = [:]
        for hostID in Set(jobs.compactMap(\.hostID)).sorted() {
            guard let host = try await host(hostID) else { continue }
            let own = Dictionary(jobs.filter { $0.hostID == hostID }.map { ($0.jobID, $0) }) { $1 }
            let spans = try await SpanTable.find(hostID: hostID, spanIDs: own.values.compactMap(\.spanID).sorted(), connection)
            try await fill(&result, spans: spans, host: host, jobs: own)
        }
        var footprints: [Footprint] = []
        for job in jobs {
            if let footprint = result[job.jobID] {
                footprints.append(footprint)
            } else if job.hostClass != nil {
                footprints.append(try await hosted(job))
            } else if job.hostID == nil {
                footprints.append(try waiting(job))
            }
        }
        for index in footprints.indices { footprints[index].isIntensityWithheld = try await isWithheld(footprints[index]) }
        return footprints
    }

    /// A job whose host is not known.
    private func waiting(_ job: JobRow) throws -> Footprint {
        var footprint = try Footprint(job, state: .unattributed, policy: policy)
        footprint.setMissing(["energy", "co2e.location_g", "share", "intensity"], reason: job.hostName == nil ? "no_host" : "host_unknown")
        return footprint
    }

    private func fill(_ result: inout [String: Footprint], spans: [SpanRow], host: HostRow, jobs: [String: JobRow]) async throws {
        let complete = try await completeUntil(host.id)
        let workloads = try await WorkloadOwnership.decide(spans, hostID: host.id, connection)
        let workloadsComplete = try await CurveReading.workloadCompleteUntil(hostID: host.id, workloads: workloads, connection)
        var finals: [SpanRow] = []
        for span in spans {
            guard let job = jobs[span.jobID] else { continue }
            var footprint = try Footprint(job, state: .pending, policy: policy)
            footprint.hostName = host.name
            footprint.pue = host.pue
            footprint.workload = workloads[span.spanID]
            // The last instant that its readings must reach: the end, or that of its cgroup, or as far as one may still turn up.
            let settledAt = span.finishedAt.map { end in
                if let ownership = footprint.workload?.decision.ownership { return max(end, ownership.interval.end) }
                return span.edgeResolution > .zero ? end + span.edgeResolution : end
            }
            if complete == nil, let hosted = try await hosted(job, on: host) {
                footprint = hosted
            } else if complete == nil {
                footprint.state = .unattributed
                footprint.setMissing(["energy", "co2e.location_g", "share", "intensity"], reason: "no_meter")
            } else if let settledAt, let complete, complete >= settledAt, workloadsComplete[span.spanID].map({ $0 >= settledAt }) ?? true {
                footprint.state = .final
                finals.append(span)
            } else {
                let reason = span.finishedAt == nil ? "not_finished" : "readings_on_their_way"
                footprint.setMissing(["energy", "co2e.location_g", "share", "intensity"], reason: reason)
            }
            result[span.jobID] = footprint
        }
        guard !finals.isEmpty else { return }

        func edges(_ span: SpanRow) -> Interval { workloads[span.spanID]?.decision.ownership?.interval ?? span.interval }
        let hours = Set(finals.flatMap { Hour.touching(edges($0)) }).sorted()
        let settled = try await HourLedger.settled(hostID: host.id, hours: hours, now: now, connection)
        let named = try await AccountedHours.read(hostID: host.id, hours: settled.sorted(), connection)
        let stored = try await HourLedger.slices(hostID: host.id, spanIDs: finals.map(\.spanID), connection)
        // What was known before they were set aside; accounting them now would fail as it did then.
        let setAside = try await HourLedger.setAside(hostID: host.id, hours: hours, connection)
        for span in finals {
            var slices = (stored[span.spanID] ?? []).filter { settled.contains($0.hour) }
            var isOpen = false
            for hour in Hour.touching(edges(span)) where !settled.contains(hour) {
                isOpen = true
                if setAside.contains(hour) {
                    slices += (stored[span.spanID] ?? []).filter { $0.hour == hour }
                    continue
                }
                slices += try await accounts(host: host, hour: hour).slices(of: span.spanID)
            }
            slices = slices.ordered
            let interval = edges(span)
            result[span.jobID]?.hasOpenHour = isOpen
            let cpus = try await cpus(of: host, slices: slices)
            let hostTerms = try await terms(of: host)
            result[span.jobID]?.fill(
                slices: slices,
                duration: interval.duration,
                cpus: cpus,
                zone: try await zone(of: host, slices),
                terms: hostTerms
            )
            guard !isOpen, let footprint = result[span.jobID] else { continue }
            result[span.jobID]?.statement = try FootprintStatement(
                footprint,
                origin: FootprintStatement.Origin(
                    interval: interval,
                    terms: span.terms,
                    hours: named.filter { $0.hour.interval.intersection(interval) != nil },
                    slices: slices,
                    hostTerms: hostTerms
                )
            )
        }
    }

    /// A host's ledger hour by hour; the running hour goes as far as the host's meters are complete.
    func hours(host: HostRow, interval: Interval, withJobs: Bool) async throws -> [HostHourAnswer] {
        let hours = Hour.touching(Interval(interval.start, min(interval.end, now)))
        let settled = try await HourLedger.settled(hostID: host.id, hours: hours, now: now, connection)
        let setAside = try await HourLedger.setAside(hostID: host.id, hours: hours, connection)
        let stored = Dictionary(grouping: try await HourLedger.read(hostID: host.id, interval, connection), by: \.hour)
        let storedSlices =
            withJobs ? Dictionary(grouping: try await HourLedger.slices(hostID: host.id, interval, connection), by: \.hour) : [:]
        var answers: [HostHourAnswer] = []
        for hour in hours {
            if settled.contains(hour) {
                guard let rows = stored[hour] else { continue }
                answers.append(HostHourAnswer(hour: hour, state: .settled, rows: rows, slices: storedSlices[hour] ?? []))
            } else if setAside.contains(hour) {
                // As it was known before; accounting it now would fail as it did then.
                answers.append(
                    HostHourAnswer(hour: hour, state: .setAside, rows: stored[hour] ?? [], slices: storedSlices[hour] ?? [])
                )
            } else {
                let accounts = try await accounts(host: host, hour: hour)
                // Hours before a host's first reading are no hours of its ledger.
                let isBefore = answers.isEmpty && accounts.rows.allSatisfy { $0.accounts.metered == 0 && $0.accounts.slices.isEmpty }
                guard !accounts.rows.isEmpty, !isBefore else { continue }
                answers.append(HostHourAnswer(hour: hour, state: .open, rows: accounts.rows, slices: withJobs ? accounts.slices : []))
            }
        }
        return answers
    }

    /// What a host emitted in those hours.
    func carbon(of host: HostRow, _ hours: [HostHourAnswer], over interval: Interval) async throws -> HostCarbon {
        var reserved = try await HourLedger.reservedMicroseconds(hostID: host.id, interval, connection)
        for hour in hours where hour.state == .open {
            let slices = try await accounts(host: host, hour: hour.hour).slices.map(\.slice)
            reserved[hour.hour] = (
                slices.reduce(0) { $0 + ($1.spanID > 0 ? $1.reservedMicroseconds ?? 0 : 0) },
                slices.reduce(0) { $0 + ($1.spanID < 0 ? $1.reservedMicroseconds ?? 0 : 0) }
            )
        }
        return HostCarbon(
            hours,
            over: interval,
            now: now,
            terms: try await terms(of: host),
            bases: try await IntensityTable.bases(of: Set(hours.flatMap { $0.rows.flatMap(\.intensityIDs) }).sorted(), connection),
            reservedMicroseconds: reserved
        )
    }

    /// Until when a host's meters are complete; nil for a host without any.
    func completeUntil(_ hostID: Int32) async throws -> Timestamp? {
        if let known = coverComplete[hostID] { return known }
        // A host that runs on another one is metered there.
        let metering = try await HostTable.meteringHost(of: hostID, connection)
        let complete = try await CurveReading.coverCompleteUntil(hostIDs: [metering], connection)[metering]
        coverComplete[hostID] = .some(complete)
        return complete
    }

    /// The accounts of an hour, made now.
    func accounts(host: HostRow, hour: Hour) async throws -> HourAccounts {
        let item = WorkQueue.Item(hostID: host.id, hour: hour)
        if let known = computed[item] { return known }
        let end = hour.end <= now ? now : min(now, try await completeUntil(host.id) ?? now)
        // As the accounts are made: with what counted of the host in that hour.
        let dated = try await HostTable.find(id: host.id, at: hour.start, connection) ?? host
        let accounts = try await HourAccounts.make(host: dated, hour: hour, now: end, machines: machines, connection)
        computed[item] = accounts
        return accounts
    }

    /// A host's threads by the hour: those of the record that counted then, its own where the record says nothing. All its records are one
    /// question, asked only where a job's CPU time was measured.
    private func cpus(of host: HostRow, slices: [SliceRow]) async throws -> (Hour) -> Int {
        guard slices.contains(where: { $0.slice.shareMethod == .measured }) else { return { _ in host.cpus } }
        if threads[host.id] == nil {
            threads[host.id] = try await HostRecordTable.all(hostID: host.id, connection).map { entry in
                let threads = entry.record.object?["threads"]?.integer
                return (entry.from, threads.flatMap { (1...1_000_000).contains($0) ? Int($0) : nil })
            }
        }
        let dated = threads[host.id] ?? []
        return { hour in (dated.last { $0.from <= hour.start })?.threads ?? host.cpus }
    }

    /// Whether a figure in it may not be handed on. A mean of several would tell the one that may not from those that may.
    private func isWithheld(_ footprint: Footprint) async throws -> Bool {
        guard let intensity = footprint.intensity else { return false }
        let all = try await withheldProviders()
        return all.contains(intensity.provider) || !all.isDisjoint(with: footprint.intensityProviders)
    }

    func isWithheld(_ intensity: Intensity) async throws -> Bool { try await withheldProviders().contains(intensity.provider) }

    private func withheldProviders() async throws -> Set<String> {
        if let known = withheld { return known }
        let providers = try await GridProviderTable.withheld(connection)
        withheld = providers
        return providers
    }

    /// The zone that counted in the first hour of which no intensity is known; asked for only where there is one.
    private func zone(of host: HostRow, _ slices: [SliceRow]) async throws -> String? {
        guard let hour = slices.first(where: { $0.intensity == nil })?.hour else { return host.gridZone }
        return try await HostTable.find(id: host.id, at: hour.start, connection)?.gridZone
    }

    /// What its site has bought, its water, and its making.
    func terms(of host: HostRow) async throws -> HostTerms {
        if let known = hostTerms[host.id] { return known }
        let terms = try await HostTerms.read(of: [host.id], connection)[host.id] ?? .unknown
        hostTerms[host.id] = terms
        return terms
    }

    private func host(_ id: Int32) async throws -> HostRow? {
        if let known = hosts[id] { return known }
        let host = try await HostTable.find(id: id, connection)
        hosts[id] = host
        return host
    }
}

/// A host's accounts in one hour.
struct HostHourAnswer: Sendable {
    enum State: String {
        case settled, open
        /// It could not be accounted; what is told was known before, if anything.
        case setAside = "set_aside"
    }

    let hour: Hour
    let state: State
    let rows: [LedgerRow]
    let slices: [SliceRow]
}
