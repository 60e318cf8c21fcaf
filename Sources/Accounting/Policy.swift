/// How a host's idle energy is shared out. A value chosen per statement; what is stored is idle before policy.
public enum Policy: String, Sendable, CaseIterable {
    /// All idle to the idle account: what the work added.
    case dynamic
    /// Each span bears the idle of the part of the machine it reserved; the rest stays idle.
    case reserved
    /// Idle goes by share of dynamic energy among the running spans.
    case busy
    /// Equal parts to each running span.
    case equal
}

/// How a span's share of the dynamic energy was found, best first.
public enum ShareMethod: String, Sendable, CaseIterable {
    /// The agent saw the CPU time of the span's cgroup.
    case measured
    /// The span's client posted its CPU time.
    case measuredClient = "measured_client"
    /// The span declared the part of the machine that it has.
    case declared
    /// Nothing known: equal parts.
    case equal
}
