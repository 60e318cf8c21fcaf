import Accounting
import Carbon
import Documents
import Energy
import Store

extension JobExplanation {
    /// As the API answers it. Amounts in µJ are decimal strings, exact; those in J are numbers of the steps between.
    func json(baseURL: String) -> JSONValue {
        var document: [String: JSONValue] = [
            "id": .string(footprint.jobID), "key": .string(footprint.key), "job": footprint.fields["job"] ?? .null,
            "state": .string(footprint.state.rawValue), "policy": .string(footprint.policy.rawValue),
            "started_at": time(footprint.startedAt), "finished_at": time(footprint.finishedAt),
            "statement": footprint.statement.map { .object(["sha256": .string($0.digest), "document": $0.document]) } ?? .null,
            "footprint": footprint.json(baseURL: baseURL), "span": spanJSON, "host": hostJSON, "meters": metersJSON,
            "curves": .array(curves.map(\.json)), "slices": .array(slices.map(sliceJSON)), "totals": totalsJSON,
            "errors": .array(
                errors.map {
                    .object(["key": .string($0.key.name), "of": .string(place(of: $0.key)), "sigma_j": .number($0.microjoules / 1e6)])
                }
            ),
        ]
        func version(_ hour: AccountedHour) -> [String: JSONValue] {
            [
                "version": .integer(Int64(hour.version)),
                "inputs_sha256": hour.inputsSHA256.map { .string($0.map(FootprintStatement.hex).joined()) } ?? .null,
                "software": .string(hour.software),
            ]
        }
        document["hours"] = .array(
            hours.map { hour in
                .object(
                    version(hour).merging([
                        "hour": time(hour.hour.start),
                        "superseded": .array((superseded[hour.hour] ?? []).map { .object(version($0)) }),
                    ]) { $1 }
                )
            }
        )
        var missing = footprint.allMissing
        if footprint.statement == nil { missing.append(("statement.document", "no_statement")) }
        if host == nil { for field in ["span", "host", "totals"] { missing.append((field, "not_final")) } }
        document["missing"] = .array(missing.map { .object(["field": .string($0.field), "reason": .string($0.reason)]) })
        return .object(document)
    }

    private var spanJSON: JSONValue {
        guard let terms, let interval else { return .null }
        func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
        let decision = footprint.workload?.decision
        return .object([
            "accounted_from": time(interval.start), "accounted_to": time(interval.end), "seconds": .number(interval.duration.seconds),
            "time_resolution_ms": .number(Double(terms.timeResolution.count) / 1_000), "cpu_share": number(terms.cpuShare),
            "cpus": number(terms.cpus), "weight": number(terms.weight), "cpu_seconds_posted": number(terms.cpuTime?.seconds),
            "owned_by": decision?.ownership.map { .string($0.rule.rawValue) } ?? .null,
            "not_owned_because": decision?.reason.map { .string($0.rawValue) } ?? .null,
            "cgroups": .array((footprint.workload?.cgroups ?? []).map { .string($0.path) }),
        ])
    }

    private var hostJSON: JSONValue {
        guard let host else { return .null }
        let input = slices.lazy.compactMap(\.input).first
        return .object([
            "name": .string(host.name), "cpus": .integer(Int64(input?.cpus ?? host.cpus)),
            "slots": (input?.slots ?? host.slots).map { .number($0) } ?? .null, "grid_zone": host.gridZone.map { .string($0) } ?? .null,
        ])
    }

    /// Every meter that counted, once.
    private var metersJSON: JSONValue {
        var seen: Set<String> = []
        let meters = slices.compactMap(\.input).flatMap(\.meters).filter { seen.insert($0.name).inserted }
        return .array(
            meters.map { meter in
                .object([
                    "name": .string(meter.name), "component": .string(meter.component.rawValue),
                    "quality": .string(meter.quality.rawValue), "sample_period_ms": .number(Double(meter.samplePeriod.count) / 1_000),
                    "epsilon_j": .number(Double(meter.epsilonMicrojoules) / 1e6), "maximum_w": .number(meter.maximumPower.watts),
                    "idle_w": meter.idle.map { .number($0.best.watts) } ?? .null,
                    "idle_low_w": meter.idle.map { .number($0.low.watts) } ?? .null,
                    "idle_high_w": meter.idle.map { .number($0.high.watts) } ?? .null, "error_ratio": .number(meter.errorRatio),
                    "bound_ratios": .array([.number(meter.boundRatios.low), .number(meter.boundRatios.high)]),
                ])
            }
        )
    }

