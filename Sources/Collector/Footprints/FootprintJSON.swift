import Accounting
import Carbon
import Documents
import Energy
import Store

extension Footprint {
    /// The footprint as the API answers it.
    ///
    /// - Parameter isPublic: for people without a token: three digits, no µJ, no cgroup, no machine.
    func json(baseURL: String, isPublic: Bool = false) -> JSONValue {
        (isPublic ? publicView : self).document(baseURL: baseURL)
    }

    /// What people without a token see of a job: no figure of it in more than three digits, nor one from which more can be computed.
    var publicView: Footprint {
        var view = self
        view.isCoarse = true
        if hostName != nil { view.setMissing(["host"], reason: "token_needed") }
        view.hostName = nil
        if hidesMachine, hostClass != nil {
            // Not even its class: the type is the operator's own.
            view.hostClass = "cloud"
            if cloudModel != nil { view.setMissing(["model"], reason: "token_needed") }
            view.cloudModel = nil
        }
        view.fields["runner"] = nil
        view.fields["pool"] = nil
        if view.workload != nil, share != nil { view.setMissing(["share.workload"], reason: "token_needed") }
        if memoryMaximumBytes != nil { view.setMissing(["usage.memory_max_bytes"], reason: "token_needed") }
        view.fields["memory_max_bytes"] = nil
        view.workload = nil
        // Exact to the microsecond: with the share and the length it would tell the energy's other digits.
        if cpuTime != nil { view.setMissing(["usage.cpu_seconds"], reason: "token_needed") }
        view.fields["cpu_time_us"] = nil
        view.cpuTime = nil
        // A digest tells nothing only where it covers something that nobody can guess.
        if let statement, !statement.isSealed {
            view.statement = nil
            view.setMissing(["statement"], reason: "token_needed")
        }
        return view
    }

    /// Public data have no value that its provider does not let us hand on.
    var hidesIntensity: Bool { isCoarse && isIntensityWithheld && intensity != nil }

    /// A figure in no more digits than its limits allow, and than its reader may see.
    func shown(_ value: Double, low: Double, high: Double) -> Double {
        isCoarse ? Digits.coarse(value) : Digits.rounded(value, low: low, high: high)
    }

    private func links(_ baseURL: String) -> JSONValue {
        var links: [String: JSONValue] = [
            "self": .string("\(baseURL)/v1/jobs/\(jobID)"), "html": .string("\(baseURL)/jobs/\(jobID)"),
        ]
        if !isCoarse { links["explain"] = .string("\(baseURL)/v1/jobs/\(jobID)/explain") }
        return .object(links)
    }

