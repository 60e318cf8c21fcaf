import Accounting
import Carbon
import Documents
import Energy
import Postgres
import Store

/// Everything behind a job's number, so that a person can redo it: what was metered while it ran, its share stretch by stretch, what the
/// policy gave it, and the factors. The sums are the footprint's own.
struct JobExplanation {
    let job: JobRow
    let footprint: Footprint
    let host: HostRow?
    let terms: SpanTerms?
    /// The span's edges as they were accounted.
    let interval: Interval?
    let slices: [ExplainedSlice]
    let hours: [AccountedHour]
    /// Of those hours that were accounted from other inputs before: what older statements name.
    var superseded: [Hour: [AccountedHour]] = [:]
    let curves: [ExplainedCurve]
    /// Of the host's site and making.
    var hostTerms = HostTerms.unknown

    /// So many hours are shown with their steps; those after them with what the ledger keeps.
    static let mostHours = 48
    /// So many stretches of one slice are shown each by itself, and of the whole job.
    static let mostStretches = 60
    static let mostStretchesInAll = 1_200
}

/// One slice of the job with where it came from.
struct ExplainedSlice {
    let row: SliceRow
    let policy: Policy
    /// The accounts of the component in that hour; nil where they were not made again.
    let accounts: ComponentAccounts?
    /// The input that they were made from.
    let input: HostInput?
    let metering: ComponentMetering?
    let stretches: [ShareWalk.Stretch]
    /// A stretch's part of `metering`, in the order of `stretches`.
    let parts: [ComponentMetering]

    /// How much can be followed.
    enum Detail: String {
        /// Every step is there.
        case stretches
        /// There are too many stretches: the host's sums and the share of them that came out.
        case sums
        /// The steps do not add up to what the engine found, since it knew more (memory, GPUs, what runs within what, a floor that it
        /// had to lower): the host's sums and the job's part of them.
        case parts
        /// Only what the ledger keeps.
        case ledger
    }

    let detail: Detail

    /// Unrounded sums over the stretches, µJ.
    var walked: (dynamic: Double, idle: Double) {
        zip(stretches, parts).reduce((0, 0)) { sum, one in
            (sum.0 + (one.1.energy - one.1.floor) * one.0.share, sum.1 + one.1.floor * one.0.idlePart(policy))
        }
    }

    /// Without its origin.
    init(stored row: SliceRow, policy: Policy) {
        self.row = row
        self.policy = policy
        (accounts, input, metering, stretches, parts) = (nil, nil, nil, [], [])
        detail = .ledger
    }

    /// - Parameter stretchesLeft: how many may still be shown.
    init(_ row: SliceRow, policy: Policy, accounts: ComponentAccounts?, input: HostInput, member: Int64, stretchesLeft: Int) {
        let slice = row.slice
        var input = input
        // With the floors that the engine found, and what node meters counted beyond the others as a meter of its own.
        input.meters = Sweep.meters(of: input)
        self.row = row
        self.policy = policy
        self.accounts = accounts
        self.input = input
        let stretches = ShareWalk(host: input, spanID: member)?.stretches(of: slice.interval) ?? []
        let parts = stretches.map { ComponentMetering(slice.component, of: input, in: $0.interval) }
        metering = ComponentMetering(slice.component, of: input, in: slice.interval)
        let sums = zip(stretches, parts).reduce((dynamic: 0.0, idle: 0.0, moved: 0.0)) { sum, one in
            let dynamic = one.1.energy - one.1.floor
            return (
                sum.dynamic + dynamic * one.0.share, sum.idle + one.1.floor * one.0.idlePart(policy), sum.moved + abs(dynamic) + one.1.floor
            )
        }
        // Every part is rounded to a µJ, and rates are the quotients of whole µs.
        let slack = 2 + 1e-8 * sums.moved
        let isSame =
            abs(sums.dynamic - Double(slice.dynamic)) <= slack && abs(sums.idle - Double(slice.idle[policy])) <= slack
            && !stretches.isEmpty
        let isShort = stretches.count <= min(JobExplanation.mostStretches, stretchesLeft)
        detail = !isSame ? .parts : isShort ? .stretches : .sums
        self.stretches = stretches
        self.parts = parts
    }
}

