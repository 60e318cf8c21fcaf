import Accounting
import Energy
import Postgres
import Store

/// Reads roll-ups: settled hours summed by the database, open ones computed now from the same inputs by the same code, where they are few.
///
/// Everything is read in one snapshot of the caller's.
struct RollUpReader {
    let now: Timestamp
    let connection: PostgresConnection

    /// Open host-hours that one answer computes; where there are more, what the ledger holds of them counts, and the rest is left out.
    static let mostComputed = 32
    /// Rows that the database may answer with: what an answer holds in memory.
    static let mostParts = 200_000

    init(_ connection: PostgresConnection, now: Timestamp) {
        self.connection = connection
        self.now = now
    }

    /// An hour that was computed just now.
    private struct OpenHour {
        let host: HostRow
        let accounts: HourAccounts
        let isSimulated: Bool
    }

    /// The groups of a question, and their total.
    func answer(_ question: RollUpQuestion) async throws -> RollUpAnswer {
        try await RollUpTable.prepare(connection)
        var answer = RollUpAnswer(question)
        let places = try await places()
        let open = try await openHours(question, &answer)
        let computed = Set(open.map { HostHour(hostID: $0.host.id, hour: $0.accounts.inputs.hour) })
        answer.rows = try await figures(question, open: open, leavingOut: computed, moving: answer.moving, places: places)
        if question.keys.isEmpty, question.bucket == nil {
            answer.total = answer.rows.values.first ?? RollUpFigures()
        } else {
            answer.total = try await total(question, open: open, leavingOut: computed, moving: answer.moving, places: places)
        }
        if question.visibility == .everything, question.filter.count == (question.filter.hostID == nil ? 0 : 1) {
            answer.ledger = try await ledger(question, open: open, leavingOut: computed)
        }
        return answer
    }

    /// All that a question is about, in one sum.
    func total(_ question: RollUpQuestion) async throws -> (figures: RollUpFigures, answer: RollUpAnswer) {
        try await RollUpTable.prepare(connection)
        var answer = RollUpAnswer(question)
        let places = try await places()
        let open = try await openHours(question, &answer)
        let computed = Set(open.map { HostHour(hostID: $0.host.id, hour: $0.accounts.inputs.hour) })
        return (try await total(question, open: open, leavingOut: computed, moving: answer.moving, places: places), answer)
    }

    private func total(
        _ question: RollUpQuestion,
        open: [OpenHour],
        leavingOut: Set<HostHour>,
        moving: Set<HostHour>,
        places: HostPlaces
    ) async throws -> RollUpFigures {
        // By releases a job counts for each; in a total once. What is withheld of the groups is withheld of it, too.
        var whole = question
        whole.cellKeys = question.keys.filter { $0 != .release }
        whole.keys = []
        whole.bucket = nil
        return try await figures(whole, open: open, leavingOut: leavingOut, moving: moving, places: places).values.first ?? RollUpFigures()
    }

    /// Where hosts stand, and on what terms.
    private struct HostPlaces {
        let names: [Int32: String]
        let terms: [Int32: HostTerms]
    }

    private func places() async throws -> HostPlaces {
        HostPlaces(names: try await RollUpTable.sites(connection), terms: try await HostTerms.read(connection))
    }

    // MARK: Open hours

    /// The hours that are not settled, computed where they are few.
    private func openHours(_ question: RollUpQuestion, _ answer: inout RollUpAnswer) async throws -> [OpenHour] {
        // Without a token nothing younger than 15 minutes is shown; an open hour shows once it is settled.
        if case .public = question.visibility { return [] }
        let all = try await RollUpTable.openHours(question.interval, hostID: question.filter.hostID, now: now, connection)
        answer.openHours = all.count
        answer.setAsideHours = all.count(where: \.isSetAside)
        let waiting = all.filter { !$0.isSetAside }
        let open = waiting.count <= Self.mostComputed ? waiting : []
        // Of what is not computed, what the ledger holds counts, as far as it does.
        let left = open.isEmpty ? all : all.filter(\.isSetAside)
        answer.leftOutHours = left.count { !$0.isStored }
        answer.moving = Set(left.filter(\.isStored).map(\.place))
        let complete = try await CurveReading.coverCompleteUntil(hostIDs: Set(open.map(\.place.hostID)).sorted(), connection)
        let simulated = try await RollUpTable.simulatedHosts(connection)
        var hours: [OpenHour] = []
        let machines = OpenMachineHours()
        for place in open.map(\.place) {
            guard let host = try await HostTable.find(id: place.hostID, at: place.hour.start, connection) else { continue }
            let end = place.hour.end <= now ? now : min(now, complete[place.hostID] ?? now)
            let accounts = try await HourAccounts.make(host: host, hour: place.hour, now: end, machines: machines, connection)
            hours.append(OpenHour(host: host, accounts: accounts, isSimulated: simulated.contains(host.id)))
        }
        return hours
    }

