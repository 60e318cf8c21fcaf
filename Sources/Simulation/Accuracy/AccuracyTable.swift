import Accounting
public import Energy

/// How far the engine and the peers' formulas are from what simulated jobs truly cost.
public struct AccuracyTable: Sendable {
    /// Whose answer, against which truth.
    public struct Line: Hashable, Sendable {
        public var tool: String
        /// The truth is dynamic energy alone, for tools that leave idle out by design.
        public var isDynamicOnly: Bool

        public init(tool: String, isDynamicOnly: Bool = false) {
            self.tool = tool
            self.isDynamicOnly = isDynamicOnly
        }
    }

    /// A class of jobs by their length, and how long a host is looked at for it.
    public struct JobLength: Hashable, Sendable {
        public var name: String
        public var seconds: Double
        public var window: Microseconds

        /// Whether a job is of the class.
        func contains(_ job: SimulatedJob) -> Bool {
            let length = job.interval.duration.seconds
            return 0.6 * seconds <= length && length <= 1.6 * seconds
        }
    }

    public struct Key: Hashable, Sendable {
        public var family: NoiseFamily
        public var length: JobLength
        public var line: Line
    }

    public static let lengths = [
        JobLength(name: "2 s", seconds: 2, window: .seconds(600)),
        JobLength(name: "30 s", seconds: 30, window: .seconds(2_400)),
        JobLength(name: "10 min", seconds: 600, window: .seconds(3 * 3_600)),
        JobLength(name: "2 h", seconds: 7_200, window: .seconds(8 * 3_600)),
    ]
    public static let ours = "Wattle"
    /// 2026-09-01T09:00:00Z.
    static let start = Timestamp(microseconds: 1_788_253_200_000_000)

    public private(set) var samples: [Key: ErrorSample] = [:]
    /// What another idea of each job's dynamic energy would make of it: the Shapley value and the marginal energy against ours, by family.
    public private(set) var otherTruths: [NoiseFamily: (shapley: ErrorSample, marginal: ErrorSample)] = [:]
    public let hosts: Int
    public let seed: UInt64

    /// - Parameter hosts: drawn per family and length.
    public init(
        hosts: Int,
        seed: UInt64,
        families: [NoiseFamily] = NoiseFamily.allCases,
        lengths: [JobLength] = AccuracyTable.lengths,
        progress: (String) -> Void = { _ in }
    ) {
        self.hosts = hosts
        self.seed = seed
        for family in families {
            for length in lengths {
                progress("\(family.rawValue), jobs of \(length.name)")
                for number in 0..<hosts {
                    let host = SimulatedHost(
                        seed: Self.hostSeed(seed, family, length, number),
                        family: family,
                        jobLength: length.seconds,
                        start: Self.start,
                        duration: length.window,
                        withShapley: length.seconds == 30
                    )
                    add(host, length: length)
                }
            }
        }
    }

    private static func hostSeed(_ seed: UInt64, _ family: NoiseFamily, _ length: JobLength, _ number: Int) -> UInt64 {
        let families = UInt64(NoiseFamily.allCases.firstIndex(of: family) ?? 0)
        return seed &* 1_000_003 &+ families &* 100_003 &+ UInt64(length.seconds) &* 1_009 &+ UInt64(number)
    }

    private mutating func add(_ host: SimulatedHost, length: JobLength) {
        let family = host.draw.family
        let jobs = host.jobs.filter(length.contains)
        guard !jobs.isEmpty else { return }
        let scope = host.draw.scope
        let answers = EngineRun.answers(AgentView(of: host))
        for job in jobs {
            let answer = answers[job.id]
            add(Key(family: family, length: length, line: Line(tool: Self.ours)), answer?.best, job.truth.microjoules(scope))
            let dynamicKey = Key(family: family, length: length, line: Line(tool: Self.ours, isDynamicOnly: true))
            add(dynamicKey, answer?.dynamic, job.truth.microjoules(scope, dynamicOnly: true))
            if job.truth.shapley > 0 {
                let dynamic = job.truth.microjoules(.cpuAndDRAM, dynamicOnly: true)
                var others = otherTruths[family] ?? (ErrorSample(), ErrorSample())
                others.shapley.add(answer: dynamic, truth: job.truth.shapley)
                others.marginal.add(answer: dynamic, truth: job.truth.marginal)
                otherTruths[family] = others
            }
        }
        for tool in PeerTools.all {
            guard let joules = tool.joules(on: host) else { continue }
            let scope = tool.scope(on: host)
            for job in jobs {
                let answer = joules[job.id].map { $0 * 1e6 }
                add(Key(family: family, length: length, line: Line(tool: tool.name)), answer, job.truth.microjoules(scope))
                if tool.leavesIdleOut {
                    let key = Key(family: family, length: length, line: Line(tool: tool.name, isDynamicOnly: true))
                    add(key, answer, job.truth.microjoules(scope, dynamicOnly: true))
                }
            }
        }
    }

    private mutating func add(_ key: Key, _ answer: Double?, _ truth: Double) {
        samples[key, default: ErrorSample()].add(answer: answer, truth: truth)
    }

    /// All families together.
    public func pooled(_ line: Line, _ length: JobLength) -> ErrorSample {
        var all = ErrorSample()
        for (key, sample) in samples where key.line == line && key.length == length { all += sample }
        return all
    }

    /// The lines of the table, in its order.
    public static var lines: [Line] {
        [Line(tool: ours)] + PeerTools.all.map { Line(tool: $0.name) } + dynamicLines
    }

    public static var dynamicLines: [Line] {
        [Line(tool: ours, isDynamicOnly: true)]
            + PeerTools.all.filter { $0.leavesIdleOut }.map { Line(tool: $0.name, isDynamicOnly: true) }
    }

    /// A case in which a peer's median or 95th percentile is below ours.
    public struct Loss: Sendable {
        public var key: Key
        public var statistic: String
        public var theirs: Double
        public var ours: Double
    }

    public var losses: [Loss] {
        var losses: [Loss] = []
        for (key, sample) in samples where key.line.tool != Self.ours {
            let ourKey = Key(family: key.family, length: key.length, line: Line(tool: Self.ours, isDynamicOnly: key.line.isDynamicOnly))
            guard let ours = samples[ourKey], !ours.errors.isEmpty, !sample.errors.isEmpty else { continue }
            if sample.median < ours.median {
                losses.append(Loss(key: key, statistic: "median", theirs: sample.median, ours: ours.median))
            }
            if sample.percentile95 < ours.percentile95 {
                losses.append(Loss(key: key, statistic: "95th percentile", theirs: sample.percentile95, ours: ours.percentile95))
            }
        }
        return losses.sorted {
            ($0.key.family.rawValue, $0.key.length.seconds, $0.key.line.tool, $0.statistic)
                < ($1.key.family.rawValue, $1.key.length.seconds, $1.key.line.tool, $1.statistic)
        }
    }
}
