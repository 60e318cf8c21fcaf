import Accounting
import Energy
import TestSupport

/// A host of a random shape over an hour: meters with gaps, busy time, an agent, and spans of every kind.
struct RandomHost {
    let input: HostInput

    init(input: HostInput) { self.input = input }

    init(seed: UInt64, meterCount: Int? = nil, withoutGaps: Bool = false) {
        var random = RandomSource(seed: seed)
        let window = Hour(number: 480_000).interval
        func time(_ seconds: Double) -> Timestamp { window.start + Microseconds(Int64(seconds * 1e6)) }

        func curve(maximumRate: Double, gapChance: Double) -> Curve {
            var t =
                withoutGaps
                ? -30.0 : random.chance(0.2) ? Double.random(in: 0...600, using: &random) : -Double.random(in: 0...30, using: &random)
            let end = withoutGaps || random.chance(0.8) ? 3_630.0 : Double.random(in: 1_800...3_600, using: &random)
            var value: Int64 = Int64.random(in: 0...1_000_000_000, using: &random)
            var knots = [Knot(time: time(t), value: value)]
            var gaps: [Gap] = []
            while t < end {
                let step = min(
                    end - t + 0.001,
                    random.chance(0.1) ? Double.random(in: 0.001...0.1, using: &random) : Double.random(in: 0.1...200, using: &random)
                )
                let from = t
                t += step
                if random.chance(gapChance) && !withoutGaps {
                    gaps.append(
                        Gap(interval: Interval(time(from), time(t)), low: 0, high: Int64(maximumRate * step * 1e6), cause: .absence)
                    )
                } else {
                    let rate = random.chance(0.2) ? 0 : Double.random(in: 0...maximumRate, using: &random)
                    value += Int64(rate * step * 1e6)
                }
                knots.append(Knot(time: time(t), value: value))
            }
            return Curve(knots: knots, gaps: gaps)
        }

        let cpus = Int.random(in: 1...64, using: &random)
        let components: [Component] = [.cpu, .cpu, .dram, .gpu]
        let meters = (0..<(meterCount ?? Int.random(in: 1...4, using: &random))).map { i in
            let watts = random.chance(0.2) ? nil : Double.random(in: 0...80, using: &random)
            return MeterInput(
                name: "m\(i)",
                component: components[i],
                quality: i == 0 && random.chance(0.5) ? .modelled : .measured,
                curve: curve(maximumRate: 200, gapChance: 0.03),
                epsilonMicrojoules: 1_000_000,
                samplePeriod: .milliseconds(100),
                maximumPower: Power(watts: 200),
                idle: watts.map {
                    UtilisationModel.Point(low: Power(watts: $0 * 0.8), best: Power(watts: $0), high: Power(watts: $0 * 1.3))
                },
                boundRatios: i == 0 ? (0.7, 1.4) : (1, 1)
            )
        }
        let spans = (0..<Int.random(in: 0...12, using: &random)).map { i -> SpanInput in
            let start = Double.random(in: -600...3_700, using: &random)
            let length =
                random.chance(0.1)
                ? 0 : random.chance(0.4) ? Double.random(in: 0...5, using: &random) : Double.random(in: 0...2_000, using: &random)
            let interval = Interval(time(start), time(start + length))
            var span = SpanInput(id: Int64(i), interval: interval)
            switch Int.random(in: 0...5, using: &random) {
            case 0:
                let used = Int64(length * 1e6 * Double.random(in: 0...Double(cpus) / 3, using: &random))
                span.workload = SpanInput.Workload(
                    curve: Curve(knots: [
                        Knot(time: interval.start, value: 0), Knot(time: max(interval.end, interval.start + Microseconds(1)), value: used),
                    ]),
                    isClosed: random.chance(0.8),
                    epsilonMicroseconds: 50_000
                )
            case 1: span.postedCPUTime = Microseconds(Int64(length * 1e6 * Double.random(in: 0...Double(cpus), using: &random)))
            case 2: span.cpuShare = Double.random(in: 0...1, using: &random)
            case 3: span.cpus = Double.random(in: 0.1...Double(cpus), using: &random)
            case 4: span.weight = Double.random(in: 0.5...3, using: &random)
            default: break
            }
            if random.chance(0.3) { span.edgeResolution = .milliseconds(1_000) }
            return span
        }
        input = HostInput(
            window: window,
            cpus: cpus,
            slots: random.chance(0.5) ? Double.random(in: 1...20, using: &random) : nil,
            meters: meters,
            busy: random.chance(0.2) ? nil : curve(maximumRate: Double(cpus), gapChance: 0.01),
            agent: random.chance(0.5) ? nil : curve(maximumRate: 0.01, gapChance: 0),
            spans: spans
        )
    }
}
