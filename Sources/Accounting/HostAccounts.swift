public import Energy

/// What was noticed while accounts were made; stored beside them and shown.
public struct AccountFlags: OptionSet, Hashable, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// The hour's energy was below the idle floor, which was lowered to it.
    public static let idleFloorHigh = AccountFlags(rawValue: 1 << 0)
    /// An account's dynamic energy was negative and is stored as 0.
    public static let clamped = AccountFlags(rawValue: 1 << 1)
    /// No idle floor is known: all energy counts as dynamic.
    public static let idleFloorUnknown = AccountFlags(rawValue: 1 << 2)
    /// The number of slots is not known: what a span reserved is a guess.
    public static let slotsUnknown = AccountFlags(rawValue: 1 << 3)
    /// The host's busy time was not measured in part of the window.
    public static let busyUnknown = AccountFlags(rawValue: 1 << 4)

    /// A cgroup was owned by several spans that ran at the same time; each was charged an equal part of it.
    public static let cgroupShared = AccountFlags(rawValue: 1 << 5)
    /// Nobody read a span's cgroup as it died: its last CPU time may be another's or the system's here, and the span's upper limit
    /// goes up to that.
    public static let cpuTimePartial = AccountFlags(rawValue: 1 << 6)
    /// A meter around others counted less than they did: their sum is the total, and there is no rest.
    public static let nodeBelowInner = AccountFlags(rawValue: 1 << 7)
    /// The idle floor is a guess from the lowest power seen: none was learned or configured yet.
    public static let idleFloorFitted = AccountFlags(rawValue: 1 << 8)
    /// The energy is a part of another host's: this one runs on it.
    public static let derived = AccountFlags(rawValue: 1 << 9)

    /// Spans were said to lie within themselves; they count as standing beside one another.
    public static let nestedInItself = AccountFlags(rawValue: 1 << 10)
    /// More spans than can be told apart ran at once within one that they had no measured part of: it keeps what would be theirs.
    public static let stepsUndivided = AccountFlags(rawValue: 1 << 11)

    public var names: [String] {
        [
            (AccountFlags.idleFloorHigh, "idle_floor_high"), (.clamped, "clamped"), (.idleFloorUnknown, "idle_floor_unknown"),
            (.slotsUnknown, "slots_unknown"), (.busyUnknown, "busy_unknown"), (.cgroupShared, "cgroup_shared"),
            (.cpuTimePartial, "cpu_time_partial"), (.nodeBelowInner, "node_below_inner"), (.idleFloorFitted, "idle_floor_fitted"),
            (.derived, "derived"), (.nestedInItself, "nested_in_itself"),
            (.stepsUndivided, "steps_undivided"),
        ].filter { contains($0.0) }.map(\.1)
    }
}

/// What each policy moves from the idle account, µJ.
public struct IdleMoved: Hashable, Sendable {
    public var reserved: Int64 = 0
    public var busy: Int64 = 0
    public var equal: Int64 = 0

    public init(reserved: Int64 = 0, busy: Int64 = 0, equal: Int64 = 0) {
        self.reserved = reserved
        self.busy = busy
        self.equal = equal
    }

    public subscript(policy: Policy) -> Int64 {
        switch policy {
        case .dynamic: 0
        case .reserved: reserved
        case .busy: busy
        case .equal: equal
        }
    }

    public static func += (a: inout IdleMoved, b: IdleMoved) {
        a.reserved += b.reserved
        a.busy += b.busy
        a.equal += b.equal
    }
}

/// What the hard limits of a slice are made of; linear, so that the limits under each policy are sums of it.
///
/// A slice's energy under a policy is `drawn - floor + idle moved`: its part of all energy, less its part of the idle floor, plus
/// the idle that the policy gives it. The floor and the moved idle scale together within the limits of the floor itself.
public struct SliceBounds: Hashable, Sendable {
    /// The least and the most of the host's energy that the span can have drawn, idle floor included, µJ. The least also lacks the idle
    /// that was moved for time in which the span may not have run, so it may be below 0.
    public var drawnLow: Double = 0
    public var drawnHigh: Double = 0
    /// The idle floor within each of the two, µJ.
    public var floorLow: Double = 0
    public var floorHigh: Double = 0
    /// Limits of the true idle power as ratios of the one used.
    public var floorRatioLow: Double = 1
    public var floorRatioHigh: Double = 1
    /// Limits of the idle that the policy `busy` moves, µJ: it goes by shares, which may be in doubt. Nil where they were not kept.
    public var busyIdleLow: Double?
    public var busyIdleHigh: Double?
    /// The most that unmetered time can add, µJ.
    public var unmeteredHigh: Double = 0

    public init() {}

    /// Hard limits in µJ of the slice's energy under a policy.
    public func limits(policy: Policy, idle: IdleMoved) -> (low: Double, high: Double) {
        guard policy == .busy else { return limits(idleMoved: idle[policy]) }
        let moved = Double(idle.busy)
        // Where nobody kept them: nothing, or all that there was while the span ran, as far as its own limits tell.
        let isExact = floorHigh - floorLow <= 1
        return limits(
            least: busyIdleLow ?? (isExact ? moved : 0),
            most: busyIdleHigh ?? max(moved, isExact ? moved : floorHigh)
        )
    }

    /// Hard limits in µJ of the slice's energy with the idle that a policy moved to it; not for `busy`, which moves idle by shares that may
    /// be in doubt themselves.
    public func limits(idleMoved: Int64) -> (low: Double, high: Double) { limits(least: Double(idleMoved), most: Double(idleMoved)) }

