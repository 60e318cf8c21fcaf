import Energy

/// How a span takes part while nothing changes: what the host's prefix sums are multiplied with.
struct SpanState: Equatable {
    /// Its weight where it is not measured: a fixed part of the host's CPU, below 0 where steps within it take that from an equal part...
    var weight = 0.0
    /// ...and parts of what each span that declared nothing has, `1 / max(slots, spans running)`.
    var equalWeight = 0.0
    /// What was measured of it, as a part of the host's CPU; with the least and the most that it can have been.
    var measured = 0.0
    var leastMeasured = 0.0
    var mostMeasured = 0.0
    /// 1 where all that nobody was measured to use may have been its own, else 0.
    var remainder = 0.0
    /// Its claim on idle, like its weight.
    var claim = 0.0
    var equalClaim = 0.0
    /// How many of the running spans it is: 1, less what those within it take, or 0.
    var slots = 0.0
    /// By how much what was measured of it may be off at any instant, µs on every CPU of the host.
    var epsilon = 0.0
    /// Its cgroup is another running span's too.
    var isShared = false
    /// CPU time of its cgroup may be missing here.
    var isPartial = false
}

/// A span's state from a row of the timeline on.
struct SpanSegment {
    var row: Int
    var state: SpanState
}

/// A span clipped to the window.
struct ActiveSpan {
    /// Index into the host's spans.
    let input: Int
    let id: Int64
    /// µs since the window's start.
    let start: Int64
    let end: Int64
    /// Its own start and end lie in the window, and each may be off by so much.
    let hasStart: Bool
    let hasEnd: Bool
    let startError: Microseconds
    let endError: Microseconds
    let shareMethod: ShareMethod
    /// When it may have started at the latest and ended at the earliest, and the rows of those; -1 where its edges are known.
    let late: Int64
    let early: Int64
    var lateRow: Int32 = -1
    var earlyRow: Int32 = -1
    /// Rows of the timeline at which it starts and ends.
    var startRow: Int32 = 0
    var endRow: Int32 = 0
    var weight: Double
    var equalWeight: Double
    var claim: Double
    var equalClaim: Double
    var slots: Double
    /// Its state may change while it runs.
    let mayBeTracked: Bool
    /// Index among those whose state changes while they run; -1 where it never does.
    var tracked = -1

    init(_ span: borrowing SpanInput, input: Int, clipped: Interval, window: Interval, cpus: Int, slots: Double?) {
        self.input = input
        id = span.id
        start = clipped.start.microseconds - window.start.microseconds
        end = clipped.end.microseconds - window.start.microseconds
        hasStart = clipped.start == span.interval.start
        hasEnd = clipped.end == span.interval.end
        startError = span.startError
        endError = span.endError
        shareMethod = span.shareMethod
        late = Self.within(clipped, span.interval.start, plus: startError, window)
        early = Self.within(clipped, span.interval.end, minus: endError, window)
        let weight = span.fixedWeight(cpus: cpus, slots: slots)
        self.weight = Self.fraction(weight ?? 0)
        equalWeight = weight == nil ? 1 : 0
        let claim = span.fixedClaim(cpus: cpus, slots: slots)
        self.claim = Self.fraction(claim ?? 0)
        equalClaim = claim == nil ? 1 : 0
        self.slots = span.takesSlot ? 1 : 0
        mayBeTracked = span.mayChange
    }

    /// µs since the window's start; -1 where the clipped span does not reach so far back.
    private static func within(_ clipped: Interval, _ start: Timestamp, plus error: Microseconds, _ window: Interval) -> Int64 {
        guard error > .zero else { return -1 }
        let (time, overflow) = start.microseconds.addingReportingOverflow(error.count)
        let last = overflow ? clipped.end.microseconds : min(time, clipped.end.microseconds)
        return last > clipped.start.microseconds ? last - window.start.microseconds : -1
    }

    private static func within(_ clipped: Interval, _ end: Timestamp, minus error: Microseconds, _ window: Interval) -> Int64 {
        guard error > .zero else { return -1 }
        let (time, overflow) = end.microseconds.subtractingReportingOverflow(error.count)
        let first = overflow ? clipped.start.microseconds : max(time, clipped.start.microseconds)
        return first < clipped.end.microseconds ? first - window.start.microseconds : -1
    }

    /// Bad input weighs nothing; a share over 1 is scaled by the formula.
    private static func fraction(_ value: Double) -> Double { value > 0 ? min(value, 0x1p30) : 0 }

    /// What it is while nobody measures it and nothing runs within it.
    var declared: SpanState {
        var state = SpanState()
        state.weight = weight
        state.equalWeight = equalWeight
        state.remainder = 1
        state.claim = claim
        state.equalClaim = equalClaim
        state.slots = slots
        return state
    }
}

extension SpanInput {
    /// Something of it is measured, or it runs within another.
    var mayChange: Bool { workload != nil || parentID != nil || memory != nil || !gpuTimes.isEmpty || !ownedGPUs.isEmpty }

    /// How far each edge may be off: nothing where the span's cgroup was born or died at it.
    var startError: Microseconds { workload?.curve.extent?.start == interval.start ? .zero : edgeResolution }
    var endError: Microseconds {
        if let workload, workload.isClosed, workload.curve.extent?.end == interval.end { return .zero }
        return edgeResolution
    }

    /// How the span's share is found, wherever its workload is known.
    public var shareMethod: ShareMethod {
        if workload != nil { return .measured }
        if postedCPUTime != nil, fullDuration > .zero { return .measuredClient }
        return cpuShare != nil || cpus != nil || weight != nil ? .declared : .equal
    }

    /// The part of the host's CPU that an unmeasured span is taken to have used; nil where it has an equal part.
    func fixedWeight(cpus hostCPUs: Int, slots: Double?) -> Double? {
        if let postedCPUTime, fullDuration > .zero {
            return min(1, Double(postedCPUTime.count) / (Double(fullDuration.count) * Double(hostCPUs)))
        }
        if let cpuShare { return cpuShare }
        if let cpus { return min(1, cpus / Double(hostCPUs)) }
        if let weight, let slots, slots > 0 { return min(1, weight / slots) }
        return nil
    }

    /// The part of the host that the span reserved; nil where neither the span nor the host said it: one of its slots, or a guess.
    func fixedClaim(cpus hostCPUs: Int, slots: Double?) -> Double? {
        if let cpus { return min(1, cpus / Double(hostCPUs)) }
        if let cpuShare { return cpuShare }
        if let weight, let slots, slots > 0 { return min(1, weight / slots) }
        return nil
    }
}
