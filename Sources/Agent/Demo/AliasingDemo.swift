public import Energy

/// What readers of the same counter make of it: this agent, and scrapers that come by every 15 s or every hour.
///
/// A powercap counter turns at 262 kJ on most of Intel's zones and at 65.5 kJ on AMD's and on some DRAM. Prometheus takes a fall for
/// a restart from 0 and loses what lay between the last scrape and the turn; a reader that adds the range once loses whole turns
/// when it comes by too rarely; the agent reads within a quarter of the shortest turn.
public struct AliasingDemo: Sendable {
    /// A counter and the load on it.
    public struct Machine: Sendable {
        public var name: String
        public var maxEnergyRangeMicrojoules: Int64
        public var power: Power
    }

    /// Who reads it.
    public enum Reader: CaseIterable, Sendable {
        case agent, prometheusAt15Seconds, prometheusAt30Seconds, wrapAwareAt15Seconds, prometheusAtOneHour, wrapAwareAtOneHour

        var name: String {
            switch self {
            case .agent: "wattle-agent"
            case .prometheusAt15Seconds: "scrape 15 s, increase()"
            case .prometheusAt30Seconds: "scrape 30 s, increase()"
            case .wrapAwareAt15Seconds: "scrape 15 s, adds one range"
            case .prometheusAtOneHour: "scrape 1 h, increase()"
            case .wrapAwareAtOneHour: "scrape 1 h, adds one range"
            }
        }

        var period: Microseconds {
            switch self {
            case .agent: .milliseconds(100)
            case .prometheusAt15Seconds, .wrapAwareAt15Seconds: .seconds(15)
            case .prometheusAt30Seconds: .seconds(30)
            case .prometheusAtOneHour, .wrapAwareAtOneHour: .hour
            }
        }
    }

    public struct Row: Sendable {
        public var machine: Machine
        public var reader: Reader
        public var usedJoules: Double
        public var countedJoules: Double
        public var turns: Int64
        /// What the reader itself knows to be unknown.
        public var declaredGaps: Int

        public var missedRatio: Double { usedJoules > 0 ? (usedJoules - countedJoules) / usedJoules : 0 }
    }

    public static let machines = [
        Machine(name: "Intel package, 262 kJ", maxEnergyRangeMicrojoules: 262_143_328_850, power: Power(watts: 200)),
        Machine(name: "Intel package, 262 kJ", maxEnergyRangeMicrojoules: 262_143_328_850, power: Power(watts: 350)),
        Machine(name: "AMD package, 65.5 kJ", maxEnergyRangeMicrojoules: 65_532_610_987, power: Power(watts: 200)),
        Machine(name: "AMD package, 65.5 kJ", maxEnergyRangeMicrojoules: 65_532_610_987, power: Power(watts: 400)),
    ]

    public let rows: [Row]
    public let duration: Microseconds

    /// - Parameters:
    ///   - trace: gives the load its shape, over and over; nil for a steady one. Its mean becomes the machine's power.
    ///   - duration: of the load.
    public init(trace: EnergyTrace? = nil, duration: Microseconds = Microseconds(24 * 3_600_000_000)) {
        self.duration = duration
        rows = Self.machines.flatMap { machine in
            let load = Load(trace: trace, power: machine.power)
            return Reader.allCases.map { Self.read(machine, $0, load, duration) }
        }
    }

    /// Energy as a function of time.
    private struct Load {
        let power: Power
        /// One round of the shape: counts that reach `roundCount` at its end.
        let shape: EnergyTrace.Series?
        let round: Microseconds
        let roundCount: Int64

        init(trace: EnergyTrace?, power: Power) {
            self.power = power
            shape = trace?.series.first { $0.zone == .package } ?? trace?.series.first
            round = shape?.times.last ?? .zero
            roundCount = shape?.counts.last ?? 0
        }

        func microjoules(at time: Microseconds) -> Int64 {
            guard let shape, round > .zero, roundCount > 0 else { return Int64(saturating: power.microjoules(over: time)) }
            let rounds = time.count / round.count
            let within = shape.count(at: Microseconds(time.count % round.count))
            let mean = power.watts * Double(round.count)
            return Int64(saturating: (Double(rounds) + Double(within) / Double(roundCount)) * mean)
        }
    }

    private static func read(_ machine: Machine, _ reader: Reader, _ load: Load, _ duration: Microseconds) -> Row {
        let modulus = CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: machine.maxEnergyRangeMicrojoules)
        var unwrapping = CounterUnwrapping(modulus: modulus, maximumRate: 1_000)
        var counted: Int64 = 0
        var gaps = 0
        var last: Int64?
        var time = Microseconds.zero
        // The grid of an hour would meet the demo's end exactly; real ones do not matter by a second.
        while time <= duration {
            let raw = load.microjoules(at: time) % modulus
            switch reader {
            case .agent:
                switch unwrapping.read(raw: raw, at: Timestamp(microseconds: time.count)) {
                case .first: break
                case .exactly(let increase): counted += increase
                case .between(let low, _, _):
                    counted += low
                    gaps += 1
                }
            case .prometheusAt15Seconds, .prometheusAt30Seconds, .prometheusAtOneHour:
                if let last { counted += raw >= last ? raw - last : raw }
            case .wrapAwareAt15Seconds, .wrapAwareAtOneHour:
                if let last { counted += raw >= last ? raw - last : raw - last + modulus }
            }
            last = raw
            time = time + reader.period
        }
        let used = load.microjoules(at: time - reader.period)
        return Row(
            machine: machine,
            reader: reader,
            usedJoules: Double(used) / 1e6,
            countedJoules: Double(counted) / 1e6,
            turns: used / modulus,
            declaredGaps: gaps
        )
    }

    /// A table for people, and what it means.
    public var table: String {
        let cells = rows.map { row in
            [
                row.machine.name, FixedDecimal.text(row.machine.power.watts, digits: 0), row.reader.name, "\(row.turns)",
                FixedDecimal.text(row.usedJoules / 1e3, digits: 1), FixedDecimal.text(row.countedJoules / 1e3, digits: 1),
                FixedDecimal.text(row.missedRatio * 100, digits: 2), row.missedRatio > 0.000_5 ? "loses energy" : "loses none",
            ]
        }
        return TextTable.render(header: ["counter", "W", "reader", "turns", "used kJ", "counted kJ", "missed %", ""], rows: cells)
    }
}