    private func limits(least: Double, most: Double) -> (low: Double, high: Double) {
        let low = drawnLow + min((least - floorLow) * floorRatioLow, (least - floorLow) * floorRatioHigh)
        let high = drawnHigh + max((most - floorHigh) * floorRatioLow, (most - floorHigh) * floorRatioHigh) + unmeteredHigh
        return (max(0, low), max(0, high))
    }
}

/// Where a slice's errors come from, as standard deviations in µJ. Each has a key, by which errors that slices share are added before
/// they are squared; `docs/methodology.md` has the list.
public struct SliceErrors: Hashable, Sendable {
    /// The idle floor within the slice's part of all energy, µJ: with the idle moved to it, how far a wrong floor carries. Key: the host's
    /// component.
    public var floor: Double = 0
    /// At the slice's start and end, where the curves were not read or the instant is not known well. Key: host, component and instant;
    /// plus at an end, minus at a start.
    public var start: Double = 0
    public var end: Double = 0
    /// Of `Slice.estimated`. Key: the host-hour's component.
    public var gap: Double = 0

    public init() {}
}

/// A span's part of one component's energy in one window, or in a piece of it where `HostInput.cuts` divide it.
public struct Slice: Sendable {
    public var spanID: Int64
    public var component: Component
    public var interval: Interval
    public var dynamic: Int64
    public var idle: IdleMoved
    public var bounds: SliceBounds
    /// Time of the slice in which the component was metered.
    public var metered: Microseconds
    /// The span's part of the host's CPU, averaged over the slice.
    public var meanShare: Double
    public var shareMethod: ShareMethod
    public var quality: Quality
    /// The slice's own mean power over its time that was not metered, µJ, with the idle of the policy `reserved`; outside the accounts. Nil
    /// where under half is metered. `estimated(under:)` has it for others.
    public var estimated: Int64?
    public var errors = SliceErrors()
    /// How long the span had the whole host reserved to it: its reservation over `max(1, all of them)`, summed over the slice's time, µs. What
    /// is reserved is no component's: the slices of the first one have it, those of others 0. Nil where it was not kept.
    public var reservedMicroseconds: Double?

    public init(
        spanID: Int64,
        component: Component,
        interval: Interval,
        dynamic: Int64,
        idle: IdleMoved,
        bounds: SliceBounds,
        metered: Microseconds,
        meanShare: Double,
        shareMethod: ShareMethod,
        quality: Quality
    ) {
        self.spanID = spanID
        self.component = component
        self.interval = interval
        self.dynamic = dynamic
        self.idle = idle
        self.bounds = bounds
        self.metered = metered
        self.meanShare = meanShare
        self.shareMethod = shareMethod
        self.quality = quality
    }
}

/// What each account had of a component in a piece of the window, µJ. Pieces add up to the component's accounts.
public struct AccountPiece: Hashable, Sendable {
    public var interval: Interval
    public var jobDynamic: Int64 = 0
    public var system: Int64 = 0
    public var agent: Int64 = 0
    public var idle: Int64 = 0
    public var unknown: Int64 = 0

    public init(interval: Interval) { self.interval = interval }
}

/// The accounts of one component of one host in one window, µJ: every joule in exactly one of them.
public struct ComponentAccounts: Sendable {
    public var component: Component
    public var metered: Int64
    /// Hard limits of what was metered: the meters' own.
    public var meteredLow: Int64
    public var meteredHigh: Int64
    public var jobDynamic: Int64
    public var system: Int64
    public var agent: Int64
    /// Before policy.
    public var idle: Int64
    /// Metered energy whose owner is not known.
    public var unknown: Int64
    /// What each policy moves from `idle` to spans.
    public var idleMoved: IdleMoved
    /// Time of the window in which the component was not fully metered.
    public var unmetered: Microseconds
    /// The most energy that can have flowed in that time.
    public var unmeteredMaximum: Int64
    public var flags: AccountFlags
    public var quality: Quality
    /// Standard deviations of the meters' own error and of the idle floor, as parts of the energy and of the floor.
    public var meterErrorRatio: Double
    public var floorErrorRatio: Double
    /// In order of time; one where nothing cuts the window.
    public var pieces: [AccountPiece]
    /// In order of spans, then of time.
    public var slices: [Slice]

    public init(component: Component) {
        self.component = component
        metered = 0
        meteredLow = 0
        meteredHigh = 0
        jobDynamic = 0
        system = 0
        agent = 0
        idle = 0
        unknown = 0
        idleMoved = IdleMoved()
        unmetered = .zero
        unmeteredMaximum = 0
        flags = []
        quality = .unknown
        meterErrorRatio = 0
        floorErrorRatio = 0
        pieces = []
        slices = []
    }

    /// Conservation: the accounts add up to what was metered, none is negative, and no policy moves more idle than there is.
    public var isConserved: Bool {
        metered == jobDynamic + system + agent + idle + unknown
            && [jobDynamic, system, agent, idle, unknown].allSatisfy { $0 >= 0 }
            && [idleMoved.reserved, idleMoved.busy, idleMoved.equal].allSatisfy { (0...idle).contains($0) }
            && slices.reduce(0) { $0 + $1.dynamic } == jobDynamic
            && Policy.allCases.allSatisfy { policy in slices.reduce(0) { $0 + $1.idle[policy] } == idleMoved[policy] }
    }
}
