import Accounting
import Carbon
import Crypto
import Documents
import Energy
import Store

/// What a settled footprint was made from and came to, in one canonical text, and the digest that names it.
///
/// The text is compact JSON with sorted names; times are RFC 3339 in UTC, amounts are decimal strings of whole µJ and µg, other numbers
/// are the shortest decimals that give the same double. So the same inputs give the same bytes, whatever way they came
/// (`docs/methodology.md`, "Statements").
struct FootprintStatement: Sendable {
    /// Of the document and of the sums that are made on reading it; another number where either changes.
    static let format = "wattle-statement/2"

    let document: JSONValue
    /// `sha256:` and 64 hexadecimal digits.
    let digest: String
    /// Whether every hour in it is named by its inputs. The figures of one that is not could be guessed from its digest.
    let isSealed: Bool

    /// What of a footprint's origin the figures alone do not tell.
    struct Origin: Sendable {
        /// The span's edges as they were accounted.
        var interval: Interval
        var terms: SpanTerms
        /// All hours of the span, settled, in order.
        var hours: [AccountedHour]
        /// In the order of `SliceRow.ordered`.
        var slices: [SliceRow]
        /// Of the host: what its hours were put to beside the ledger.
        var hostTerms: HostTerms
    }

    /// - Throws: `JSONValue.NotFinite`, which a figure never is.
    init(_ footprint: Footprint, origin: Origin) throws {
        document = .object([
            "format": .string(Self.format), "policy": .string(footprint.policy.rawValue), "span": Self.span(footprint, origin),
            "share": footprint.share.map { .object(["method": .string($0.method.rawValue), "mean": .number($0.mean)]) } ?? .null,
            "hours": Self.hours(footprint, origin), "intensities": Self.intensities(origin.slices), "terms": Self.terms(origin),
            "figures": Self.figures(footprint),
        ])
        digest = "sha256:" + SHA256.hash(data: try document.bytes).map(Self.hex).joined()
        isSealed = origin.hours.allSatisfy { $0.inputsSHA256 != nil }
    }

    private static func span(_ footprint: Footprint, _ origin: Origin) -> JSONValue {
        let terms = origin.terms
        let decision = footprint.workload?.decision
        return .object([
            "id": .string(footprint.jobID), "key": .string(footprint.key), "host": text(footprint.hostName),
            "started_at": time(footprint.startedAt), "finished_at": time(footprint.finishedAt),
            "accounted_from": time(origin.interval.start), "accounted_to": time(origin.interval.end),
            "time_resolution_us": .integer(terms.timeResolution.count), "cpu_share": number(terms.cpuShare), "cpus": number(terms.cpus),
            "weight": number(terms.weight), "cpu_time_us": terms.cpuTime.map { .integer($0.count) } ?? .null,
            "owned_by": text(decision?.ownership?.rule.rawValue), "not_owned_because": text(decision?.reason?.rawValue),
            "cgroups": .array((footprint.workload?.cgroups ?? []).map { .string($0.path) }),
        ])
    }

    // How often an hour was accounted before is its history, not its content: the version is not here.
    private static func hours(_ footprint: Footprint, _ origin: Origin) -> JSONValue {
        let slices = Dictionary(grouping: origin.slices, by: \.hour)
        return .array(
            origin.hours.map { hour in
                let own = slices[hour.hour] ?? []
                return .object([
                    "hour": time(hour.hour.start), "inputs_sha256": text(hour.inputsSHA256?.map(hex).joined()),
                    "software": .string(hour.software.isEmpty ? SoftwareVersion.current : hour.software), "pue": number(own.first?.pue),
                    "share_methods": .array(Set(own.map(\.slice.shareMethod.rawValue)).sorted().map { .string($0) }),
                ])
            }
        )
    }

    /// Each once, in the order in which they first count.
    private static func intensities(_ slices: [SliceRow]) -> JSONValue {
        var seen: Set<Int64> = []
        return .array(
            slices.compactMap(\.intensity).filter { seen.insert($0.id).inserted }.map { intensity in
                let value = intensity.value
                return .object([
                    "zone": .string(value.zone), "from": time(intensity.interval.start), "to": time(intensity.interval.end),
                    "g_per_kwh": .number(value.gramsPerKilowattHour), "low_g_per_kwh": .number(value.low),
                    "high_g_per_kwh": .number(value.high), "kind": .string(value.kind.rawValue), "basis": .string(value.basis.description),
                    "provider": .string(value.provider), "version": .string(intensity.version),
                ])
            }
        )
    }

