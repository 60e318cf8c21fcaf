import Accounting
import Carbon
import Documents
import Energy
import Store

/// What a job cost: sums of its slices under one policy, with hard bounds, and a reason for every figure that is missing.
struct Footprint: Sendable {
    enum State: String, Sendable {
        /// The span has not finished, or knots are still on their way.
        case pending
        /// No host is known, or none that is measured.
        case unattributed
        /// No more input is expected.
        case final
    }

    /// A figure in fractional units with its 95 % interval.
    struct Figure: Sendable {
        var best: Double
        var low: Double
        var high: Double
    }

    struct EnergyFigures: Sendable {
        var total: Energy
        /// The 95 % interval, µJ.
        var interval: (low: Double, high: Double)
        /// Hard limits of what the meters can have counted and missed, µJ.
        var bounds: (low: Double, high: Double)
        var dynamic: Energy
        var idle: Energy
        var components: [Component: Energy]
        var quality: Quality
        /// Metered part of the span's time, 0...1, of the component with the least.
        var coverage: Double
        /// The job's own mean power over the time that was not metered; nil where under half is covered.
        var estimated: Double?
    }

    struct ShareFigures: Sendable {
        var method: ShareMethod
        var mean: Double
    }

    /// What the job's energy was found from.
    enum AttributionMode: String, Sendable {
        /// Its cgroup's CPU time, as an agent saw it.
        case cgroup
        /// A governor's own count of the job's CPU time, or of its energy, as its client posted it.
        case governorCPUTime = "governor_cpu_time"
        case governorEnergy = "governor_energy"
        /// The host's meters only: the job's part was declared, or is an equal one.
        case monitorOnly = "monitor_only"
        /// No meter: a model of the host.
        case modelled
    }

    var jobID: String
    var key: String
    var state: State
    var hostName: String?
    /// The class of a machine that nobody can meter; its energy is in the account `hosted`, outside every host-hour.
    var hostClass: String?
    /// What its machine is was said by the operator, not by the job: people without a token do not see it.
    var hidesMachine = false
    /// What was mended on the way in: `clock_anomaly`, `host_not_claimed`.
    var flags: [String]
    /// All posted fields, and what the rules added.
    var fields: [String: JSONValue]
    var source: String
    var attempt: Int
    var startedAt: Timestamp?
    var finishedAt: Timestamp?
    var policy: Policy
    var pue: Double?
    var energy: EnergyFigures?
    var locationGrams: Figure?
    /// Hard limits, with those that the intensities' sources state.
    var locationGramBounds: (low: Double, high: Double)?
    var intensity: Intensity?
    /// The row and the begin of the last of its figures; of a yearly one nothing begins.
    var intensityOrigin: (id: Int64, from: Timestamp?)?
    /// Of all figures that count in it.
    var intensityProviders: Set<String> = []
    /// A provider's figures may not be handed on: people without a token see where it is from, and no value.
    var isIntensityWithheld = false
    /// By the site's contracts, or the residual mix; never added to that of the location.
    var marketGrams: Figure?
    /// The job's part of what making the machine emitted; in no figure of its energy.
    var embodiedGrams: Figure?
    /// Of the machines' energy, without the building's.
    var waterLitres: Figure?
    /// What a cloud's machine was taken for; nil for any other.
    var cloudModel: HostedCloud?
    var share: ShareFigures?
    /// Which cgroups the span owns; nil for one whose host is not known.
    var workload: SpanWorkload?
    var attributionMode: AttributionMode?
    var cpuTime: Microseconds?
    /// True when an hour of the span may still be accounted anew.
    var hasOpenHour = false
    /// What it was made from; nil until every hour of it is settled.
    var statement: FootprintStatement?
    /// For people without a token: three digits and no µJ.
    var isCoarse = false
    /// Why a field is null, by its name.
    var missing: [(field: String, reason: String)] = []

    /// A job as the directory has it, before anything is known of its energy.
    init(_ job: JobRow, state: State, policy: Policy) throws {
        jobID = job.jobID
        key = SpanKey(job).text
        self.state = state
        hostName = job.hostName
        hostClass = job.hostClass
        flags = job.flags
        fields = try JSONValue(parsing: Array(job.documentJSON.utf8)).object ?? [:]
        source = job.source
        attempt = Int(job.attempt)
        startedAt = job.startedAt
        finishedAt = job.finishedAt
        self.policy = policy
    }

