import Accounting
import Energy

/// One drawn host of the calibration, with what it truly used.
struct CalibrationHost {
    private let hostClass: Calibration.HostClass
    private let world: Calibration.World
    private let target: Calibration.Target
    private var draws: RandomDraws

    private let window: Interval
    private let cpus = 16
    private let slots = 4
    private var jobs: [Job] = []
    private var times: [Timestamp] = []
    /// Per stretch between two times.
    private var stretches: [Stretch] = []
    private var parts: [Part] = []
    private var gaps: [Interval] = []

    private struct Job {
        var id: Int64
        var interval: Interval
        var posted: Interval
        /// CPUs until each end.
        var phases: [(end: Timestamp, cpus: Double)]
        /// Energy of a second of its CPU against another's.
        var intensity: Double
    }

    private struct Stretch {
        var loads: [(job: Int, cpus: Double)]
        var system: Double
        /// Scale of the sensor against its mean.
        var gain: Double
    }

    /// A component.
    private struct Part {
        var component: Component
        var idle: Double
        var dynamic: Double
        var factor: Double
        var meterErrorRatio: Double
        var floorErrorRatio: Double
        /// As told, W.
        var floor: Double

        /// What the meter can show at most, W.
        var maximumPower: Double { 2 * (idle + dynamic) * max(1, factor) }
    }

    /// What a job, or the whole host, used of a component in an hour, µJ, while the meters were read; and the time that they were and were
    /// not, µs. Where nothing is drawn for gaps, all of it.
    private struct Use {
        var own = 0.0
        var idle = 0.0
        var metered = 0.0
        var missed = 0.0
    }

    init(_ hostClass: Calibration.HostClass, _ world: Calibration.World, _ target: Calibration.Target, seed: UInt64) {
        self.hostClass = hostClass
        self.world = world
        self.target = target
        draws = RandomDraws(seed: seed)
        let start = Hour(number: 496_737).start
        window = Interval(start, start + .hour + .hour)
        drawParts()
        drawJobs()
        drawTime()
    }

    private mutating func drawParts() {
        let full = draws.uniform(40, 250)
        let meter = hostClass == .modelled ? 0.25 : draws.uniform(0.03, 0.08)
        let floorError = world == .asModelled ? draws.uniform(0.02, 0.1) : 0.05
        for (component, share) in [(Component.cpu, 1.0), (.dram, 0.2)] where hostClass != .modelled || component == .cpu {
            let idle = full * share * draws.uniform(0.15, 0.4)
            // What it counts is the truth by a lognormal whose mean is 1.
            let factor = RealFunctions.exponential(meter * draws.normal() + meter * meter / 2)
            // The true floor is around what is told.
            var off = 1 / (1 + floorError * clipped())
            if world == .wrongFloor { off = draws.chance(0.5) ? 0.8 : 1.2 }
            parts.append(
                Part(
                    component: component,
                    idle: idle,
                    dynamic: full * share - idle,
                    factor: factor,
                    meterErrorRatio: meter,
                    floorErrorRatio: floorError,
                    floor: idle * factor * off
                )
            )
        }
    }

    /// Normal, within the limits that the floor is told with.
    private mutating func clipped() -> Double {
        while true {
            let z = draws.normal()
            if abs(z) < 1.95 { return z }
        }
    }

    private mutating func drawJobs() {
        var id: Int64 = 0
        for _ in 0..<slots {
            var at = window.start + Microseconds(Int64(draws.uniform(5, 300) * 1e6))
            while true {
                let length = draws.logNormal(sigma: 0.8) * 500
                let end = at + Microseconds(Int64(max(20, length) * 1e6))
                guard end + .seconds(60) < window.end else { break }
                let interval = Interval(at, end)
                let appetite = draws.uniform(0.2, 1) * Double(cpus / slots)
                var phases: [(end: Timestamp, cpus: Double)] = []
                var phase = at
                while phase < end {
                    phase = min(end, phase + Microseconds(Int64((5 + draws.exponential(mean: 60)) * 1e6)))
                    // Who declares what it takes takes it, as far as the engine's model goes.
                    let cpus = hostClass == .declared && world == .asModelled ? appetite : appetite * draws.uniform(0.2, 1)
                    phases.append((phase, cpus))
                }
                let intensity =
                    switch world {
                    case .heavyTails: RealFunctions.exponential(min(1.5, max(-1.5, 0.15 * draws.studentT(degreesOfFreedom: 3))))
                    case .smt: draws.chance(0.5) ? 1 : 0.65
                    default: 1.0
                    }
                // No two jobs cost the same for a second of CPU.
                let own = world == .asModelled ? 1 : draws.logNormal(sigma: 0.12)
                id += 1
                jobs.append(Job(id: id, interval: interval, posted: posted(interval), phases: phases, intensity: intensity * own))
                at = end + Microseconds(Int64((2 + draws.exponential(mean: 60)) * 1e6))
            }
        }
    }

