/// The one formula that shares out dynamic energy in an interval (methodology, section "Shares").
///
/// All arguments are fractions of the host's CPU in the interval, 0...1.
public struct ShareFormula: Sendable {
    /// Busy fraction of the host, at least what the parts add up to; 1 where it is not known.
    public let busy: Double
    /// What neither a measured span nor the agent used.
    public let remainder: Double
    /// One part of the busy time; 0 where nothing ran.
    private let perBusy: Double
    private let remainderPerWeight: Double
    private let leftover: Double
    private let isBusyKnown: Bool
    private let agentFraction: Double

    /// - Parameters:
    ///   - busy: the host's busy fraction; nil where it was not measured.
    ///   - measured: the sum over measured spans.
    ///   - agent: the agent's own.
    ///   - weights: the sum of the weights of the spans without a measurement.
    public init(busy: Double?, measured: Double, agent: Double, weights: Double) {
        let b = max(busy ?? 1, measured + agent)
        let r = max(0, b - measured - agent)
        let denominator = max(weights, r)
        self.busy = b
        self.remainder = r
        self.isBusyKnown = busy != nil
        self.agentFraction = agent
        perBusy = b > 0 ? min(1 / b, .greatestFiniteMagnitude) : 0
        self.remainderPerWeight = denominator > 0 ? r * perBusy / denominator : 0
        self.leftover = max(0, r - weights) * perBusy
    }

    /// The fraction of dynamic energy of a span that used `fraction` of the CPU, measured.
    public func measured(_ fraction: Double) -> Double { fraction * perBusy }
    /// The fraction of dynamic energy of a span known only by its weight.
    public func declared(_ weight: Double) -> Double { weight * remainderPerWeight }
    public var agent: Double { measured(agentFraction) }
    /// What is left belongs to the system where the host's busy time was measured...
    public var system: Double { isBusyKnown ? leftover : 0 }
    /// ...and to nobody known where it was not.
    public var unknown: Double { isBusyKnown ? 0 : leftover }
    /// Nothing ran: dynamic energy (of either sign) is idle energy.
    public var idle: Double { busy > 0 ? 0 : 1 }
    /// The most that a span without a measurement can have used.
    public var mostUndeclared: Double { remainder * perBusy }
}