    // MARK: Sums

    private func figures(
        _ question: RollUpQuestion,
        open: [OpenHour],
        leavingOut: Set<HostHour>,
        moving: Set<HostHour>,
        places: HostPlaces
    ) async throws -> [RollUpAnswer.Place: RollUpFigures] {
        let stretch = question.stretch
        var rows: [RollUpAnswer.Place: RollUpFigures] = [:]
        let parts = try await RollUpTable.parts(question, by: stretch, leavingOut: leavingOut, terms: places.terms, connection)
        guard parts.count <= Self.mostParts else { throw Site.tooLarge }
        for part in parts {
            let place = RollUpAnswer.Place(group: part.group, bucket: question.bucket?.start(of: part.start))
            rows[place, default: RollUpFigures()].add(part, stretch: stretch, policy: question.policy, site: places.names[part.hostID])
        }
        for edge in try await RollUpTable.edges(question, by: stretch, leavingOut: leavingOut, terms: places.terms, connection) {
            let place = RollUpAnswer.Place(group: edge.group, bucket: question.bucket?.start(of: edge.start))
            rows[place]?.add(edge, policy: question.policy)
        }
        if !moving.isEmpty {
            for (group, bucket) in try await RollUpTable.groups(question, in: moving, connection) {
                rows[RollUpAnswer.Place(group: group, bucket: bucket)]?.isOpen = true
            }
        }
        for hour in open { try await add(hour, to: &rows, question, places) }
        for jobs in try await RollUpTable.jobs(question, now: now, connection) {
            let place = RollUpAnswer.Place(group: jobs.group, bucket: jobs.bucket)
            rows[place, default: RollUpFigures()].jobs = jobs
            for (unit, count) in jobs.units { rows[place, default: RollUpFigures()].units[unit, default: 0] += count }
        }
        for units in try await RollUpTable.units(question, connection) {
            let place = RollUpAnswer.Place(group: units.group, bucket: units.bucket)
            rows[place, default: RollUpFigures()].units[units.unit, default: 0] += units.count
        }
        return rows
    }

    private func add(
        _ open: OpenHour,
        to rows: inout [RollUpAnswer.Place: RollUpFigures],
        _ question: RollUpQuestion,
        _ places: HostPlaces
    ) async throws {
        let terms = (places.terms[open.host.id] ?? .unknown).at(open.accounts.inputs.hour)
        let wholes = Dictionary(open.accounts.rows.map { ($0.accounts.component, $0.accounts) }) { $1 }
        let slices = open.accounts.slices.compactMap { row in wholes[row.slice.component].map { (slice: row, whole: $0) } }
        let members = try await RollUpTable.members(
            question,
            hostID: open.host.id,
            spanIDs: Set(slices.map(\.slice.slice.spanID)).sorted(),
            connection
        )
        let groups = Dictionary(members.map { ($0.spanID, $0.groups) }) { $0 + $1 }
        let bucket = question.bucket?.start(of: open.accounts.inputs.hour.start)
        for (slice, whole) in slices {
            for group in groups[slice.slice.spanID] ?? [] {
                rows[RollUpAnswer.Place(group: group, bucket: bucket), default: RollUpFigures()].add(
                    slice,
                    of: whole,
                    hostID: open.host.id,
                    policy: question.policy,
                    site: places.names[open.host.id],
                    terms: terms,
                    isSimulated: open.isSimulated
                )
            }
        }
    }

    // MARK: The hosts' own accounts

