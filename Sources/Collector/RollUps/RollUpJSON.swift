import Accounting
import Carbon
import Documents
import Energy
import Store

/// Figures as the API answers them.
struct RollUpJSON {
    /// For people without a token: three digits, no µJ, nothing of hosts.
    let isPublic: Bool

    private func shown(_ value: Double, _ low: Double, _ high: Double) -> JSONValue {
        .number(isPublic ? Digits.coarse(value) : Digits.rounded(value, low: low, high: high))
    }

    /// In three digits or four; null where there is no such number.
    func number(_ value: Double) -> JSONValue {
        value.isFinite ? .number(Digits.rounded(value, low: value - 0.01, high: value + 0.01)) : .null
    }

    private func amount(_ microjoules: Int128) -> JSONValue { isPublic ? .null : .string(String(microjoules)) }

    private static func kilowattHours(_ microjoules: Int128) -> Double { Double(microjoules) / 3.6e12 }

    /// - Returns: the figures' fields, and why those that are null are.
    func fields(_ figures: RollUpFigures) -> [String: JSONValue] {
        var missing: [(field: String, reason: String)] = []
        var fields: [String: JSONValue] = [
            "jobs": jobs(figures.jobs), "simulated": .bool(figures.isSimulated),
            "settled": .bool(!figures.isOpen), "units": .array(units(figures)),
        ]
        if figures.hasEnergy {
            fields["energy"] = energy(figures, &missing)
            let grams = figures.locationGrams
            let market = figures.market?.grams()
            fields["co2e"] = .object([
                "location_g": grams.map(estimate) ?? .null, "market_g": market.map(estimate) ?? .null,
                "embodied_g": figures.embodied.map(range) ?? .null, "by_basis": byBasis(figures),
            ])
            fields["intensity"] = sources(figures)
            fields["water_l"] = figures.waterLitres.map { water(litres: $0, figures) } ?? .null
            if grams == nil { missing.append(("co2e.location_g", figures.byBasis.count > 1 ? "several_bases" : "no_intensity")) }
            if market == nil { missing.append(("co2e.market_g", MarketMix.Missing.noContract.rawValue)) }
            if figures.embodied == nil { missing.append(("co2e.embodied_g", "no_embodied_figure")) }
            if figures.waterLitres == nil { missing.append(("water_l", "no_wue")) }
        } else {
            fields["energy"] = .null
            fields["co2e"] = .object(["location_g": .null, "market_g": .null, "embodied_g": .null, "by_basis": .array([])])
            fields["intensity"] = .array([])
            fields["water_l"] = .null
            let jobs = figures.jobs
            let reason =
                if jobs == nil || jobs?.jobs == 0 { "no_jobs" } else if let jobs, jobs.withoutHost + jobs.hosted == jobs.jobs {
                    "no_host"
                } else if let jobs, jobs.withoutHost + jobs.hosted + jobs.withoutMeter == jobs.jobs { "no_meter" } else { "not_accounted" }
            missing += ["energy", "co2e.location_g", "co2e.market_g", "co2e.embodied_g", "water_l"].map { ($0, reason) }
        }
        fields["missing"] = .array(missing.map { .object(["field": .string($0.field), "reason": .string($0.reason)]) })
        return fields
    }

