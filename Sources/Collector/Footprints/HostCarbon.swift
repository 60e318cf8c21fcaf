import Accounting
import Carbon
import Documents
import Energy
import Store

/// What a host emitted in a stretch of time, whoever used it: its energy by the grid and by what its site bought, its part of being made,
/// and its water. Also of a machine that runs no job, such as a store, and of one without a meter, as far as it is known.
struct HostCarbon: Sendable {
    /// µg; nil where that of an hour is not known.
    var location: Int128? = 0
    var market: Double? = 0
    var waterLitres: Double? = 0
    var embodied: CO2eRange? = .zero
    /// Of it the jobs' part, for the time that they had the machine reserved.
    var embodiedOfJobs = CO2e.zero
    /// And that of other hosts on it.
    var embodiedOfNested = CO2e.zero
    var embodiedSource: String?
    var site: String?
    var marketMissing = MarketMix.Missing.noContract
    /// Of the intensities: figures of two are never in one sum.
    let bases: Set<String>
    private let isMetered: Bool
    private var isPartlyUnknown = false

    /// - Parameters:
    ///   - interval: from an hour's start on; what lies after `now` is not there yet.
    ///   - bases: of the hours' intensities.
    ///   - reservedMicroseconds: of the whole machine.
    init(
        _ hours: [HostHourAnswer],
        over interval: Interval,
        now: Timestamp,
        terms: HostTerms,
        bases: Set<String>,
        reservedMicroseconds: [Hour: (jobs: Double, nested: Double)]
    ) {
        isMetered = !hours.isEmpty
        self.bases = bases
        for hour in hours {
            let stretch = terms.at(hour.hour)
            if hour.rows.isEmpty {
                // It could not be accounted, and nothing was known of it before.
                (location, market, waterLitres) = (nil, nil, nil)
                isPartlyUnknown = true
            }
            for row in hour.rows {
                location = location.flatMap { sum in row.emissions.map { sum + Int128($0.total) } }
                let metered = Double(row.accounts.metered)
                switch stretch.market {
                case .success(let intensity):
                    let grams = Intensity.micrograms(microjoules: metered * row.pue, gramsPerKilowattHour: intensity.gramsPerKilowattHour)
                    market = market.map { $0 + grams }
                case .failure(let reason):
                    market = nil
                    marketMissing = reason
                }
                let energy = ITEnergy(kilowattHours: metered / 3.6e12)
                waterLitres = waterLitres.flatMap { sum in stretch.water.map { sum + $0.litres(of: energy) } }
            }
        }
        if bases.count > 1 { location = nil }
        for hour in Hour.touching(Interval(interval.start, min(interval.end, now))) {
            // Accounts and reservations are of whole hours, of the running one as far as it is.
            let part = Interval(hour.start, min(hour.end, now))
            let stretch = terms.at(hour)
            site = stretch.site ?? site
            embodiedSource = stretch.embodiedSource ?? embodiedSource
            guard let perHour = stretch.embodiedPerHour else {
                embodied = nil
                continue
            }
            embodied = embodied.map { $0 + perHour * (part.duration.seconds / Microseconds.hour.seconds) }
            let reserved = reservedMicroseconds[hour] ?? (0, 0)
            embodiedOfJobs += perHour.best * (reserved.jobs / Double(Microseconds.hour.count))
            embodiedOfNested += perHour.best * (reserved.nested / Double(Microseconds.hour.count))
        }
    }

    var json: JSONValue {
        func amount(_ micrograms: Double) -> JSONValue { .string(String(Int64(rounding: micrograms))) }
        var missing: [(field: String, reason: String)] = []
        func told(_ field: String, _ value: JSONValue?, or reason: String) -> JSONValue {
            if value == nil { missing.append((field, reason)) }
            return value ?? .null
        }
        let unmetered = "no_meter"
        let setAside = "hour_set_aside"
        var object: [String: JSONValue] = [
            "site": site.map { .string($0) } ?? .null, "embodied_source": embodiedSource.map { .string($0) } ?? .null,
            "location_ug": told(
                "location_ug",
                isMetered ? location.map { .string(String($0)) } : nil,
                or: !isMetered ? unmetered : bases.count > 1 ? "several_bases" : isPartlyUnknown ? setAside : "no_intensity"
            ),
            "basis": bases.count == 1 ? bases.first.map { .string($0) } ?? .null : .null,
            "market_ug": told(
                "market_ug",
                isMetered ? market.map(amount) : nil,
                or: !isMetered ? unmetered : isPartlyUnknown ? setAside : marketMissing.rawValue
            ),
            "water_l": told(
                "water_l",
                isMetered ? waterLitres.map { .number($0) } : nil,
                or: !isMetered ? unmetered : isPartlyUnknown ? setAside : "no_wue"
            ),
            "embodied_ug": told("embodied_ug", embodied.map { amount($0.best.grams * 1e6) }, or: "no_embodied_figure"),
        ]
        object["embodied_low_ug"] = embodied.map { amount($0.low.grams * 1e6) } ?? .null
        object["embodied_high_ug"] = embodied.map { amount($0.high.grams * 1e6) } ?? .null
        object["embodied_jobs_ug"] = embodied.map { _ in amount(embodiedOfJobs.grams * 1e6) } ?? .null
        object["embodied_nested_ug"] = embodied.map { _ in amount(embodiedOfNested.grams * 1e6) } ?? .null
        // What nobody reserved.
        object["embodied_idle_ug"] =
            embodied.map { .string(String($0.best.micrograms - embodiedOfJobs.micrograms - embodiedOfNested.micrograms)) } ?? .null
        object["missing"] = .array(missing.map { .object(["field": .string($0.field), "reason": .string($0.reason)]) })
        return .object(object)
    }
}