    private func document(baseURL: String) -> JSONValue {
        var document: [String: JSONValue] = [
            "id": .string(jobID), "key": .string(key), "state": .string(state.rawValue), "policy": .string(policy.rawValue),
            "host": hostName.map { .string($0) } ?? .null, "host_class": hostClass.map { .string($0) } ?? .null,
            "account": .string(hostClass == nil ? "job" : HostedModel.account), "flags": .array(flags.map { .string($0) }),
            "started_at": startedAt.map { .string(RFC3339.format($0)) } ?? .null,
            "finished_at": finishedAt.map { .string(RFC3339.format($0)) } ?? .null, "pue": pue.map { .number($0) } ?? .null,
            "statement": statement.map { .string($0.digest) } ?? .null, "links": links(baseURL),
        ]
        for name in [
            "service", "activity", "team", "repository", "commit", "ref", "pipeline", "job", "outcome", "pool", "release", "source",
            "runner",
        ] {
            document[name] = fields[name]
        }
        document["energy"] = energy.map(energyJSON) ?? .null
        if let cloudModel {
            document["model"] = cloudModel.json(isCoarse: isCoarse)
        } else if missing.contains(where: { $0.field == "model" }) {
            document["model"] = .null
        }
        document["co2e"] = .object([
            "location_g": locationGrams.map { figure in
                .object([
                    "best": number(figure.best, figure), "low": number(figure.low, figure), "high": number(figure.high, figure),
                    "bound_low": locationGramBounds.map { number($0.low, figure) } ?? .null,
                    "bound_high": locationGramBounds.map { number($0.high, figure) } ?? .null,
                ])
            } ?? .null,
            "market_g": marketGrams.map(figureJSON) ?? .null, "embodied_g": embodiedGrams.map(figureJSON) ?? .null,
        ])
        document["water_l"] = waterLitres.map(figureJSON) ?? .null
        func value(_ grams: Double) -> JSONValue { hidesIntensity ? .null : .number(grams) }
        document["intensity"] =
            intensity.map { intensity in
                .object([
                    "zone": .string(intensity.zone), "g_per_kwh": value(intensity.gramsPerKilowattHour),
                    "low_g_per_kwh": value(intensity.low), "high_g_per_kwh": value(intensity.high),
                    "id": intensityOrigin.map { .string(String($0.id)) } ?? .null,
                    "from": intensityOrigin?.from.map { .string(RFC3339.format($0)) } ?? .null, "kind": .string(intensity.kind.rawValue),
                    "basis": .string(intensity.basis.description), "provider": .string(intensity.provider),
                    "year": .integer(Int64(intensity.year)),
                ])
            } ?? .null
        document["share"] =
            share.map {
                .object([
                    "method": .string($0.method.rawValue), "mean": .number(shown($0.mean, low: 0, high: 1e-4)),
                    "workload": workloadJSON ?? .null,
                ])
            } ?? .null
        document["attribution_mode"] = attributionMode.map { .string($0.rawValue) } ?? .null
        var usage: [String: JSONValue] = [
            "cpu_seconds": cpuTime.map { .number($0.seconds) } ?? .null,
            "memory_max_bytes": memoryMaximumBytes.map { .string(String($0)) } ?? .null,
        ]
        usage["allocation_ratio"] = share.map { .number(shown($0.mean, low: 0, high: 1e-4)) } ?? .null
        document["usage"] = .object(usage)
        document["missing"] = .array(
            allMissing.map { .object(["field": .string($0.field), "reason": .string($0.reason)]) }
        )
        return .object(document)
    }

    /// Every null field with its reason.
    var allMissing: [(field: String, reason: String)] {
        var all = missing
        let said = Set(missing.map(\.field))
        if cpuTime == nil, !said.contains("usage.cpu_seconds") {
            all.append(("usage.cpu_seconds", state == .final ? "not_posted" : "not_final"))
        }
        if memoryMaximumBytes == nil, !said.contains("usage.memory_max_bytes") { all.append(("usage.memory_max_bytes", "not_posted")) }
        if share == nil { all.append(("usage.allocation_ratio", "not_final")) }
        if share != nil, workloadJSON == nil, !isCoarse {
            all.append(("share.workload", (workload?.decision.reason ?? .noCgroup).rawValue))
        }
        if attributionMode == nil { all.append(("attribution_mode", "not_final")) }
        if hostName == nil, !isCoarse { all.append(("host", hostClass == nil ? "not_posted" : HostedModel.account)) }
        if hostClass == nil { all.append(("host_class", "not_hosted")) }
        if isCoarse, energy != nil { for field in ["uj", "dynamic_uj", "idle_uj"] { all.append(("energy.\(field)", "token_needed")) } }
        if finishedAt == nil { all.append(("finished_at", "not_finished")) }
        if pue == nil, !said.contains("pue") { all.append(("pue", hostClass == nil ? "host_unknown" : HostedModel.account)) }
        for (field, figure) in [("co2e.market_g", marketGrams), ("co2e.embodied_g", embodiedGrams), ("water_l", waterLitres)]
        where figure == nil && !said.contains(field) {
            all.append((field, hostClass != nil ? HostedModel.account : state == .final ? "not_metered" : "not_final"))
        }
        if hidesIntensity { all.append(("intensity.g_per_kwh", "not_redistributable")) }
        if statement == nil, !said.contains("statement") { all.append(("statement", unstatedReason)) }
        return all
    }

