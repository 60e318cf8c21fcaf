import Accounting
import Carbon
import Documents
import Energy
import Postgres
import Store

extension FootprintReader {
    /// A job on a machine that nobody can meter: modelled from its class, or from what it says of its machine, in the account `hosted`,
    /// outside every host-hour.
    func hosted(_ job: JobRow) async throws -> Footprint {
        try await hosted(job, class: job.hostClass ?? "", words: []) { _ in 1 }
    }

    /// A job on a host that has no meter and whose record says what it is in which cloud; nil for any other host.
    func hosted(_ job: JobRow, on host: HostRow) async throws -> Footprint? {
        guard let startedAt = job.startedAt else { return nil }
        if hostWords[host.id] == nil { hostWords[host.id] = try await HostWords.read(of: host.id, connection) }
        guard let said = hostWords[host.id]?.at(startedAt), let cloud = said.word.cloud,
            let name = HostedMachine.className(of: cloud)
        else { return nil }
        let slots = said.slots ?? host.slots
        var footprint = try await hosted(job, class: name, words: [said.word]) { fields in
            if let share = fields["cpu_share"]?.double { return share }
            if let cpus = fields["cpus"]?.double, let vcpus = cloud.vcpus ?? said.threads { return min(1, cpus / vcpus) }
            guard let slots, slots >= 1 else { return 1 }
            return min(1, (fields["weight"]?.double ?? 1) / slots)
        }
        footprint.hostName = host.name
        // What the job itself says of its machine counts first, and is its own to show.
        let own = HostedMachine.word(of: footprint.fields).cloud
        footprint.hostClass = own.flatMap(HostedMachine.className) ?? name
        footprint.hidesMachine = own.flatMap(HostedMachine.className) == nil || own?.region == nil && cloud.region != nil
        if let finishedAt = job.finishedAt { footprint.fillMarket(try await terms(of: host), startedAt, finishedAt) }
        return footprint
    }

    private func hosted(
        _ job: JobRow,
        class name: String,
        words: [HostedMachine.Word],
        share: ([String: JSONValue]) -> Double
    ) async throws -> Footprint {
        var footprint = try Footprint(job, state: job.finishedAt == nil ? .pending : .final, policy: policy)
        guard let startedAt = job.startedAt, let finishedAt = job.finishedAt else {
            footprint.setMissing(["energy", "co2e.location_g", "share", "intensity"], reason: "not_finished")
            return footprint
        }
        let tables = try CloudTables.shipped()
        let machine = HostedMachine(
            name: name,
            words: [HostedMachine.word(of: footprint.fields)] + words,
            hostClass: try await HostClasses.find(name: name, at: startedAt, connection),
            share: share(footprint.fields),
            tables.regions
        )
        let duration = max(.zero, finishedAt - startedAt)
        var intensity = HostedIntensity.missing("no_zone")
        var origin: StoredIntensity?
        switch machine.zone {
        case .success(let zone):
            // A job of no length has the intensity of its instant.
            let interval = Interval(startedAt, startedAt + max(duration, Microseconds(1)))
            var series = try await IntensityTable.series(zone: zone, interval, connection)
            intensity = HostedIntensity(series)
            origin = series.pieces.last?.intensity
            if let country = machine.country, case .missing = intensity, series.pieces.allSatisfy({ $0.intensity == nil }) {
                let coarse = try await IntensityTable.series(zone: country, interval, connection)
                if let known = HostedIntensity(coarse).coarser {
                    intensity = known
                    series = coarse
                    origin = series.pieces.last?.intensity
                    footprint.flags.append(HostedIntensity.coarserFlag)
                }
            }
            // A mean of several providers' figures is that one's whose figures may not be handed on.
            for piece in series.pieces {
                guard let value = piece.intensity?.value, try await isWithheld(value) else { continue }
                intensity.name(value.provider)
                break
            }
        case .failure(let missing): intensity = .missing(missing.rawValue)
        }
        footprint.fill(hosted: machine, duration: duration, intensity: intensity, tables.model)
        if footprint.intensity != nil, let last = origin {
            let from = last.interval.start
            footprint.intensityOrigin = (last.id, from.microseconds == .min ? nil : from)
        }
        return footprint
    }
}

/// What an operator's records say of a host that has no meter, and of its sites.
struct HostWords: Sendable {
    struct Said: Sendable {
        var word: HostedMachine.Word
        var slots: Double?
        var threads: Double?
    }

    private let records: [HostRecordTable.Entry]
    private let sites: [SiteTable.Entry]

