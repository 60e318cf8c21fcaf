import Accounting
import Carbon
import Documents
import Energy

/// `jobs.csv`: the header is a contract, the published file has the same.
enum JobsCSV {
    static let columns = [
        "job_id", "key", "state", "source", "service", "activity", "repository", "commit", "pipeline", "job", "attempt", "release_purl",
        "relation", "host", "pool", "queued_at", "started_at", "finished_at", "time_resolution_ms", "outcome", "energy_kwh",
        "energy_low_kwh",
        "energy_high_kwh", "energy_uj", "energy_dynamic_kwh", "energy_idle_kwh", "cpu_kwh", "dram_kwh", "gpu_kwh", "rest_kwh", "quality",
        "coverage", "share_method", "share", "policy", "pue", "co2e_location_g", "co2e_location_low_g", "co2e_location_high_g",
        "co2e_market_g", "embodied_g", "embodied_low_g", "embodied_high_g", "zone", "intensity_g_per_kwh", "intensity_kind",
        "intensity_basis", "intensity_provider", "units", "unit", "missing_reason", "statement", "flags",
        "water_l",
    ]

    static var header: String { columns.joined(separator: ",") + "\r\n" }

    /// One record, RFC 4180.
    ///
    /// - Parameter isPublic: for people without a token, as `Footprint.publicView`.
    static func record(_ footprint: Footprint, isPublic: Bool = false) -> String {
        let values = values(of: isPublic ? footprint.publicView : footprint)
        return columns.map { quoted(values[$0] ?? "") }.joined(separator: ",") + "\r\n"
    }

    private static func values(of f: Footprint) -> [String: String] {
        var v: [String: String] = [
            "job_id": f.jobID, "key": f.key, "state": f.state.rawValue, "source": f.source, "attempt": String(f.attempt),
            "host": f.hostName ?? "", "started_at": f.startedAt.map(RFC3339.format) ?? "",
            "finished_at": f.finishedAt.map(RFC3339.format) ?? "",
            "policy": f.policy.rawValue, "pue": f.pue.map(Digits.plain) ?? "",
        ]
        for name in ["service", "activity", "repository", "commit", "pipeline", "job", "pool", "queued_at", "outcome", "unit"] {
            v[name] = f.fields[name]?.string ?? ""
        }
        let release = f.fields["release"]?.array?.first?.object ?? f.fields["release"]?.object
        v["release_purl"] = release?["purl"]?.string ?? ""
        v["relation"] = release?["relation"]?.string ?? ""
        v["time_resolution_ms"] = f.fields["time_resolution_ms"]?.wholeNumber.map(String.init) ?? ""
        v["units"] = f.fields["units"]?.double.map(Digits.plain) ?? ""
        if let energy = f.energy {
            let (low, high) = energy.interval
            func kwh(_ microjoules: Double) -> String {
                Digits.plain(f.shown(microjoules / 3.6e12, low: low / 3.6e12, high: high / 3.6e12))
            }
            v["energy_kwh"] = kwh(Double(energy.total.microjoules))
            v["energy_low_kwh"] = kwh(low)
            v["energy_high_kwh"] = kwh(high)
            if !f.isCoarse { v["energy_uj"] = String(energy.total.microjoules) }
            v["energy_dynamic_kwh"] = kwh(Double(energy.dynamic.microjoules))
            v["energy_idle_kwh"] = kwh(Double(energy.idle.microjoules))
            for (component, amount) in energy.components { v["\(component.rawValue)_kwh"] = kwh(Double(amount.microjoules)) }
            v["quality"] = energy.quality.rawValue
            v["coverage"] = Digits.plain(f.shown(energy.coverage, low: 0, high: 1e-3))
        }
        if let share = f.share {
            v["share_method"] = share.method.rawValue
            v["share"] = Digits.plain(f.shown(share.mean, low: 0, high: 1e-4))
        }
        if let grams = f.locationGrams {
            for (name, value) in [("", grams.best), ("_low", grams.low), ("_high", grams.high)] {
                v["co2e_location\(name)_g"] = Digits.plain(f.shown(value, low: grams.low, high: grams.high))
            }
        }
        func shown(_ value: Double, _ figure: Footprint.Figure) -> String {
            Digits.plain(f.shown(value, low: figure.low, high: figure.high))
        }
        if let market = f.marketGrams { v["co2e_market_g"] = shown(market.best, market) }
        if let embodied = f.embodiedGrams {
            for (name, value) in [("", embodied.best), ("_low", embodied.low), ("_high", embodied.high)] {
                v["embodied\(name)_g"] = shown(value, embodied)
            }
        }
        if let water = f.waterLitres { v["water_l"] = shown(water.best, water) }
        if let intensity = f.intensity {
            v["zone"] = intensity.zone
            v["intensity_g_per_kwh"] = f.hidesIntensity ? "" : Digits.plain(intensity.gramsPerKilowattHour)
            v["intensity_kind"] = intensity.kind.rawValue
            v["intensity_basis"] = intensity.basis.description
            v["intensity_provider"] = intensity.provider
        }
        v["flags"] = f.flags.joined(separator: " ")
        v["statement"] = f.statement?.digest ?? ""
        v["missing_reason"] = f.missing.first { $0.field == "energy" || $0.field == "co2e.location_g" }?.reason ?? ""
        return v
    }

    private static func quoted(_ field: String) -> String {
        // By code point: with a combining mark after it a comma or a quote is another Character, and is special all the same.
        let special: Set<Unicode.Scalar> = [",", "\"", "\r", "\n"]
        guard field.unicodeScalars.contains(where: { special.contains($0) }) else { return field }
        var quoted = "\""
        for scalar in field.unicodeScalars {
            if scalar == "\"" { quoted.unicodeScalars.append(scalar) }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted + "\""
    }
}
