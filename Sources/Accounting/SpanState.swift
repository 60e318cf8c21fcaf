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
    var input: Int
    /// µs since the window's start.
    var start: Int64
    var end: Int64
    /// Rows of the timeline at which it starts and ends.
    var startRow = 0
    var endRow = 0
    var weight: Double
    var equalWeight: Double
    var claim: Double
    var equalClaim: Double
    var slots: Double
    /// Index among those whose state changes while they run; -1 where it never does.
    var tracked = -1

    init(_ span: SpanInput, input: Int, clipped: Interval, host: HostInput) {
        self.input = input
        start = clipped.start.microseconds - host.window.start.microseconds
        end = clipped.end.microseconds - host.window.start.microseconds
        let weight = span.fixedWeight(cpus: host.cpus, slots: host.slots)
        self.weight = Self.fraction(weight ?? 0)
        equalWeight = weight == nil ? 1 : 0
        let claim = span.fixedClaim(cpus: host.cpus, slots: host.slots)
        self.claim = Self.fraction(claim ?? 0)
        equalClaim = claim == nil ? 1 : 0
        slots = span.takesSlot ? 1 : 0
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