    private func energy(_ figures: RollUpFigures, _ missing: inout [(field: String, reason: String)]) -> JSONValue {
        let energy = figures.uncertain.energy()
        let (low, high) = (energy.low / 3.6e12, energy.high / 3.6e12)
        func kwh(_ value: Double) -> JSONValue { shown(value / 3.6e12, low, high) }
        var object: [String: JSONValue] = [
            "uj": amount(figures.energy), "dynamic_uj": amount(figures.dynamic), "idle_uj": amount(figures.idle),
            "best_kwh": kwh(Double(figures.energy)), "low_kwh": kwh(energy.low), "high_kwh": kwh(energy.high),
            "bound_low_kwh": kwh(energy.boundLow), "bound_high_kwh": kwh(energy.boundHigh), "dynamic_kwh": kwh(Double(figures.dynamic)),
            "idle_kwh": kwh(Double(figures.idle)), "estimated_kwh": kwh(Double(figures.estimated)),
            "quality": .string(figures.quality.rawValue), "modelled_kwh": kwh(Double(figures.modelled)),
        ]
        if isPublic {
            for name in ["uj", "dynamic_uj", "idle_uj"] { missing.append(("energy.\(name)", "token_needed")) }
        }
        object["coverage"] = figures.coverage.map { shown($0, 0, 1e-4) } ?? .null
        if figures.coverage == nil { missing.append(("energy.coverage", "no_time")) }
        object["by_method_kwh"] = .object(
            Dictionary(uniqueKeysWithValues: ShareMethod.allCases.map { ($0.rawValue, kwh(Double(figures.byMethod[$0] ?? 0))) })
        )
        return .object(object)
    }

    /// Grams.
    func estimate(_ e: Estimate) -> JSONValue {
        .object([
            "best": shown(e.best, e.low, e.high), "low": shown(e.low, e.low, e.high), "high": shown(e.high, e.low, e.high),
            "bound_low": shown(e.boundLow, e.low, e.high), "bound_high": shown(e.boundHigh, e.low, e.high),
        ])
    }

    /// Grams, with limits that hold whatever the parts have in common.
    private func range(_ mass: CO2eRange) -> JSONValue {
        let (low, high) = (mass.low.grams, mass.high.grams)
        return .object([
            "best": shown(mass.best.grams, low, high), "low": shown(low, low, high), "high": shown(high, low, high),
        ])
    }

    /// Each basis by itself.
    private func byBasis(_ figures: RollUpFigures) -> JSONValue {
        .array(
            figures.byBasis.sorted { $0.key < $1.key }.map { basis, sum in
                .object(["basis": .string(basis), "location_g": sum.grams().map(estimate) ?? .null])
            }
        )
    }

    /// Where the intensities are from.
    private func sources(_ figures: RollUpFigures) -> JSONValue {
        .array(
            figures.sources.sorted { ($0.zone, $0.basis, $0.kind, $0.provider) < ($1.zone, $1.basis, $1.kind, $1.provider) }.map {
                .object([
                    "zone": .string($0.zone), "kind": .string($0.kind), "basis": .string($0.basis), "provider": .string($0.provider),
                ])
            }
        )
    }

    /// As sure as the energy that it is of.
    private func water(litres: Double, _ figures: RollUpFigures) -> JSONValue {
        let energy = figures.uncertain.energy()
        let scale = energy.best > 0 ? litres / energy.best : 0
        let (low, high) = (energy.low * scale, energy.high * scale)
        return .object(["best": shown(litres, low, high), "low": shown(low, low, high), "high": shown(high, low, high)])
    }

    private func jobs(_ jobs: RollUpJobs?) -> JSONValue {
        let jobs = jobs ?? RollUpJobs(group: [], bucket: nil)
        return .object([
            "count": .integer(jobs.jobs), "succeeded": .integer(jobs.succeeded), "running": .integer(jobs.running),
            "without_host": .integer(jobs.withoutHost), "hosted": .integer(jobs.hosted), "without_meter": .integer(jobs.withoutMeter),
            "shared": .integer(jobs.shared),
        ])
    }

    private func units(_ figures: RollUpFigures) -> [JSONValue] {
        let energy = figures.hasEnergy ? figures.uncertain.energy() : nil
        let grams = figures.hasEnergy ? figures.locationGrams : nil
        return figures.units.sorted { $0.key < $1.key }.map { unit, count in
            var object: [String: JSONValue] = [
                "unit": .string(unit), "count": .number(isPublic ? Digits.coarse(count) : count), "kwh_per_unit": .null,
                "g_per_unit": .null,
            ]
            if count > 0 {
                if let energy { object["kwh_per_unit"] = interval(energy.scaled(by: 1 / 3.6e12 / count)) }
                if let grams { object["g_per_unit"] = interval(grams.scaled(by: 1 / count)) }
            }
            return .object(object)
        }
    }

