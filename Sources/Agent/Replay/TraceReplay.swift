public import Energy
import Meters
import Wire

/// A trace fed through the agent's own sampling, and how far the curves that it would send are from what was recorded.
public struct TraceReplay: Sendable {
    /// What became of one zone.
    public struct CurveReport: Sendable {
        public var name: String
        /// Readings at the sampling rate.
        public var samples: Int
        /// Knots of the curve, its ends included.
        public var knots: Int
        /// µJ of the trace between the first and the last reading, and of the curve.
        public var recorded: Int64
        public var counted: Int64
        /// Largest distance of a reading from the curve, in J.
        public var worstSampleJoules: Double
        /// Distances in J at each moment of the recording, sorted.
        public var distances: [Double]
        /// What no distance may pass, in J: ε + (P_max - P_min) x dt / 4.
        public var boundJoules: Double

        /// The distance that a part of all moments does not pass, in J.
        public func quantile(_ part: Double) -> Double {
            distances.isEmpty ? 0 : distances[min(distances.count - 1, Int(part * Double(distances.count)))]
        }
    }

    public let curves: [CurveReport]

    /// - Parameters:
    ///   - rate: readings a second.
    ///   - wrapAt: the counters' modulus, so that wraps can be replayed; that of Intel's 61 µJ zones by default.
    public init(
        _ trace: EnergyTrace,
        rate: Double = 10,
        epsilon: Energy = .joules(1),
        wrapAt modulus: Int64 = CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: 262_143_328_850)
    ) throws {
        let start = Timestamp(microseconds: 1_767_225_600_000_000)
        let meters = trace.series.map { series in
            // Begun shortly before its end, so that each replay has a wrap in it.
            let middle = series.counts[series.counts.count / 2]
            return TraceMeter(
                series: series,
                modulus: modulus,
                maximumPower: Power(watts: 1_000),
                start: start,
                offset: ((modulus - middle) % modulus + modulus) % modulus
            )
        }
        let settings = SamplingSettings(rate: rate, energyEpsilon: epsilon)
        var numbers = CurveNumbers(next: 1)
        var bank = MeterBank(settings: settings, resumed: [], drawOrigin: { 1 })
        bank.adopt(
            HostSensors(
                meters: meters,
                cover: Set(meters.map(\.place.name)),
                unused: [],
                remarks: [],
                cpu: CPUInfo(model: "", vendor: .other, packages: 1, cpus: 1)
            ),
            at: nil,
            isSameBoot: true,
            numbers: &numbers
        )
        var sealable = Sealable(state: AgentState(generation: 0, bootID: "replay", wallOffset: 0, nextRef: 1, curves: [], workloads: []))
        var times: [Microseconds] = []
        // The recordings start with an increase; what was before it is not known.
        let first = trace.series.compactMap(\.times.first).max() ?? .zero
        let last = trace.series.compactMap(\.times.last).min() ?? .zero
        var time = first
        while time <= last {
            bank.read(onlyFast: false, at: start + time, flags: [], isSuspended: false)
            times.append(time)
            time = time + bank.period
        }
        bank.forceTails()
        bank.take(into: &sealable)
        curves = zip(trace.series, meters).map { series, meter in
            Self.report(series, meter, sealable, times: times, start: start, settings)
        }
    }

    private static func report(
        _ series: EnergyTrace.Series,
        _ meter: TraceMeter,
        _ sealable: Sealable,
        times: [Microseconds],
        start: Timestamp,
        _ settings: SamplingSettings
    ) -> CurveReport {
        let ref = sealable.live.first { $0.name == meter.place.name }?.ref ?? 0
        let knots = sealable.columns.filter { $0.ref == ref }.flatMap(\.knots)
        let curve = Curve(knots: knots)
        let base = times.first.map { series.count(at: $0) } ?? 0
        func distance(_ time: Microseconds) -> Double? {
            curve.value(at: start + time).map { abs($0 - Double(series.count(at: time) - base)) / 1e6 }
        }
        let powers = series.powers
        return CurveReport(
            name: series.name,
            samples: times.count,
            knots: knots.count,
            recorded: (times.last.map { series.count(at: $0) } ?? 0) - base,
            counted: (knots.last?.value ?? 0) - (knots.first?.value ?? 0),
            worstSampleJoules: times.compactMap(distance).max() ?? 0,
            distances: series.times.compactMap(distance).sorted(),
            boundJoules: settings.energyEpsilon.joules + (powers.most - powers.least) * settings.fastPeriod.seconds / 4
        )
    }

    /// Readings of all zones for each knot that was kept.
    public var samplesPerKnot: Double {
        Double(curves.reduce(0) { $0 + $1.samples }) / Double(max(1, curves.reduce(0) { $0 + $1.knots }))
    }

    /// A table for people.
    public var table: String {
        func joules(_ value: Double) -> String { FixedDecimal.text(value, digits: 3) }
        let rows = curves.map { curve in
            [
                curve.name, "\(curve.samples)", "\(curve.knots)", joules(Double(curve.recorded) / 1e6), "\(curve.counted - curve.recorded)",
                joules(curve.worstSampleJoules), joules(curve.quantile(0.999)), joules(curve.distances.last ?? 0),
                joules(curve.boundJoules),
            ]
        }
        return TextTable.render(
            header: [
                "zone", "readings", "knots", "recorded J", "curve - recorded uJ", "worst reading J", "99.9 % J", "worst moment J",
                "bound J",
            ],
            rows: rows
        ) + "\n\(FixedDecimal.text(samplesPerKnot, digits: 1)) readings for each knot that is sent\n"
    }
}