    /// Evenly within a second of the truth; where the clock wanders, seconds more.
    private mutating func posted(_ interval: Interval) -> Interval {
        guard hostClass == .declared else { return interval }
        let skew = world == .changingSkew ? 1.5 * draws.normal() : 0
        let start = interval.start + Microseconds(Int64((draws.uniform(-1, 1) + skew) * 1e6))
        let end = interval.end + Microseconds(Int64((draws.uniform(-1, 1) + skew) * 1e6))
        return Interval(start, end)
    }

    private mutating func drawTime() {
        if hostClass == .gaps {
            var time = window.start + Microseconds(Int64(draws.exponential(mean: 1_800) * 1e6))
            while time + .seconds(700) < window.end {
                let end = time + Microseconds(Int64(draws.uniform(30, 400) * 1e6))
                gaps.append(Interval(time, end))
                time = end + Microseconds(Int64((300 + draws.exponential(mean: 1_800)) * 1e6))
            }
        }
        let edges = gaps.flatMap { [$0.start, $0.end] }
        var cuts = Set([window.start, window.end, Hour(containing: window.start).end] + edges)
        for job in jobs {
            cuts.insert(job.interval.start)
            for phase in job.phases { cuts.insert(phase.end) }
        }
        var systems: [(from: Timestamp, cpus: Double, gain: Double)] = []
        var at = window.start
        var gain = 1.0
        while at < window.end {
            systems.append((at, draws.uniform(0.05, 0.6), gain))
            cuts.insert(at)
            let step = 20 + draws.exponential(mean: 60)
            if world == .drift { gain += 0.01 * (step / 1_800).squareRoot() * draws.normal() }
            at = at + Microseconds(Int64(step * 1e6))
        }
        times = cuts.filter { window.start <= $0 && $0 <= window.end }.sorted()
        var system = 0
        for i in 0..<(times.count - 1) {
            let t = times[i]
            while system + 1 < systems.count, systems[system + 1].from <= t { system += 1 }
            var loads: [(job: Int, cpus: Double)] = []
            for (index, job) in jobs.enumerated() where job.interval.contains(t) {
                loads.append((index, job.phases.first { t < $0.end }?.cpus ?? 0))
            }
            stretches.append(Stretch(loads: loads, system: systems[system].cpus, gain: systems[system].gain))
        }
    }

    // MARK: - The truth

    /// W beyond idle.
    private func dynamicPower(_ part: Part, _ stretch: Stretch) -> Double {
        let load = stretch.loads.reduce(stretch.system) { $0 + $1.cpus * jobs[$1.job].intensity } / Double(cpus)
        let fraction = world == .smt ? (load <= 0.5 ? 1.5 * load : 0.75 + 0.5 * (min(1, load) - 0.5)) : load
        return part.dynamic * fraction
    }

    /// Of a component in an hour: each job's, by index, and the host's, whose own is all dynamic energy. Where every source of error is as
    /// modelled nothing of gaps: what is used in them is drawn.
    private func uses(of part: Part, hour: Hour) -> (jobs: [Int: Use], host: Use) {
        var jobs: [Int: Use] = [:]
        var host = Use()
        for (i, stretch) in stretches.enumerated() where hour.interval.contains(times[i]) {
            let dt = Double((times[i + 1] - times[i]).count)
            if world == .asModelled, gaps.contains(where: { $0.contains(times[i]) }) {
                host.missed += dt
                for (job, _) in stretch.loads { jobs[job, default: Use()].missed += dt }
                continue
            }
            let power = dynamicPower(part, stretch) * dt
            let load = stretch.loads.reduce(stretch.system) { $0 + $1.cpus * self.jobs[$1.job].intensity }
            host.own += power
            host.idle += part.idle * dt
            host.metered += dt
            for (job, cpus) in stretch.loads {
                jobs[job, default: Use()].own += power * cpus * self.jobs[job].intensity / load
                jobs[job, default: Use()].idle += part.idle * dt * reserved(job, among: stretch)
                jobs[job, default: Use()].metered += dt
            }
        }
        return (jobs, host)
    }