    private func sliceJSON(_ one: ExplainedSlice) -> JSONValue {
        let slice = one.row.slice
        let moved = slice.idle[one.policy]
        let own = slice.dynamic + moved
        let limits = slice.bounds.limits(policy: one.policy, idle: slice.idle)
        var document: [String: JSONValue] = [
            "hour": time(one.row.hour.start), "component": .string(slice.component.rawValue), "from": time(slice.interval.start),
            "to": time(slice.interval.end), "seconds": .number(slice.interval.duration.seconds),
            "metered_seconds": .number(slice.metered.seconds), "quality": .string(slice.quality.rawValue),
            "share_method": .string(slice.shareMethod.rawValue), "cpu_share_mean": .number(slice.meanShare),
            "detail": .string(one.detail.rawValue), "flags": .array((one.accounts?.flags.names ?? []).map { .string($0) }),
            "dynamic_uj": amount(slice.dynamic), "idle_uj": amount(moved), "uj": amount(own),
            "idle_moved_uj": .object(
                Dictionary(uniqueKeysWithValues: Policy.allCases.map { ($0.rawValue, amount(slice.idle[$0])) })
            ),
            "bound_low_j": .number(min(limits.low, Double(own)) / 1e6), "bound_high_j": .number(max(limits.high, Double(own)) / 1e6),
            "estimated_uj": slice.estimated.map(amount) ?? .null, "pue": .number(one.row.pue),
            "intensity": one.row.intensity.map(intensityJSON) ?? .null, "co2e_g": .null, "host": .null, "stretch_count": .null,
            "stretches": .array([]),
        ]
        if let value = one.row.intensity?.value.gramsPerKilowattHour {
            document["co2e_g"] = .number(
                Intensity.micrograms(microjoules: Double(own) * one.row.pue, gramsPerKilowattHour: value) / 1e6
            )
        }
        document["terms"] = termsJSON(one.row, own: own)
        if let metering = one.metering {
            document["host"] = meteringJSON(metering)
            document["stretch_count"] = .integer(Int64(one.stretches.count))
            let dynamic = metering.energy - metering.floor
            document["share_effective"] = abs(dynamic) > 0 ? .number(Double(slice.dynamic) / dynamic) : .null
            document["idle_part_effective"] = metering.floor > 0 ? .number(Double(moved) / metering.floor) : .null
            document["part_effective"] = metering.energy > 0 ? .number(Double(own) * 1 / metering.energy) : .null
        }
        if one.detail == .stretches {
            document["stretches"] = .array(zip(one.stretches, one.parts).map { stretchJSON($0, $1, one.policy) })
            let walked = one.walked
            document["rounding_uj"] = .number(Double(own) - walked.dynamic - walked.idle)
        }
        return .object(document)
    }

    /// What contracts, the machine's making and water add; null where nobody said it. A reservation is told with one component only.
    private func termsJSON(_ row: SliceRow, own: Int64) -> JSONValue {
        let stretch = hostTerms.at(row.hour)
        let market = stretch.marketIntensity?.gramsPerKilowattHour
        let reserved = row.slice.reservedMicroseconds.map { $0 / 1e6 }
        let making = stretch.embodiedPerHour?.best.grams
        let energy = ITEnergy(kilowattHours: Double(own) / 3.6e12)
        func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
        return .object([
            "site": stretch.site.map { .string($0) } ?? .null, "market_g_per_kwh": number(market),
            "market_g": number(
                market.map { Intensity.micrograms(microjoules: Double(own) * row.pue, gramsPerKilowattHour: $0) / 1e6 }
            ),
            "reserved_seconds": number(reserved), "embodied_g_per_h": number(making),
            "embodied_g": number(reserved.flatMap { reserved in making.map { $0 * reserved / 3_600 } }),
            "wue_l_per_kwh": number(stretch.water?.litresPerKilowattHour), "water_l": number(stretch.water?.litres(of: energy)),
        ])
    }