    /// Sums a finished span's slices.
    ///
    /// - Parameters:
    ///   - cpus: the host's threads, as they were in an hour.
    ///   - terms: of its site and its making.
    mutating func fill(slices: [SliceRow], duration: Microseconds, cpus: (Hour) -> Int, zone: String?, terms: HostTerms) {
        guard !slices.isEmpty else {
            setMissing(["energy", "co2e.location_g", "share"], reason: "not_metered")
            return
        }
        var dynamic: Int64 = 0
        var idle: Int64 = 0
        var sum = UncertainSum()
        var components: [Component: Energy] = [:]
        var metered: [Component: Int64] = [:]
        var quality = Quality.measured
        var methods: [ShareMethod: Int64] = [:]
        var shareSeconds = 0.0
        var cpuSeconds = 0.0
        var weighted = (grams: 0.0, low: 0.0, high: 0.0, energy: 0.0)
        var buildings = 0.0
        var zones: Set<String> = []
        var counted: Set<Int64> = []
        var pues: Set<Double> = []
        for row in slices {
            let slice = row.slice
            let moved = slice.idle[policy]
            let own = slice.dynamic + moved
            sum.add(figures(of: row, policy))
            dynamic += slice.dynamic
            idle += moved
            components[slice.component, default: .zero] += Energy(microjoules: own)
            metered[slice.component, default: 0] += slice.metered.count
            quality = max(quality, slice.quality)
            if slice.component == slices[0].slice.component {
                methods[slice.shareMethod, default: 0] += slice.interval.duration.count
                shareSeconds += slice.meanShare * slice.interval.duration.seconds
                cpuSeconds += slice.meanShare * slice.interval.duration.seconds * Double(cpus(row.hour))
            }
            if let stored = row.intensity {
                let value = stored.value
                weighted.grams += Double(own) * value.gramsPerKilowattHour
                weighted.low += Double(own) * value.low
                weighted.high += Double(own) * value.high
                weighted.energy += Double(own)
                intensityProviders.insert(value.provider)
                zones.insert(value.zone)
                counted.insert(stored.id)
                intensity =
                    intensity.map { known in
                        // As little sure as the least sure of them.
                        var last = value
                        let kinds = Intensity.Kind.allCases
                        if let a = kinds.firstIndex(of: known.kind), let b = kinds.firstIndex(of: value.kind), a > b {
                            last.kind = known.kind
                        }
                        return last
                    } ?? value
                intensityOrigin = (stored.id, stored.interval.start.microseconds == .min ? nil : stored.interval.start)
            }
            buildings += Double(own) * row.pue
            pues.insert(row.pue)
            pue = row.pue
        }
        let length = Double(max(1, duration.count))
        let coverage = duration > .zero ? min(1, Double(metered.values.min() ?? 0) / length) : 1
        guard coverage > 0 else {
            intensity = nil
            setMissing(["energy", "co2e.location_g", "share"], reason: "not_metered")
            return
        }
        let total = Energy(microjoules: dynamic + idle)
        var estimated: Double?
        if coverage >= 0.5 {
            estimated = Double(total.microjoules) * (1 - coverage) / coverage
        } else {
            missing.append(("energy.estimated_kwh", "coverage_below_half"))
        }
        var figure = sum.energy()
        var grams = sum.grams()
        if isReservationGuessed(slices) {
            // Nobody said how much of the machine the job kept: as little as none of the idle energy, as much as idle shared by use.
            flags.append("slots_unknown")
            for other in [Policy.dynamic, .busy] {
                var sum = UncertainSum()
                for row in slices { sum.add(figures(of: row, other)) }
                figure.widen(to: sum.energy())
                if let other = sum.grams() { grams?.widen(to: other) }
            }
        }
        energy = EnergyFigures(
            total: total,
            interval: (figure.low, figure.high),
            bounds: (figure.boundLow, figure.boundHigh),
            dynamic: Energy(microjoules: dynamic),
            idle: Energy(microjoules: idle),
            components: components,
            quality: quality,
            coverage: coverage,
            estimated: estimated
        )
        for component in Component.allCases where components[component] == nil {
            missing.append(("energy.components_kwh.\(component.rawValue)", "no_meter"))
        }
        fillMarket(slices, terms)
        fillEmbodied(slices, duration, terms)
        fillWater(slices, terms, energy: figure)
        let bases = Set(slices.compactMap(\.intensity?.value.basis))
        // Figures of two bases are never in one sum.
        if bases.count > 1 { grams = nil }
        locationGrams = grams.map { Figure(best: $0.best, low: $0.low, high: $0.high) }
        locationGramBounds = grams.map { ($0.boundLow, $0.boundHigh) }
        if grams == nil {
            intensity = nil
            setMissing(
                ["co2e.location_g", "intensity"],
                reason: bases.count > 1 ? "several_bases" : zone == nil ? "no_zone" : "no_intensity"
            )
        } else if zones.count > 1 {
            // The host moved: a mean of two grids is that of none.
            intensity = nil
            setMissing(["intensity"], reason: "several_zones")
        } else if weighted.energy > 0, counted.count > 1 {
            intensity?.gramsPerKilowattHour = weighted.grams / weighted.energy
            intensity?.low = weighted.low / weighted.energy
            intensity?.high = weighted.high / weighted.energy
        }
        // Of an hour in which the building was another's, or another one: by energy.
        pue = pues.count > 1 && total.microjoules > 0 ? buildings / Double(total.microjoules) : pues.first ?? pue
        let method = methods.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key ?? .equal
        share = ShareFigures(method: method, mean: duration > .zero ? shareSeconds / duration.seconds : 0)
        attributionMode =
            if slices.contains(where: { $0.slice.quality == .modelled }) {
                .modelled
            } else if method == .measured {
                .cgroup
            } else if method == .measuredClient, let posted = fields["attribution_mode"]?.string.flatMap(AttributionMode.init(rawValue:)) {
                posted
            } else {
                .monitorOnly
            }
        let used = fields["cpu_time_us"]?.wholeNumber.map { Microseconds($0) }
        cpuTime = method == .measured ? Microseconds(Int64(saturating: (cpuSeconds * 1e6).rounded())) : used
    }