    /// What the chosen jobs together, or the host, truly used of a component in an hour, µJ, with what is drawn where every source of error
    /// is as modelled. Nothing here is taken from what the engine says.
    private mutating func truth(of part: Part, hour: Hour, jobs chosen: Set<Int>?) -> Double {
        let (jobs, host) = uses(of: part, hour: hour)
        guard let chosen else { return host.own + host.idle + missed([host], of: host, part) }
        let own = chosen.sorted().compactMap { jobs[$0] }
        let dynamic = own.reduce(0) { $0 + $1.own }
        guard world == .asModelled else { return own.reduce(dynamic) { $0 + $1.idle } }
        let scale = dynamic > 0 ? 1 + skew(dynamic, of: host.own) / dynamic : 1
        let skewed = own.map { use in
            var use = use
            use.own *= scale
            return use
        }
        return skewed.reduce(0) { $0 + $1.own + $1.idle } + missed(skewed, of: host, part)
    }

    /// What flowed while nobody metered, as the methodology has it (section 12): around the user's own mean power while it was metered, by
    /// one lognormal factor for all of the hour; of whom less than half was metered anything up to what the meters can show.
    private mutating func missed(_ uses: [Use], of host: Use, _ part: Part) -> Double {
        let sigma = GapAccuracy.logErrorRatio
        let factor = RealFunctions.exponential(sigma * draws.normal() - sigma * sigma / 2)
        let evenly = draws.unit()
        var around = 0.0
        var unknown = 0.0
        for use in uses where use.missed > 0 {
            if use.metered >= use.missed {
                around += (use.own + use.idle) / use.metered * use.missed
            } else {
                unknown += use.missed
            }
        }
        return around * factor + min(unknown, host.missed) * part.maximumPower * evenly
    }

    /// By what the jobs declare, else a slot each.
    private func reserved(_ job: Int, among stretch: Stretch) -> Double {
        guard hostClass == .declared else { return 1 / Double(slots) }
        let all = stretch.loads.reduce(0) { $0 + declared($1.job) } / Double(cpus)
        return declared(job) / Double(cpus) / max(1, all)
    }

    /// What it takes, as far as the engine's model goes; else its slot's CPUs, whatever it does with them.
    private func declared(_ job: Int) -> Double {
        world == .asModelled ? jobs[job].phases.reduce(0) { max($0, $1.cpus) } : Double(cpus / slots)
    }

    // MARK: - What is known