extension JobExplanation {
    /// - Returns: nil for a job that is not there or not theirs to see.
    static func read(
        jobID: String,
        for visibility: JobVisibility,
        now: Timestamp,
        policy: Policy,
        _ connection: PostgresConnection
    ) async throws -> JobExplanation? {
        guard let job = try await JobDirectory.find(jobID: jobID, for: visibility, connection) else { return nil }
        let reader = FootprintReader(connection, now: now, policy: policy)
        guard let footprint = try await reader.footprints(of: [job]).first else { return nil }
        guard footprint.state == .final, let hostID = job.hostID, let spanID = job.spanID,
            let host = try await HostTable.find(id: hostID, connection),
            let span = try await SpanTable.find(hostID: hostID, spanIDs: [spanID], connection).first
        else {
            return JobExplanation(job: job, footprint: footprint, host: nil, terms: nil, interval: nil, slices: [], hours: [], curves: [])
        }
        let interval = footprint.workload?.decision.ownership?.interval ?? span.interval
        let hours = Hour.touching(interval)
        let settled = try await HourLedger.settled(hostID: hostID, hours: hours, now: now, connection)
        let stored = Dictionary(
            grouping: try await HourLedger.slices(hostID: hostID, spanIDs: [spanID], connection)[spanID] ?? [],
            by: \.hour
        )
        // To account them now would fail as it did then.
        let setAside = try await HourLedger.setAside(hostID: hostID, hours: hours, connection)
        var explained: [ExplainedSlice] = []
        var inputs: [(input: HostInput, member: Int64)] = []
        var stretchesLeft = mostStretchesInAll
        for (place, hour) in hours.enumerated() {
            let isSettled = settled.contains(hour)
            guard place < mostHours || !isSettled, !setAside.contains(hour) else {
                explained += (stored[hour] ?? []).ordered.map { ExplainedSlice(stored: $0, policy: policy) }
                continue
            }
            let made = try await reader.accounts(host: host, hour: hour)
            inputs.append((made.inputs.input, made.member(of: spanID)))
            for row in (isSettled ? stored[hour] ?? [] : made.slices(of: spanID)).ordered {
                let slice = ExplainedSlice(
                    row,
                    policy: policy,
                    accounts: made.rows.first { $0.accounts.component == row.slice.component }?.accounts,
                    input: made.inputs.input,
                    member: made.member(of: spanID),
                    stretchesLeft: stretchesLeft
                )
                if slice.detail == .stretches { stretchesLeft -= slice.stretches.count }
                explained.append(slice)
            }
        }
        return JobExplanation(
            job: job,
            footprint: footprint,
            host: host,
            terms: span.terms,
            interval: interval,
            slices: explained,
            hours: try await AccountedHours.read(hostID: hostID, hours: settled.sorted(), connection),
            superseded: try await AccountedHours.superseded(hostID: hostID, hours: settled.sorted(), connection),
            curves: ExplainedCurve.all(of: inputs, around: interval),
            hostTerms: try await reader.terms(of: host)
        )
    }
}

extension HourAccounts {
    /// The number by which the engine's input knows a span.
    func member(of spanID: Int64) -> Int64 { inputs.spanIDs.firstIndex(of: spanID).map(Int64.init) ?? -1 }
}

extension JobExplanation {
    /// What makes the energy uncertain, as standard deviations in µJ, the largest first: of the hours that are shown with their steps.
    var errors: [(key: ErrorKey, microjoules: Double)] {
        guard let host else { return [] }
        var sum = UncertainSum()
        for one in slices {
            guard let accounts = one.accounts else { continue }
            sum.add(
                SliceFigures(
                    one.row.slice,
                    host: host.id,
                    hour: one.row.hour,
                    policy: one.policy,
                    whole: HourFigures(accounts, policy: one.policy),
                    pue: PUEFigure(one.row.pue, site: nil, host: host.id),
                    intensity: one.row.intensity.map { IntensityFigure($0.value) }
                )
            )
        }
        return sum.energyErrors()
    }
}