    /// Why there is no statement.
    private var unstatedReason: String {
        if hostClass != nil { return HostedModel.account }
        return state == .final && hasOpenHour ? "hour_open" : "not_final"
    }

    /// What the agent saw in the job's cgroups, else what was posted.
    private var memoryMaximumBytes: Int64? { workload?.maximumMemoryBytes ?? fields["memory_max_bytes"]?.wholeNumber }

    /// The cgroups that the job owns; nil where it owns none.
    private var workloadJSON: JSONValue? {
        guard let workload, let ownership = workload.decision.ownership, let first = workload.cgroups.first else { return nil }
        func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
        var document: [String: JSONValue] = [
            "cgroup": .string(first.path), "by": .string(ownership.rule.rawValue),
            "unit": text(workload.cgroups.lazy.compactMap(\.unit).first),
            "container_id": text(workload.cgroups.lazy.compactMap(\.containerID).first),
            "pod": text(workload.cgroups.lazy.compactMap(\.pod).first),
            "cpu_time_partial": .bool(workload.cgroups.contains(where: \.isCPUTimePartial)),
            "snapped_started_at": .string(RFC3339.format(ownership.interval.start)),
            "snapped_finished_at": finishedAt == nil ? .null : .string(RFC3339.format(ownership.interval.end)),
        ]
        if workload.cgroups.count > 1 { document["cgroups"] = .array(workload.cgroups.map { .string($0.path) }) }
        return .object(document)
    }

    private func energyJSON(_ energy: EnergyFigures) -> JSONValue {
        let (low, high) = energy.interval
        func kwh(_ microjoules: Double) -> JSONValue {
            .number(shown(microjoules / 3.6e12, low: low / 3.6e12, high: high / 3.6e12))
        }
        func exact(_ energy: Energy) -> JSONValue { isCoarse ? .null : .string(String(energy.microjoules)) }
        var components: [String: JSONValue] = [:]
        for component in Component.allCases {
            components[component.rawValue] = energy.components[component].map { kwh(Double($0.microjoules)) } ?? .null
        }
        return .object([
            "best_kwh": kwh(Double(energy.total.microjoules)), "low_kwh": kwh(low), "high_kwh": kwh(high),
            "bound_low_kwh": kwh(energy.bounds.low),
            "bound_high_kwh": kwh(energy.bounds.high), "uj": exact(energy.total),
            "dynamic_uj": exact(energy.dynamic),
            "idle_uj": exact(energy.idle), "dynamic_kwh": kwh(Double(energy.dynamic.microjoules)),
            "idle_kwh": kwh(Double(energy.idle.microjoules)), "quality": .string(energy.quality.rawValue),
            "coverage": .number(shown(energy.coverage, low: 0, high: 1e-3)),
            "estimated_kwh": energy.estimated.map(kwh) ?? .null, "components_kwh": .object(components),
        ])
    }

    private func figureJSON(_ figure: Figure) -> JSONValue {
        .object(["best": number(figure.best, figure), "low": number(figure.low, figure), "high": number(figure.high, figure)])
    }

    private func number(_ value: Double, _ figure: Figure) -> JSONValue {
        .number(shown(value, low: figure.low, high: figure.high))
    }
}