    private func meteringJSON(_ metering: ComponentMetering) -> JSONValue {
        .object([
            "energy_j": .number(metering.energy / 1e6), "idle_floor_j": .number(metering.floor / 1e6),
            "dynamic_j": .number((metering.energy - metering.floor) / 1e6), "idle_floor_scale": .number(metering.floorScale),
            "meters": .array(
                metering.readings.map { reading in
                    .object([
                        "name": .string(reading.name), "at_from_j": reading.atStart.map { .number($0 / 1e6) } ?? .null,
                        "at_to_j": reading.atEnd.map { .number($0 / 1e6) } ?? .null, "energy_j": .number(reading.energy / 1e6),
                        "metered_seconds": .number(reading.known.seconds), "idle_w": reading.idleWatts.map { .number($0) } ?? .null,
                    ])
                }
            ),
        ])
    }

    private func stretchJSON(_ stretch: ShareWalk.Stretch, _ metering: ComponentMetering, _ policy: Policy) -> JSONValue {
        let formula = stretch.formula
        let dynamic = metering.energy - metering.floor
        return .object([
            "from": time(stretch.interval.start), "to": time(stretch.interval.end), "seconds": .number(stretch.interval.duration.seconds),
            "energy_j": .number(metering.energy / 1e6), "idle_floor_j": .number(metering.floor / 1e6), "dynamic_j": .number(dynamic / 1e6),
            "busy": stretch.busy.map { .number($0) } ?? .null, "busy_counted": .number(formula.busy),
            "measured": .number(stretch.measured), "agent": .number(stretch.agent), "remainder": .number(formula.remainder),
            "weights": .number(stretch.weights), "own": .number(stretch.own), "own_is": stretch.isMeasured ? "measured" : "weight",
            "jobs": .integer(Int64(stretch.running)), "jobs_with_slot": .integer(Int64(stretch.slotsTaken)),
            "reserved": .number(stretch.claim), "reserved_by_all": .number(stretch.claims), "shares_of_all": .number(stretch.shares),
            "share": .number(stretch.share), "idle_part": .number(stretch.idlePart(policy)),
            "own_dynamic_j": .number(dynamic * stretch.share / 1e6),
            "own_idle_j": .number(metering.floor * stretch.idlePart(policy) / 1e6),
        ])
    }

    private func intensityJSON(_ intensity: StoredIntensity) -> JSONValue {
        .object([
            "zone": .string(intensity.value.zone), "g_per_kwh": .number(intensity.value.gramsPerKilowattHour),
            "low_g_per_kwh": .number(intensity.value.low), "high_g_per_kwh": .number(intensity.value.high),
            "kind": .string(intensity.value.kind.rawValue), "basis": .string(intensity.value.basis.description),
            "provider": .string(intensity.value.provider), "version": .string(intensity.version),
            "from": time(intensity.interval.start), "to": time(intensity.interval.end),
        ])
    }

    /// Whose error it is; the host is the job's own.
    private func place(of key: ErrorKey) -> String {
        switch key {
        case .meter(_, let component), .floor(_, let component): component.rawValue
        case .edge(_, let component, let instant): "\(component.rawValue), \(RFC3339.format(instant))"
        case .gap(_, let hour, let component), .share(_, let hour, let component):
            "\(component.rawValue), hour \(RFC3339.format(hour.start))"
        case .pue(let site): site
        case .intensity(let zone, let provider, let kind): "\(zone), \(kind), \(provider)"
        case .embodied: "the host"
        }
    }

    /// The footprint's figures in all their digits.
    private var totalsJSON: JSONValue {
        guard let energy = footprint.energy else { return .null }
        return .object([
            "dynamic_uj": amount(energy.dynamic.microjoules), "idle_uj": amount(energy.idle.microjoules),
            "uj": amount(energy.total.microjoules), "kwh": .number(energy.total.kilowattHours),
            "low_kwh": .number(energy.interval.low / 3.6e12), "high_kwh": .number(energy.interval.high / 3.6e12),
            "bound_low_kwh": .number(energy.bounds.low / 3.6e12), "bound_high_kwh": .number(energy.bounds.high / 3.6e12),
            "co2e_g": footprint.locationGrams.map { .number($0.best) } ?? .null,
            "co2e_low_g": footprint.locationGrams.map { .number($0.low) } ?? .null,
            "co2e_high_g": footprint.locationGrams.map { .number($0.high) } ?? .null,
        ])
    }

    private func amount(_ value: Int64) -> JSONValue { .string(String(value)) }
    private func time(_ value: Timestamp?) -> JSONValue {
        guard let value, value.microseconds != .min, value.microseconds != .max else { return .null }
        return .string(RFC3339.format(value))
    }
}