    /// Readings at a period, thinned; exact where the agent read at an edge.
    private mutating func meterCurve(_ part: Part, period: Microseconds) -> Curve {
        var values: [Double] = [0]
        for (i, stretch) in stretches.enumerated() {
            let watts = (part.idle + dynamicPower(part, stretch)) * part.factor * stretch.gain
            values.append(values[i] + watts * Double((times[i + 1] - times[i]).count))
        }
        var readings: Set<Timestamp> = [window.start, window.end]
        let phase = Int64(draws.uniform(0, Double(period.count)))
        for time in times {
            let offset = (time.microseconds - window.start.microseconds - phase) % period.count
            let before = time - Microseconds(offset < 0 ? offset + period.count : offset)
            for reading in [before - period, before, before + period] where window.contains(reading) { readings.insert(reading) }
        }
        let edges = hostClass == .declared ? [] : Set(jobs.flatMap { [$0.interval.start, $0.interval.end] })
        readings.formUnion(edges)
        for gap in gaps {
            readings = readings.filter { $0 < gap.start || gap.end < $0 }
            readings.formUnion([gap.start, gap.end])
        }
        var recorded = RecordedCurve(epsilon: 1_000_000)
        var knotGaps: [Gap] = []
        var i = 0
        for reading in readings.sorted() {
            // A reader that was held up has looked at the clock before.
            var seen = reading
            if world == .heavyTails, window.contains(reading) {
                let late = Microseconds(Int64(min(50_000, 1_000 * abs(draws.studentT(degreesOfFreedom: 2)))))
                seen = min(window.end, reading + late)
            }
            i = min(i, times.count - 2)
            while i > 0, times[i] > seen { i -= 1 }
            while i + 2 < times.count, times[i + 1] <= seen { i += 1 }
            let fraction = Double((seen - times[i]).count) / Double((times[i + 1] - times[i]).count)
            recorded.add(
                Int64(values[i] + fraction * (values[i + 1] - values[i])),
                at: reading,
                isEdge: edges.contains(reading) || gaps.contains { $0.start == reading || $0.end == reading }
            )
        }
        for gap in gaps {
            let most = Int64(parts.reduce(0) { $0 + $1.dynamic + $1.idle } * 2 * Double(gap.duration.count))
            knotGaps.append(Gap(interval: gap, low: 0, high: most, cause: .absence))
        }
        return Curve(knots: recorded.knots + (recorded.curve.knots.last.map { [$0] } ?? []), gaps: knotGaps)
    }

    /// As perfect readings at every moment would show it.
    private func exactCurve(_ part: Part) -> Curve {
        var value = 0.0
        var knots = [Knot(time: window.start, value: 0)]
        for (i, stretch) in stretches.enumerated() {
            let watts = (part.idle + dynamicPower(part, stretch)) * part.factor * stretch.gain
            value += watts * Double((times[i + 1] - times[i]).count)
            knots.append(Knot(time: times[i + 1], value: Int64(value.rounded())))
        }
        return Curve(knots: knots)
    }

    private func cpuCurve(within interval: Interval, _ load: (Stretch) -> Double) -> Curve {
        var total = 0.0
        var knots: [Knot] = []
        for (i, stretch) in stretches.enumerated() where interval.start <= times[i] && times[i] < interval.end {
            if knots.isEmpty { knots.append(Knot(time: times[i], value: 0)) }
            total += load(stretch) * Double((times[i + 1] - times[i]).count)
            knots.append(Knot(time: times[i + 1], value: Int64(total)))
        }
        return Curve(knots: knots)
    }

    private func input(_ hour: Hour, _ meters: [MeterInput], busy: Curve, spans: [SpanInput]) -> HostInput {
        HostInput(
            window: hour.interval,
            cpus: cpus,
            slots: Double(slots),
            meters: meters,
            busy: busy,
            spans: spans
        )
    }

    private func spans(exactly: Bool) -> [SpanInput] {
        jobs.enumerated().map { index, job in
            var span = SpanInput(id: job.id, interval: exactly ? job.interval : job.posted, weight: 1)
            if hostClass == .declared { span.cpus = declared(index) }
            if hostClass == .declared && !exactly {
                span.edgeResolution = .seconds(1)
            } else {
                let curve = cpuCurve(within: job.interval) { stretch in stretch.loads.first { $0.job == index }?.cpus ?? 0 }
                span.workload = SpanInput.Workload(curve: curve, isClosed: true)
            }
            return span
        }
    }

    /// The engine's answer and the truth; nil where nothing was drawn to look at.
    func answer() -> Calibration.Case? {
        var copy = self
        return copy.run()
    }

