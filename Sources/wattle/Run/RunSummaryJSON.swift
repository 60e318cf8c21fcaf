import Carbon
import Energy
import Tracker

/// `wattle run --format json`: shaped like a collector's footprint where it says the same.
struct RunSummaryJSON: Encodable {
    struct EnergyFigures: Encodable {
        var best_kwh: Double
        var low_kwh: Double
        var high_kwh: Double
        /// µJ as decimal strings, as everywhere in JSON.
        var uj: String
        var dynamic_uj: String
        var idle_uj: String
        var host_uj: String
        var quality: String
        var flags: [String]
    }
    struct Grams: Encodable {
        var best: Double
        var low: Double
        var high: Double
    }
    struct Emissions: Encodable {
        var location_g: Grams
    }
    struct GridIntensity: Encodable {
        var zone: String
        var g_per_kwh: Double
        var kind: String
        var basis: String
        var provider: String
        var year: Int
    }
    struct Share: Encodable {
        var method: String
        var mean: Double
    }
    struct Missing: Encodable {
        var field: String
        var reason: String
    }
    struct Collected: Encodable {
        var id: String
        var state: String?
        var energy: [String: Double]?
    }

    var command: [String]
    var span: String
    var host: String
    var workload: String?
    var exit_code: Int32
    var started_at: String
    var finished_at: String
    var duration_us: Int64
    var cpu_time_us: Int64
    var counted_by: String
    /// cgroup, governor_cpu_time, governor_energy, monitor_only or modelled; absent where there is no energy.
    var attribution_mode: String?
    var memory_max_bytes: String?
    var energy: EnergyFigures?
    var co2e: Emissions?
    var intensity: GridIntensity?
    var share: Share?
    var source: String?
    var agent: Bool
    var missing: [Missing]
    var warnings: [String]
    var job: Collected?

    init(_ summary: RunSummary) {
        let report = summary.report
        command = summary.command
        span = summary.spanID
        host = report.start.host
        workload = report.start.workload
        exit_code = report.exit.shellCode
        started_at = report.start.startedAt.rfc3339
        finished_at = report.finishedAt.rfc3339
        duration_us = (report.finishedAt - report.start.startedAt).count
        cpu_time_us = report.cpuTime.count
        counted_by = report.countedByCgroup ? "cgroup" : "rusage"
        attribution_mode = report.attributionMode?.rawValue
        memory_max_bytes = report.memoryPeakBytes.map(String.init)
        agent = report.start.agentAnswered
        warnings = report.warnings
        missing = []
        if let footprint = report.footprint {
            energy = EnergyFigures(
                best_kwh: footprint.energy.best.kilowattHours,
                low_kwh: footprint.energy.low.kilowattHours,
                high_kwh: footprint.energy.high.kilowattHours,
                uj: String(footprint.energy.best.microjoules),
                dynamic_uj: String(footprint.dynamic.microjoules),
                idle_uj: String(footprint.idle.microjoules),
                host_uj: String(footprint.host.microjoules),
                quality: footprint.quality.rawValue,
                flags: footprint.flags
            )
            share = Share(method: "measured", mean: footprint.meanShare)
            source = footprint.source
            if let emissions = footprint.emissions {
                co2e = Emissions(
                    location_g: Grams(
                        best: Double(emissions.bestMicrograms) / 1e6,
                        low: Double(emissions.lowMicrograms) / 1e6,
                        high: Double(emissions.highMicrograms) / 1e6
                    )
                )
                intensity = GridIntensity(
                    zone: emissions.intensity.zone,
                    g_per_kwh: emissions.intensity.gramsPerKilowattHour,
                    kind: emissions.intensity.kind.rawValue,
                    basis: emissions.intensity.basis.description,
                    provider: emissions.intensity.provider,
                    year: emissions.intensity.year
                )
            } else {
                missing.append(Missing(field: "co2e", reason: "no_grid_zone"))
            }
        } else {
            missing.append(Missing(field: "energy", reason: report.footprintFailure ?? "no_meter"))
            missing.append(Missing(field: "co2e", reason: "no_energy"))
        }
        if report.memoryPeakBytes == nil { missing.append(Missing(field: "memory_max_bytes", reason: "no_memory_controller")) }
        job = summary.posted.map { posted in
            let figures = posted.settled?.energy
            var energy: [String: Double]?
            if let best = figures?.bestKilowattHours {
                energy = ["best_kwh": best, "low_kwh": figures?.lowKilowattHours ?? best, "high_kwh": figures?.highKilowattHours ?? best]
            }
            return Collected(id: posted.jobID, state: posted.settled?.state ?? posted.state, energy: energy)
        }
    }
}
