import Energy

/// A tool that says what jobs cost, on the inputs that it would see on a simulated host.
///
/// The formulas are written from descriptions of the tools' sources as of 2025 and 2026 and are not their code. Where a description leaves
/// something open, what is better for the tool is taken.
public protocol PeerTool: Sendable {
    static var name: String { get }
    /// How often it looks, and what it counts.
    static var sampling: String { get }
    /// The components that it claims to count on this host.
    static func scope(on host: SimulatedHost) -> EnergyScope
    /// By its design idle energy is nobody's.
    static var leavesIdleOut: Bool { get }
    /// Joules by job id; jobs that it never saw are absent. Nil where it has nothing to go by.
    static func joules(on host: SimulatedHost) -> [Int64: Double]?
}

/// All that are compared.
public enum PeerTools {
    public static let all: [any PeerTool.Type] = [
        CEEMSRAPLRule.self, CEEMSIPMIRule.self, Kepler.self, Scaphandre.self, CodeCarbonMachine.self, CodeCarbonMachineLoad.self,
        CodeCarbonProcess.self,
    ]
}

/// Instants at which a tool looks at a host: every interval, begun at random, not while nobody measures.
struct ScrapeTimes {
    let times: [Timestamp]

    init(of host: SimulatedHost, every interval: Microseconds, stream: UInt64) {
        var draws = RandomDraws(seed: host.seed, stream: stream)
        var time = host.window.start + Microseconds(Int64(draws.unit() * Double(interval.count)))
        var times: [Timestamp] = []
        while time <= host.window.end {
            if host.isMeasured(at: time) { times.append(time) }
            time = time + interval
        }
        self.times = times
    }

    /// Neighbours; across an outage they are further apart than one interval, and the time between counts all the same.
    var windows: some Sequence<(Timestamp, Timestamp)> { zip(times, times.dropFirst()) }
}