extension HostHourAnswer {
    /// - Parameters:
    ///   - parts: by the id of their slices.
    ///   - sources: of the intensities, by their ids.
    func json(parts: [Int64: HourPart], sources: [Int64: IntensitySource]) -> JSONValue {
        // Of an hour that was set aside before anything was stored nothing is known.
        func sum(_ value: (ComponentAccounts) -> Int64) -> JSONValue {
            rows.isEmpty && state == .setAside ? .null : .string(String(rows.reduce(Int128(0)) { $0 + Int128(value($1.accounts)) }))
        }
        var document: [String: JSONValue] = [
            "hour": .string(RFC3339.format(hour.start)), "state": .string(state.rawValue),
            "metered_uj": sum(\.metered), "job_dynamic_uj": sum(\.jobDynamic), "system_uj": sum(\.system), "agent_uj": sum(\.agent),
            "idle_uj": sum(\.idle), "unknown_uj": sum(\.unknown), "idle_reserved_uj": sum(\.idleMoved.reserved),
            "idle_busy_uj": sum(\.idleMoved.busy), "idle_equal_uj": sum(\.idleMoved.equal),
        ]
        document["components"] = .array(rows.map(componentJSON))
        document["intensity"] = .array(
            Set(rows.flatMap(\.intensityIDs).compactMap { sources[$0] })
                .sorted { ($0.zone, $0.provider, $0.basis, $0.kind) < ($1.zone, $1.provider, $1.basis, $1.kind) }
                .map {
                    .object([
                        "zone": .string($0.zone), "kind": .string($0.kind), "basis": .string($0.basis), "provider": .string($0.provider),
                    ])
                }
        )
        let emissions = rows.map(\.emissions)
        let total = emissions.reduce(Int128?.some(0)) { sum, one in sum.flatMap { sum in one.map { sum + Int128($0.total) } } }
        document["co2e_location_ug"] = total.map { .string(String($0)) } ?? .null
        if rows.isEmpty, state == .setAside {
            document["co2e_location_ug"] = .null
            document["missing"] = .array(
                ["metered_uj", "co2e_location_ug"].map { .object(["field": .string($0), "reason": "hour_set_aside"]) }
            )
        } else if total == nil {
            document["missing"] = .array([.object(["field": "co2e_location_ug", "reason": "no_intensity"])])
        }
        if !slices.isEmpty {
            document["jobs"] = .array(
                Dictionary(grouping: slices, by: \.slice.spanID).sorted { $0.key < $1.key }.map { spanID, rows in
                    var names: [String: JSONValue] = ["id": .null, "key": .null, "job": .null]
                    switch parts[spanID] {
                    case .job(let id, let key, let name):
                        names = ["id": .string(id), "key": .string(key), "job": name.map { .string($0) } ?? .null]
                    case .host(let name): names["host"] = .string(name)
                    case nil: break
                    }
                    let energy: [String: JSONValue] = [
                        "dynamic_uj": .string(String(rows.reduce(Int128(0)) { $0 + Int128($1.slice.dynamic) })),
                        "idle_uj": .string(String(rows.reduce(Int128(0)) { $0 + Int128($1.slice.idle.reserved) })),
                    ]
                    return .object(names.merging(energy) { $1 })
                }
            )
        }
        return .object(document)
    }

    private func componentJSON(_ row: LedgerRow) -> JSONValue {
        let accounts = row.accounts
        func text(_ value: Int64) -> JSONValue { .string(String(value)) }
        return .object([
            "component": .string(accounts.component.rawValue), "metered_uj": text(accounts.metered),
            "metered_low_uj": text(accounts.meteredLow), "metered_high_uj": text(accounts.meteredHigh),
            "job_dynamic_uj": text(accounts.jobDynamic),
            "system_uj": text(accounts.system), "agent_uj": text(accounts.agent), "idle_uj": text(accounts.idle),
            "unknown_uj": text(accounts.unknown), "idle_reserved_uj": text(accounts.idleMoved.reserved),
            "idle_busy_uj": text(accounts.idleMoved.busy), "idle_equal_uj": text(accounts.idleMoved.equal),
            "unmetered_s": .number(accounts.unmetered.seconds), "unmetered_max_uj": text(accounts.unmeteredMaximum),
            "quality": .string(accounts.quality.rawValue), "flags": .array(accounts.flags.names.map { .string($0) }),
            "pue": .number(row.pue),
            "co2e_location_ug": row.emissions.map { text($0.total) } ?? .null,
        ])
    }
}

extension JSONValue: ExpressibleByStringLiteral {
    init(stringLiteral value: String) { self = .string(value) }
}
