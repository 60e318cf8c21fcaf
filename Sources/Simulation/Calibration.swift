public import Accounting

/// How often the 95 % intervals hold the truth, on hosts drawn from a seed whose true energies are known, through the engine.
///
/// Each host lives for two hours: phases of load by jobs and system, power by load, meters that are off by a factor, counters read at
/// their period and thinned as the agent does it, jobs known by cgroups or by webhooks. Of each host one thing is looked at, so that draws
/// are independent.
public struct Calibration: Sendable {
    /// What the engine has to go by.
    public enum HostClass: String, CaseIterable, Sendable {
        /// Counters at 10 Hz, cgroups read at both ends.
        case cgroups
        /// Counters, and jobs known by webhooks of a second that declare what they take.
        case declared
        /// Power by utilisation, cgroups.
        case modelled
        /// Counters, cgroups, and stretches that nobody measured.
        case gaps
    }

    /// What the world does that the engine may not know of.
    public enum World: String, CaseIterable, Sendable {
        /// Every source of error as the engine takes it to be.
        case asModelled = "as_modelled"
        /// A second of CPU costs some jobs far more than others (logarithm: Student's t of 3 degrees, 0.15); readers are late.
        case heavyTails = "heavy_tails"
        /// The sensor's scale wanders by 1 % in half an hour.
        case drift
        /// The idle floor is 20 % off, either way.
        case wrongFloor = "wrong_floor"
        /// Two threads share a core: power bends at half load, and a job's CPU time is worth 1 or 0.65.
        case smt
        /// The clock of who says when jobs ran wanders by seconds.
        case changingSkew = "changing_skew"
    }

    /// What is looked at.
    public enum Target: String, CaseIterable, Sendable {
        /// One job.
        case job
        /// About half of the jobs.
        case service
        /// All that the host used.
        case host
    }

    /// What came of many hosts.
    public struct Outcome: Sendable {
        public var hosts = 0
        public var covered = 0
        public var coveredGrams = 0
        public var withinBounds = 0
        /// Widths of the intervals and errors, as parts of the truth.
        public var widths: [Double] = []
        public var errors: [Double] = []

        public init() {}

        public var coverage: Double { hosts > 0 ? Double(covered) / Double(hosts) : .nan }
        public var coverageGrams: Double { hosts > 0 ? Double(coveredGrams) / Double(hosts) : .nan }
        public var meanWidth: Double { widths.isEmpty ? .nan : widths.reduce(0, +) / Double(widths.count) }
        /// Of one interval for all that holds 95 % of the errors, by somebody who has seen them.
        public var oracleWidth: Double {
            guard errors.count > 1 else { return .nan }
            let sorted = errors.sorted()
            func quantile(_ p: Double) -> Double { sorted[Int((p * Double(sorted.count - 1)).rounded())] }
            return quantile(0.975) - quantile(0.025)
        }
    }

    /// One host: the figure, the truth, and what perfect readings of its meters and of its jobs would have given, with the floor that its
    /// meters truly show: what the hard limits are about.
    public struct Case: Sendable {
        public var energy: Estimate
        public var grams: Estimate?
        public var truth: Double
        public var trueGrams: Double
        public var counted: Double
    }

    public static func outcome(_ hostClass: HostClass, _ world: World, _ target: Target, hosts: Int, seed: UInt64) -> Outcome {
        var outcome = Outcome()
        for number in 0..<hosts {
            guard let one = CalibrationHost(hostClass, world, target, seed: seed &* 1_000_003 &+ UInt64(number)).answer() else { continue }
            outcome.hosts += 1
            if one.energy.low <= one.truth && one.truth <= one.energy.high { outcome.covered += 1 }
            if let grams = one.grams, grams.low <= one.trueGrams, one.trueGrams <= grams.high { outcome.coveredGrams += 1 }
            if one.energy.boundLow <= one.counted && one.counted <= one.energy.boundHigh { outcome.withinBounds += 1 }
            outcome.widths.append((one.energy.high - one.energy.low) / one.truth)
            outcome.errors.append((one.truth - one.energy.best) / one.truth)
        }
        return outcome
    }

    /// A table in Markdown: coverage, and width against an oracle's, of every class and world.
    public static func report(hosts: Int, seed: UInt64) -> String {
        var lines = [
            "| meters and jobs | world | of | hosts | coverage, energy | coverage, CO2e | mean width | oracle's | ratio | within bounds |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for world in World.allCases {
            for hostClass in HostClass.allCases {
                for target in Target.allCases {
                    let o = outcome(hostClass, world, target, hosts: hosts, seed: seed)
                    func percent(_ x: Double) -> String { x.isFinite ? "\((x * 1000).rounded() / 10) %" : "-" }
                    let ratio = (o.meanWidth / o.oracleWidth * 100).rounded() / 100
                    let cells: [String] = [
                        hostClass.rawValue, world.rawValue, target.rawValue, "\(o.hosts)", percent(o.coverage), percent(o.coverageGrams),
                        percent(o.meanWidth), percent(o.oracleWidth), "\(ratio)",
                        "\(o.withinBounds)/\(o.hosts)",
                    ]
                    lines.append("| " + cells.joined(separator: " | ") + " |")
                }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