    private mutating func run() -> Calibration.Case? {
        guard !jobs.isEmpty else { return nil }
        let chosen = Int(draws.next() % UInt64(jobs.count))
        let half = jobs.map { _ in draws.chance(0.5) }
        let isHost = target == .host
        let job = target == .job
        func counts(_ index: Int) -> Bool { job ? index == chosen : half[index] }
        guard isHost || jobs.indices.contains(where: counts) else { return nil }
        let indices = Set(jobs.indices.filter(counts))
        let ids = Set(indices.map { jobs[$0].id })

        let period: Microseconds = hostClass == .modelled ? .seconds(1) : .milliseconds(100)
        let meters = parts.map { part -> MeterInput in
            let width = 1.96 * part.floorErrorRatio
            return MeterInput(
                name: part.component.rawValue,
                component: part.component,
                quality: hostClass == .modelled ? .modelled : .measured,
                curve: meterCurve(part, period: period),
                epsilonMicrojoules: 1_000_000,
                samplePeriod: period,
                maximumPower: Power(watts: part.maximumPower),
                idle: UtilisationModel.Point(
                    low: Power(watts: part.floor * (1 - width)),
                    best: Power(watts: part.floor),
                    high: Power(watts: part.floor * (1 + width))
                ),
                boundRatios: hostClass == .modelled ? (0.2, 2.2) : (1, 1),
                errorRatio: part.meterErrorRatio
            )
        }
        let pue = PUEFigure(1.4, site: "site", host: 1)
        let grid = IntensityFigure(
            key: .intensity(zone: "GB", provider: "provider", kind: "actual"),
            best: 200,
            low: 150,
            high: 200 * 200 / 150
        )
        let perfect = zip(meters, parts).map { meter, part in
            var meter = meter
            meter.curve = exactCurve(part)
            // The floor that it has in the meter's own units, as far as what was told of it can be true.
            if let told = meter.idle {
                let floor = Power(watts: min(told.high.watts, max(told.low.watts, part.idle * part.factor)))
                meter.idle = UtilisationModel.Point(low: floor, best: floor, high: floor)
            }
            return meter
        }
        var sum = UncertainSum()
        var truth = 0.0
        /// By perfect readings of the same meters.
        var counted = 0.0
        let busy = cpuCurve(within: window) { stretch in stretch.loads.reduce(stretch.system) { $0 + $1.cpus } }
        let (seen, exact) = (spans(exactly: false), spans(exactly: true))
        for hour in [window.start.hour, window.start.hour.next] {
            for accounts in Sweep.accounts(of: input(hour, meters, busy: busy, spans: seen)) {
                let whole = HourFigures(accounts, policy: .reserved)
                if isHost {
                    sum.add(
                        SliceFigures(
                            account: Double(accounts.metered),
                            shared: whole.shared,
                            of: accounts,
                            member: -1,
                            host: 1,
                            hour: hour,
                            whole: whole,
                            pue: pue,
                            intensity: grid
                        )
                    )
                }
                for slice in accounts.slices where !isHost && ids.contains(slice.spanID) {
                    sum.add(SliceFigures(slice, host: 1, hour: hour, policy: .reserved, whole: whole, pue: pue, intensity: grid))
                }
            }
            for part in parts { truth += self.truth(of: part, hour: hour, jobs: isHost ? nil : indices) }
            for accounts in Sweep.accounts(of: input(hour, perfect, busy: busy, spans: exact)) {
                if isHost {
                    counted += Double(accounts.metered)
                } else {
                    for slice in accounts.slices where ids.contains(slice.spanID) { counted += Double(slice.dynamic + slice.idle.reserved) }
                }
            }
        }
        guard !sum.isEmpty, sum.energy().best > 0 else { return nil }
        let factor =
            max(1, 1.4 + 0.4 * PUEAccuracy.overheadErrorRatio * draws.normal()) * 200
            * RealFunctions.exponential(RealFunctions.logarithm(200.0 / 150) / 1.96 * draws.normal())
        return Calibration.Case(
            energy: sum.energy(),
            grams: sum.grams(),
            truth: truth,
            trueGrams: truth / 3.6e12 * factor,
            counted: counted
        )
    }

    /// What a set truly had beyond its part by CPU time, as the engine's error of shares has it.
    private mutating func skew(_ own: Double, of all: Double) -> Double {
        guard all > 0, own < all else { return 0 }
        let share = own / all
        let method: ShareMethod = hostClass == .declared ? .declared : .measured
        let sigma = method.errorRatio
        func at(_ z: Double) -> Double {
            let odds = share * RealFunctions.exponential(sigma * z)
            return odds / (odds + 1 - share) - share
        }
        var mean = 0.0
        for step in -12...12 {
            let z = Double(step) / 2
            mean += 0.199_471_140_200_716_35 * RealFunctions.exponential(-z * z / 2) * at(z)
        }
        return (at(draws.normal()) - mean) * all
    }
}