    static func read(of hostID: Int32, _ connection: PostgresConnection) async throws -> HostWords {
        let records = try await HostRecordTable.all(hostID: hostID, connection)
        // Of other hosts nothing is modelled.
        let isOfCloud = records.contains { $0.record.object?["cloud"] != nil }
        return HostWords(records: records, sites: isOfCloud ? try await SiteTable.all(connection) : [])
    }

    /// Nil where no record counts at that instant.
    func at(_ instant: Timestamp) -> Said? {
        guard let record = records.last(where: { $0.from <= instant })?.record.object else { return nil }
        let name = record["site"]?.string.map(SiteTable.key)
        let site = sites.last { $0.site == name && $0.from <= instant }?.record.object ?? [:]
        return Said(
            word: HostedMachine.Word(
                cloud: record["cloud"].flatMap(HostedMachine.cloud),
                gridZone: record["grid_zone"]?.string ?? site["grid_zone"]?.string,
                pue: record["pue"]?.double ?? site["pue"]?.double,
                water: site["wue_l_per_kwh"]?.double.flatMap { WUE($0) }
            ),
            slots: record["slots"]?.double,
            threads: record["threads"]?.double
        )
    }
}

/// What a zone's grid emitted over the time of a job that drew a constant power; or why that is not known.
enum HostedIntensity {
    case known(mean: Intensity, low: Double, high: Double)
    case missing(String)

    mutating func name(_ provider: String) {
        guard case .known(var mean, let low, let high) = self else { return }
        mean.provider = provider
        self = .known(mean: mean, low: low, high: high)
    }

    /// What a footprint is flagged with whose intensity is the country's, for want of the zone's own.
    static let coarserFlag = "coarser_zone"

    /// A country's figure in the place of one of its zones, with limits as wide as zones of one country differ: from a tenth (hydro and
    /// nuclear in a coal country) to three times. Nil where none is known.
    var coarser: HostedIntensity? {
        guard case .known(var mean, let low, let high) = self else { return nil }
        mean.low = min(low, mean.gramsPerKilowattHour * 0.1)
        mean.high = max(high, mean.gramsPerKilowattHour * 3)
        return .known(mean: mean, low: mean.low, high: mean.high)
    }

    /// The mean over time: one basis for all of it, or none.
    init(_ series: IntensitySeries) {
        let pieces = series.pieces
        let known = pieces.compactMap { piece in piece.intensity.map { (length: piece.interval.duration, value: $0.value) } }
        guard known.count == pieces.count, let longest = known.max(by: { $0.length < $1.length })?.value else {
            self = .missing("no_intensity")
            return
        }
        guard Set(known.map(\.value.basis)).count == 1 else {
            self = .missing("basis_changes")
            return
        }
        let whole = known.reduce(0.0) { $0 + Double($1.length.count) }
        func mean(_ value: (Intensity) -> Double) -> Double {
            known.count == 1 ? value(known[0].value) : known.reduce(0.0) { $0 + value($1.value) * (Double($1.length.count) / whole) }
        }
        var intensity = longest
        intensity.gramsPerKilowattHour = mean(\.gramsPerKilowattHour)
        intensity.low = mean(\.low)
        intensity.high = mean(\.high)
        // As little sure as the least sure of them.
        let kinds = Intensity.Kind.allCases
        intensity.kind = known.map(\.value.kind).max { (kinds.firstIndex(of: $0) ?? 0) < (kinds.firstIndex(of: $1) ?? 0) } ?? longest.kind
        self = .known(mean: intensity, low: mean { IntensityFigure($0).low }, high: mean { IntensityFigure($0).high })
    }
}

extension Footprint {
    /// Models a finished job from its machine.
    ///
    /// Limits are limits: of energy, PUE and intensity the lowest together and the highest together.
    mutating func fill(hosted machine: HostedMachine, duration: Microseconds, intensity: HostedIntensity, _ model: CCFModel) {
        let posted = self.fields["cpu_time_us"]?.wholeNumber.map { Microseconds($0) }
        cpuTime = posted
        setMissing(["share"], reason: HostedModel.account)
        let figures: HostedModel.Figures
        do throws(HostedMachine.Missing) {
            figures = try HostedModel.figures(of: machine, duration: duration, cpuTime: posted, model)
        } catch {
            setMissing(["energy", "co2e.location_g", "intensity", "co2e.embodied_g", "water_l"], reason: error.rawValue)
            return
        }
        attributionMode = .modelled
        cloudModel = figures.cloud
        let limits = (low: figures.low.kilowattHours * 3.6e12, high: figures.high.kilowattHours * 3.6e12)
        energy = EnergyFigures(
            total: figures.best.energy,
            interval: limits,
            bounds: limits,
            dynamic: figures.best.energy,
            idle: .zero,
            components: [:],
            quality: .modelled,
            coverage: 0,
            estimated: nil
        )
        for component in Component.allCases { missing.append(("energy.components_kwh.\(component.rawValue)", HostedModel.account)) }
        missing.append(("energy.estimated_kwh", HostedModel.account))
        switch figures.embodied {
        case .success(let mass): embodiedGrams = Figure(best: mass.best.grams, low: mass.low.grams, high: mass.high.grams)
        case .failure(let reason): setMissing(["co2e.embodied_g"], reason: reason.rawValue)
        }
        switch machine.water {
        case .success(let water):
            func litres(_ energy: ITEnergy) -> Double { water.litres(of: energy) }
            waterLitres = Figure(best: litres(figures.best), low: litres(figures.low), high: litres(figures.high))
        case .failure(let reason): setMissing(["water_l"], reason: reason.rawValue)
        }
        fillLocation(figures, pue: machine.pue, intensity)
    }