    private func ledger(_ question: RollUpQuestion, open: [OpenHour], leavingOut: Set<HostHour>) async throws -> [RollUpLedger] {
        var ledgers = Dictionary(
            try await RollUpTable.ledger(question, leavingOut: leavingOut, connection).map { ($0.bucket, $0) }
        ) { $1 }
        let nested = try await RollUpTable.nestedHosts(connection)
        for hour in open where question.filter.hostID != nil || !nested.contains(hour.host.id) {
            let bucket = question.bucket?.start(of: hour.accounts.inputs.hour.start)
            for accounts in hour.accounts.rows.map(\.accounts) {
                let moved = accounts.idleMoved[question.policy]
                var ledger = RollUpLedger(bucket: bucket)
                // Hosts on the host stand among its slices with numbers below 0.
                let nested = accounts.slices.filter { $0.spanID < 0 }
                let nestedDynamic = nested.reduce(Int128(0)) { $0 + Int128($1.dynamic) }
                let nestedIdle = nested.reduce(Int128(0)) { $0 + Int128($1.idle[question.policy]) }
                ledger.metered = Int128(accounts.metered)
                ledger.jobDynamic = Int128(accounts.jobDynamic) - nestedDynamic
                ledger.idleMoved = Int128(moved) - nestedIdle
                ledger.nested = nestedDynamic + nestedIdle
                ledger.idleLeft = Int128(accounts.idle - moved)
                ledger.system = Int128(accounts.system)
                ledger.agent = Int128(accounts.agent)
                ledger.unknown = Int128(accounts.unknown)
                ledger.unmetered = accounts.unmetered
                ledgers[bucket, default: RollUpLedger(bucket: bucket)] += ledger
            }
        }
        return ledgers.values.sorted { ($0.bucket?.microseconds ?? 0) < ($1.bucket?.microseconds ?? 0) }
    }
}

/// The groups of a question with their figures.
struct RollUpAnswer: Sendable {
    struct Place: Hashable, Sendable {
        var group: [String?]
        var bucket: Timestamp?
    }

    let question: RollUpQuestion
    var rows: [Place: RollUpFigures] = [:]
    var total = RollUpFigures()
    /// Of all root hosts, or of the host asked for; nil for readers of less than everything, and for a part of the jobs.
    var ledger: [RollUpLedger]?
    /// Host-hours that are not settled; nil where that is not told.
    var openHours: Int?
    /// Of these the ones that are not in the sums at all.
    var leftOutHours = 0
    /// Of the open ones those that could not be accounted.
    var setAsideHours = 0
    /// Hours that may move and are in the sums as the ledger has them.
    var moving: Set<HostHour> = []

    init(_ question: RollUpQuestion) { self.question = question }
}

extension RollUpQuestion {
    /// Errors are kept by the hour where that is no more than some ten thousand; else by day or month.
    var stretch: RollUpStretch {
        if bucket == .hour || interval.duration <= Microseconds(2 * Microseconds.day.count) { return .hour }
        return bucket == .day || interval.duration <= Microseconds(92 * Microseconds.day.count) ? .day : .month
    }
}

extension RollUpBucket {
    /// The start of the bucket that an instant lies in; UTC.
    func start(of instant: Timestamp) -> Timestamp {
        switch self {
        case .hour: return instant.hour.start
        case .day: return CivilDay(containing: instant).start
        case .month: return CivilDay(containing: instant).firstOfMonth.start
        }
    }

    /// The start of the next one.
    func next(after start: Timestamp) -> Timestamp {
        switch self {
        case .hour: start + .hour
        case .day: start + .day
        // No month has more than 31 days, and none fewer than 28.
        case .month: CivilDay(containing: start + Microseconds(31 * Microseconds.day.count)).firstOfMonth.start
        }
    }
}

/// A day of the Gregorian calendar, by its number from the epoch.
struct CivilDay: Hashable {
    let number: Int64

    init(containing instant: Timestamp) {
        let length = Microseconds.day.count
        number = instant.microseconds / length - (instant.microseconds % length < 0 ? 1 : 0)
    }

    private init(number: Int64) { self.number = number }

    var start: Timestamp { Timestamp(microseconds: number * Microseconds.day.count) }

    /// Counted in eras of 400 years from 1 March of the year 0, so that the leap day is a year's last.
    var firstOfMonth: CivilDay {
        let shifted = number + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let year = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * year + year / 4 - year / 100)
        let month = (5 * dayOfYear + 2) / 153
        return CivilDay(number: number - (dayOfYear - (153 * month + 2) / 5))
    }
}
