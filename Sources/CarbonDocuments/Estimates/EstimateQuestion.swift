public import Accounting
public import Carbon
public import Documents
public import Energy

/// What is asked of an estimate: so much energy, over a time, in a zone or at an intensity of one's own. Read from JSON.
public struct EstimateQuestion: Hashable, Sendable {
    /// Whose intensity counts.
    public enum Place: Hashable, Sendable {
        case zone(GridZone)
        /// A figure that the asker states.
        case stated(Intensity)
    }

    /// What is wrong with a field.
    public struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        public let field: String
        public let expected: String
        public let found: String

        public var description: String { "field \(field): expected \(expected), found \(found)" }
    }

    /// Every fault, in the order of the fields.
    public struct Faults: Error, Hashable, Sendable, CustomStringConvertible {
        public let all: [Fault]

        public var description: String { all.map(\.description).joined(separator: "\n") }
    }

    public let amount: CarbonEstimate.Amount
    /// An instant where it is empty.
    public let interval: Interval
    public let place: Place
    /// Nil where the zone's own counts.
    public let basis: Intensity.Basis?
    /// Nil where nobody says.
    public let pue: PUE?
    public let method: CarbonEstimate.Method

    public static let fields = [
        "energy_wh", "energy_kwh", "power_w", "error", "from", "to", "zone", "g_per_kwh", "low_g_per_kwh", "high_g_per_kwh", "kind",
        "basis",
        "pue", "method", "draws", "seed",
    ]
    /// A TWh: more at one time is a mistake of units.
    static let mostWattHours = 1e12
    static let mostWatts = 1e10
    static let mostGramsPerKilowattHour = 2_000.0
    public static let draws = 1_000...500_000
    public static let usualDraws = 200_000
    public static let longest = Microseconds(366 * Microseconds.day.count)
    /// 2000-01-01.
    static let earliest = Timestamp(microseconds: 946_684_800_000_000)

    /// - Throws: `Faults`, all that were found.
    public init(_ document: JSONValue, now: Timestamp) throws(Faults) {
        guard let given = document.object else {
            throw Faults(all: [Fault(field: "estimate", expected: "an object", found: document.described)])
        }
        var reading = Reading(fields: given.filter { !$0.value.isNull })
        for name in given.keys.sorted() where !Self.fields.contains(name) {
            reading.fail(String(name.prefix(60)), "only \(Self.fields.joined(separator: ", "))", .string("another field"))
        }
        let interval = reading.interval(now: now)
        let amount = reading.amount(over: interval)
        let basis = reading.basis()
        let place = reading.place(basis: basis)
        let pue = reading.pue()
        let method = reading.method()
        guard reading.faults.isEmpty, let amount, let interval, let place, let method else { throw Faults(all: reading.faults) }
        self.amount = amount
        self.interval = interval
        self.place = place
        self.basis = basis
        self.pue = pue
        self.method = method
    }

    /// The curve of a figure that the asker states; nil where a zone was named.
    public var statedFigures: ZoneFigures? {
        guard case .stated(let intensity) = place else { return nil }
        let whole = interval.isEmpty ? Interval(interval.start, interval.start + Microseconds(1)) : interval
        return ZoneFigures(zone: intensity.zone, pieces: [.init(whole, SourcedIntensity(intensity, of: whole))])
    }

    /// What has to be known of a zone's intensity: the time that is asked about, or the instant.
    public var asked: Interval { interval.isEmpty ? Interval(interval.start, interval.start + Microseconds(1)) : interval }

    /// Fields one by one, with what is wrong of each.
    private struct Reading {
        var fields: [String: JSONValue]
        var faults: [Fault] = []

        mutating func fail(_ field: String, _ expected: String, _ found: JSONValue? = nil) {
            faults.append(Fault(field: field, expected: expected, found: (found ?? fields[field])?.described ?? "nothing"))
        }

        mutating func number(_ name: String, _ range: ClosedRange<Double>, _ expected: String) -> Double? {
            guard fields[name] != nil else { return nil }
            guard let number = fields[name]?.double, range.contains(number) else {
                fail(name, expected)
                return nil
            }
            return number
        }

        mutating func time(_ name: String, now: Timestamp) -> Timestamp? {
            guard let value = fields[name] else { return nil }
            let latest = now + EstimateQuestion.longest
            guard let time = value.string.flatMap(RFC3339.parse), EstimateQuestion.earliest <= time, time <= latest else {
                fail(name, "an RFC 3339 time such as 2026-09-01T09:00:00Z, from 2000 on and at most a year ahead")
                return nil
            }
            return time
        }

        mutating func interval(now: Timestamp) -> Interval? {
            let count = faults.count
            let (from, to) = (time("from", now: now), time("to", now: now))
            guard faults.count == count else { return nil }
            guard let to else { return Interval(from ?? now, from ?? now) }
            guard let from else {
                fail("from", "a time before to (\(RFC3339.format(to)))")
                return nil
            }
            guard from <= to else {
                fail("to", "a time after from (\(RFC3339.format(from)))")
                return nil
            }
            guard to - from <= EstimateQuestion.longest else {
                fail("to", "at most 366 days after from (\(RFC3339.format(from)))")
                return nil
            }
            return Interval(from, to)
        }

        mutating func amount(over interval: Interval?) -> CarbonEstimate.Amount? {
            let error = number("error", 0...1, "a standard deviation as a part of the energy, 0 to 1")
            let ways = ["energy_wh", "energy_kwh", "power_w"]
            let given = ways.filter { fields[$0] != nil }
            guard given.count == 1, let name = given.first else {
                fail(
                    given.last ?? "energy_wh",
                    "one of \(ways.joined(separator: ", "))",
                    .string(given.isEmpty ? "none" : "\(given.count)")
                )
                return nil
            }
            let wattHours: Double?
            switch name {
            case "energy_wh": wattHours = number(name, 0...EstimateQuestion.mostWattHours, "Wh, 0 to 1e12")
            case "energy_kwh": wattHours = number(name, 0...EstimateQuestion.mostWattHours / 1e3, "kWh, 0 to 1e9").map { $0 * 1e3 }
            default:
                let watts = number(name, 0...EstimateQuestion.mostWatts, "W, 0 to 1e10")
                guard let interval else { return nil }
                guard !interval.isEmpty else {
                    fail("to", "a time after from: power becomes energy over a time")
                    return nil
                }
                wattHours = watts.map { $0 * interval.duration.seconds / 3_600 }
            }
            return wattHours.map { CarbonEstimate.Amount(microjoules: $0 * 3.6e9, errorRatio: error) }
        }

        mutating func basis() -> Intensity.Basis? {
            guard let value = fields["basis"] else { return nil }
            guard let basis = value.string.flatMap({ Intensity.Basis($0) }) else {
                fail(
                    "basis",
                    "lifecycle or direct, average or marginal, production or consumption, as in direct/average/consumption"
                )
                return nil
            }
            return basis
        }

        mutating func place(basis: Intensity.Basis?) -> Place? {
            var zone: GridZone?
            if let value = fields["zone"] {
                guard let read = value.string.flatMap({ GridZone($0) }) else {
                    fail("zone", "a grid zone such as FR, DE or US-CAL-CISO in upper case, or WORLD")
                    return nil
                }
                zone = read
            }
            guard fields["g_per_kwh"] != nil else {
                for name in ["low_g_per_kwh", "high_g_per_kwh", "kind"] where fields[name] != nil {
                    fail("g_per_kwh", "a figure beside \(name)")
                    return nil
                }
                guard let zone else {
                    fail("zone", "a grid zone such as GB, or g_per_kwh with its basis: no place is taken for granted")
                    return nil
                }
                return .zone(zone)
            }
            let most = EstimateQuestion.mostGramsPerKilowattHour
            guard let value = number("g_per_kwh", 0.001...most, "g of CO2e per kWh, 0.001 to \(Int(most))") else { return nil }
            let low = number("low_g_per_kwh", 0...value, "0 to g_per_kwh (\(value))")
            let high = number("high_g_per_kwh", value...10 * most, "g_per_kwh (\(value)) or more")
            guard let basis else {
                if fields["basis"] == nil {
                    fail("basis", "what g_per_kwh counts, such as lifecycle/average/consumption: figures of two bases are never added")
                }
                return nil
            }
            var kind = Intensity.Kind.estimated
            if let said = fields["kind"] {
                guard let read = said.string.flatMap(Intensity.Kind.init(rawValue:)) else {
                    fail("kind", Intensity.Kind.allCases.map(\.rawValue).joined(separator: ", "))
                    return nil
                }
                kind = read
            }
            return .stated(
                Intensity(
                    zone: zone?.key ?? "stated",
                    gramsPerKilowattHour: value,
                    low: low ?? value,
                    high: high ?? value,
                    kind: kind,
                    basis: basis,
                    provider: "stated",
                    year: 0
                )
            )
        }

        mutating func pue() -> PUE? {
            number("pue", 1...4, "a ratio of 1 to 4: a building takes no less than its machines").flatMap { PUE($0) }
        }

        mutating func method() -> CarbonEstimate.Method? {
            let name = fields["method"]?.string ?? (fields["method"] == nil ? "analytical" : "")
            var draws = EstimateQuestion.usualDraws
            if fields["draws"] != nil {
                let range = EstimateQuestion.draws
                guard let number = fields["draws"]?.integer.flatMap({ Int(exactly: $0) }), range.contains(number) else {
                    fail("draws", "\(range.lowerBound) to \(range.upperBound)")
                    return nil
                }
                draws = number
            }
            var seed: UInt64 = 1
            if fields["seed"] != nil {
                guard let number = fields["seed"]?.integer, number >= 0 else {
                    fail("seed", "a whole number, 0 or more")
                    return nil
                }
                seed = UInt64(number)
            }
            switch name {
            case "analytical": return .analytical
            case "monte_carlo": return .monteCarlo(draws: draws, seed: seed)
            default:
                fail("method", "analytical or monte_carlo")
                return nil
            }
        }
    }
}
