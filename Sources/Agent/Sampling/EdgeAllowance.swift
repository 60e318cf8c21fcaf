import Energy

/// How many edges of work that no client tells of may make knots: cgroups can come and go by the hundred a second, and their edges
/// then cost more than they tell.
struct EdgeAllowance {
    private static let most = 20.0
    private static let perSecond = 2.0

    private var left = EdgeAllowance.most
    private var last: Microseconds?

    /// Whether one more may be taken now.
    mutating func take(at now: Microseconds) -> Bool {
        if let last { left = min(Self.most, left + max(0, (now - last).seconds) * Self.perSecond) }
        last = now
        guard left >= 1 else { return false }
        left -= 1
        return true
    }
}