    private func interval(_ e: Estimate) -> JSONValue {
        .object(["best": shown(e.best, e.low, e.high), "low": shown(e.low, e.low, e.high), "high": shown(e.high, e.low, e.high)])
    }

    static func ledger(_ ledger: RollUpLedger, bucket: RollUpBucket?) -> JSONValue {
        func amount(_ value: Int128) -> JSONValue { .string(String(value)) }
        var object: [String: JSONValue] = [
            "metered_uj": amount(ledger.metered), "jobs_uj": amount(ledger.jobs), "job_dynamic_uj": amount(ledger.jobDynamic),
            "idle_moved_uj": amount(ledger.idleMoved), "idle_uj": amount(ledger.idleLeft), "system_uj": amount(ledger.system),
            "agent_uj": amount(ledger.agent), "nested_uj": amount(ledger.nested), "unknown_uj": amount(ledger.unknown),
            "unmetered_s": .number(ledger.unmetered.seconds),
        ]
        if let bucket, let start = ledger.bucket {
            object["from"] = .string(RFC3339.format(start))
            object["to"] = .string(RFC3339.format(bucket.next(after: start)))
        }
        return .object(object)
    }
}

extension RollUpAnswer {
    /// The groups of one page, most energy first, then in order of time.
    var page: (rows: [(place: Place, figures: RollUpFigures)], hasMore: Bool) {
        var energies: [[String?]: Int128] = [:]
        for (place, figures) in rows { energies[place.group, default: 0] += figures.energy }
        func text(_ group: [String?]) -> String { group.map { $0.map { "=" + $0 } ?? "" }.joined(separator: "\u{0}") }
        let groups = energies.sorted { $0.value != $1.value ? $0.value > $1.value : text($0.key) < text($1.key) }.map(\.key)
        let shown = groups.dropFirst(question.offset).prefix(question.limit)
        let order = Dictionary(uniqueKeysWithValues: shown.enumerated().map { ($1, $0) })
        let page = rows.compactMap { place, figures in order[place.group].map { (order: $0, place: place, figures: figures) } }
            .sorted { ($0.order, $0.place.bucket?.microseconds ?? 0) < ($1.order, $1.place.bucket?.microseconds ?? 0) }
        return (page.map { ($0.place, $0.figures) }, groups.count > question.offset + question.limit)
    }

    func json(isPublic: Bool, withTotal: Bool) -> JSONValue {
        let json = RollUpJSON(isPublic: isPublic)
        let groups = page.rows.map { place, figures in
            var object = json.fields(figures)
            for (field, value) in zip(question.fields, place.group) { object[field] = value.map { .string($0) } ?? .null }
            if let bucket = question.bucket, let start = place.bucket {
                object["from"] = .string(RFC3339.format(start))
                object["to"] = .string(RFC3339.format(bucket.next(after: start)))
            }
            return JSONValue.object(object)
        }
        var object: [String: JSONValue] = [
            "by": .array(question.fields.map { .string($0) }), "group": question.bucket.map { .string($0.rawValue) } ?? .null,
            "policy": .string(question.policy.rawValue), "window": window, "groups": .array(groups),
            "total": withTotal ? .object(json.fields(total)) : .null, "open_hours": openHours.map { .integer(Int64($0)) } ?? .null,
            "left_out_hours": .integer(Int64(leftOutHours)), "set_aside_hours": .integer(Int64(setAsideHours)),
        ]
        object["ledger"] = ledger.map { .array($0.map { RollUpJSON.ledger($0, bucket: question.bucket) }) } ?? .null
        return .object(object)
    }

    var window: JSONValue {
        .object([
            "from": .string(RFC3339.format(question.interval.start)), "to": .string(RFC3339.format(question.interval.end)),
        ])
    }
}