    /// By what the host's site has bought over the job's time; the reason where a part of that is not known.
    fileprivate mutating func fillMarket(_ terms: HostTerms, _ start: Timestamp, _ end: Timestamp) {
        guard let energy, let pue else { return }
        let interval = Interval(start, max(end, start + Microseconds(1)))
        let buildings = PUEFigure(pue, site: nil, host: 0)
        var mean = (best: 0.0, low: 0.0, high: 0.0)
        for hour in Hour.touching(interval) {
            guard let part = hour.interval.intersection(interval) else { continue }
            switch terms.at(hour).market {
            case .success(let intensity):
                let figure = IntensityFigure(intensity)
                let share = part.duration.seconds / interval.duration.seconds
                mean.best += share * figure.best
                mean.low += share * figure.low
                mean.high += share * figure.high
            case .failure(let reason): return setMissing(["co2e.market_g"], reason: reason.rawValue)
            }
        }
        marketGrams = Figure(
            best: energy.total.kilowattHours * pue * mean.best,
            low: energy.interval.low / 3.6e12 * buildings.low * mean.low,
            high: energy.interval.high / 3.6e12 * buildings.high * mean.high
        )
    }

    private mutating func fillLocation(
        _ figures: HostedModel.Figures,
        pue: Result<Double, HostedMachine.Missing>,
        _ intensity: HostedIntensity
    ) {
        let building: PUE
        switch pue {
        case .success(let ratio):
            guard let checked = PUE(ratio) else {
                setMissing(["pue", "co2e.location_g", "intensity"], reason: HostedMachine.Missing.noPUE.rawValue)
                return
            }
            self.pue = ratio
            building = checked
        case .failure(let reason):
            setMissing(["pue", "co2e.location_g"], reason: reason.rawValue)
            if case .known(let mean, _, _) = intensity { self.intensity = mean } else { setMissing(["intensity"], reason: reason.rawValue) }
            return
        }
        guard case .known(let mean, let low, let high) = intensity else {
            if case .missing(let reason) = intensity { setMissing(["co2e.location_g", "intensity"], reason: reason) }
            return
        }
        self.intensity = mean
        let limits = PUEFigure(building.ratio, site: nil, host: 0)
        func grams(_ energy: ITEnergy, _ ratio: Double, _ gramsPerKilowattHour: Double) -> Double {
            (PUE(ratio) ?? building).facility(of: energy).emissions(gramsPerKilowattHour: gramsPerKilowattHour).grams
        }
        let figure = Figure(
            best: grams(figures.best, building.ratio, mean.gramsPerKilowattHour),
            low: grams(figures.low, limits.low, low),
            high: grams(figures.high, limits.high, high)
        )
        locationGrams = figure
        locationGramBounds = (figure.low, figure.high)
    }
}

extension HostedCloud {
    /// - Parameter isCoarse: without the utilisation, which with the energy would tell more digits of both.
    func json(isCoarse: Bool) -> JSONValue {
        var document: [String: JSONValue] = [
            "method": "ccf", "match": .string(match.rawValue), "vendor": .string(vendor),
            "instance_type": .string(instanceType), "version": .string(version), "vcpus": .number(vcpus),
            "utilisation_basis": .string(isUtilisationPosted ? "posted" : "assumed"),
            "notes": .array(notes.map { .object(["code": .string($0.code), "text": .string($0.text)]) }),
        ]
        if let region { document["region"] = .string(region) }
        if !isCoarse {
            document["share"] = .number(share)
            document["utilisation"] = .number(utilisation)
        }
        return .object(document)
    }
}