    /// Each once, for the hours of the span in which it counts.
    private static func terms(_ origin: Origin) -> JSONValue {
        // Of each what falls into the job's hours: what is said of other times is no input.
        var stretches: [HostTerms.Stretch] = []
        for hour in Set(origin.slices.map(\.hour)).sorted() {
            var stretch = origin.hostTerms.at(hour)
            stretch.interval = hour.interval
            if var last = stretches.last, last.interval.end == hour.start {
                let before = last.interval
                last.interval = hour.interval
                if last == stretch {
                    stretches[stretches.count - 1].interval = Interval(before.start, hour.end)
                    continue
                }
            }
            stretches.append(stretch)
        }
        func grams(_ mass: CO2e?) -> JSONValue { mass.map { .number($0.grams) } ?? .null }
        return .array(
            stretches.compactMap { stretch in
                let market = stretch.marketIntensity
                guard market != nil || stretch.water != nil || stretch.embodiedPerHour != nil else { return nil }
                return .object([
                    "from": time(stretch.interval.start), "to": time(stretch.interval.end), "site": text(stretch.site),
                    "market_g_per_kwh": number(market?.gramsPerKilowattHour), "market_low_g_per_kwh": number(market?.low),
                    "market_high_g_per_kwh": number(market?.high), "wue_l_per_kwh": number(stretch.water?.litresPerKilowattHour),
                    "embodied_g_per_h": grams(stretch.embodiedPerHour?.best),
                    "embodied_low_g_per_h": grams(stretch.embodiedPerHour?.low),
                    "embodied_high_g_per_h": grams(stretch.embodiedPerHour?.high), "embodied_source": text(stretch.embodiedSource),
                ])
            }
        )
    }

    private static func figures(_ footprint: Footprint) -> JSONValue {
        func rounded(_ value: Double, _ rule: FloatingPointRoundingRule) -> JSONValue { amount(Int64(saturating: value.rounded(rule))) }
        func micrograms(_ figure: Footprint.Figure?) -> JSONValue {
            guard let figure else { return .null }
            return .object([
                "best": rounded(figure.best * 1e6, .toNearestOrAwayFromZero), "low": rounded(figure.low * 1e6, .down),
                "high": rounded(figure.high * 1e6, .up),
            ])
        }
        var figures: [String: JSONValue] = [
            "energy": .null, "co2e_location_ug": micrograms(footprint.locationGrams), "co2e_market_ug": micrograms(footprint.marketGrams),
            "co2e_embodied_ug": micrograms(footprint.embodiedGrams), "water_l": number(footprint.waterLitres?.best),
        ]
        if let energy = footprint.energy {
            var components: [String: JSONValue] = [:]
            for (component, own) in energy.components { components[component.rawValue] = amount(own.microjoules) }
            figures["energy"] = .object([
                "uj": amount(energy.total.microjoules), "dynamic_uj": amount(energy.dynamic.microjoules),
                "idle_uj": amount(energy.idle.microjoules), "components_uj": .object(components),
                "low_uj": rounded(energy.interval.low, .down), "high_uj": rounded(energy.interval.high, .up),
                "bound_low_uj": rounded(energy.bounds.low, .down), "bound_high_uj": rounded(energy.bounds.high, .up),
                "estimated_uj": energy.estimated.map { rounded($0, .toNearestOrAwayFromZero) } ?? .null,
                "coverage": .number(energy.coverage), "quality": .string(energy.quality.rawValue),
            ])
        }
        return .object(figures)
    }

    private static func amount(_ value: Int64) -> JSONValue { .string(String(value)) }
    private static func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
    private static func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
    /// Null for one that has no such edge.
    private static func time(_ value: Timestamp?) -> JSONValue {
        guard let value, value.microseconds != .min, value.microseconds != .max else { return .null }
        return .string(RFC3339.format(value))
    }
    static func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }
}

extension [SliceRow] {
    /// By hour, component and time: sums of fractions come out the same however they were read.
    var ordered: [SliceRow] {
        sorted {
            ($0.hour, $0.slice.component.rawValue, $0.slice.interval.start) < (
                $1.hour, $1.slice.component.rawValue, $1.slice.interval.start
            )
        }
    }
}