    /// Whether what the job reserved is a guess: it says neither its CPUs nor its share, and nobody says how many jobs the machine takes.
    private func isReservationGuessed(_ slices: [SliceRow]) -> Bool {
        policy == .reserved && fields["cpus"]?.double == nil && fields["cpu_share"]?.double == nil
            && slices.contains { $0.whole?.flags.contains(.slotsUnknown) ?? false }
    }

    /// By what the site has bought, in every hour of the job; else null with the reason.
    private mutating func fillMarket(_ slices: [SliceRow], _ terms: HostTerms) {
        var sum = UncertainSum()
        for row in slices {
            switch terms.at(row.hour).market {
            case .success(let intensity):
                var figures = figures(of: row, policy)
                figures.intensity = IntensityFigure(intensity)
                sum.add(figures)
            case .failure(let reason): return setMissing(["co2e.market_g"], reason: reason.rawValue)
            }
        }
        marketGrams = sum.grams().map { Figure(best: $0.best, low: $0.low, high: $0.high) }
    }

    /// The part of the machine's making for the time that the job had it reserved.
    private mutating func fillEmbodied(_ slices: [SliceRow], _ duration: Microseconds, _ terms: HostTerms) {
        let isGuessed = isReservationGuessed(slices)
        var mass = CO2eRange.zero
        var covered: [Component: Microseconds] = [:]
        let hour = Double(Microseconds.hour.count)
        for row in slices {
            guard let reserved = row.slice.reservedMicroseconds else { return setMissing(["co2e.embodied_g"], reason: "not_accounted") }
            covered[row.slice.component, default: .zero] += row.slice.interval.duration
            guard let perHour = terms.at(row.hour).embodiedPerHour else {
                return setMissing(["co2e.embodied_g"], reason: "no_embodied_figure")
            }
            var part = perHour * (reserved / hour)
            if isGuessed, reserved > 0 {
                let used = perHour * (row.slice.meanShare * Double(row.slice.interval.duration.count) / hour)
                part = CO2eRange(low: min(part.low, used.low), best: part.best, high: max(part.high, used.high))
            }
            mass = mass + part
        }
        guard let most = covered.values.max(), most >= duration else { return setMissing(["co2e.embodied_g"], reason: "not_accounted") }
        embodiedGrams = Figure(best: mass.best.grams, low: mass.low.grams, high: mass.high.grams)
    }

    private mutating func fillWater(_ slices: [SliceRow], _ terms: HostTerms, energy: Estimate) {
        var litres = 0.0
        for row in slices {
            guard let water = terms.at(row.hour).water else { return setMissing(["water_l"], reason: "no_wue") }
            let own = Double(row.slice.dynamic + row.slice.idle[policy])
            litres += water.litres(of: ITEnergy(kilowattHours: own / 3.6e12))
        }
        let scale = energy.best > 0 ? litres / energy.best : 0
        waterLitres = Figure(best: litres, low: energy.low * scale, high: energy.high * scale)
    }

    /// A slice with everything that its errors need. All are of one host, which needs no name here.
    private func figures(of row: SliceRow, _ policy: Policy) -> SliceFigures {
        SliceFigures(
            row.slice,
            host: 0,
            hour: row.hour,
            policy: policy,
            whole: row.whole.map { HourFigures($0, policy: policy) }
                ?? HourFigures(meterErrorRatio: nil, floorErrorRatio: nil, shared: 0, metered: 0),
            pue: PUEFigure(row.pue, site: nil, host: 0),
            intensity: row.intensity.map { IntensityFigure($0.value) }
        )
    }

    mutating func setMissing(_ fields: [String], reason: String) {
        for field in fields { missing.append((field, reason)) }
    }
}

extension Estimate {
    /// Reaches as far as another one does too.
    fileprivate mutating func widen(to other: Estimate) {
        low = min(low, other.low)
        high = max(high, other.high)
        boundLow = min(boundLow, other.boundLow)
        boundHigh = max(boundHigh, other.boundHigh)
    }
}
