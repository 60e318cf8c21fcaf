import Carbon
import Energy
import Tracker

/// A span that a collector took.
struct PostedSpan {
    var jobID: String
    var state: String?
    /// Its final footprint, where it came in time.
    var settled: JobFootprint?
}

/// What `wattle run` says at the end.
struct RunSummary {
    var command: [String]
    var spanID: String
    var report: RunReport
    var posted: PostedSpan?
    var hasCollector: Bool

    private var duration: Microseconds { report.finishedAt - report.start.startedAt }

    /// A few lines for people.
    var table: String {
        var rows: [(String, String)] = []
        if let settled = posted?.settled, let energy = settled.energy, let best = energy.bestKilowattHours {
            let figure = BoundedFigure.energy(
                bestKilowattHours: best,
                low: energy.lowKilowattHours ?? best,
                high: energy.highKilowattHours ?? best
            )
            rows.append(("energy", figure.text))
            if let grams = settled.emissions?.location, let best = grams.best {
                rows.append(("CO2e", BoundedFigure.emissions(bestGrams: best, low: grams.low ?? best, high: grams.high ?? best).text))
            }
        } else if let footprint = report.footprint {
            rows.append(("energy", energyText(footprint)))
            rows.append(("CO2e", emissionsText(footprint)))
        } else {
            rows.append(("energy", "not known: \(report.footprintFailure ?? "no reason given")"))
        }
        rows.append(("CPU time", cpuText))
        rows.append(("source", sourceText))
        if let posted {
            rows.append(("job", posted.settled == nil ? "\(posted.jobID)  (see `wattle report job \(posted.jobID)`)" : posted.jobID))
        }
        var text = "wattle: \(command.first ?? ""): \(report.exit.text) after \(duration.text)\n"
        for (name, value) in rows { text += "  " + name + String(repeating: " ", count: max(2, 10 - name.count)) + value + "\n" }
        return text
    }

    private func energyText(_ footprint: Footprint) -> String {
        let figure = BoundedFigure.energy(footprint.energy)
        let dynamic = figure.part(Double(footprint.dynamic.microjoules))
        let idle = figure.part(Double(footprint.idle.microjoules))
        return "\(figure.text)  (dynamic \(dynamic), idle \(idle))"
    }

    private func emissionsText(_ footprint: Footprint) -> String {
        guard let emissions = footprint.emissions else { return "not known: no grid zone (--zone FR or WATTLE_ZONE)" }
        let figure = BoundedFigure.emissions(
            bestGrams: Double(emissions.bestMicrograms) / 1e6,
            low: Double(emissions.lowMicrograms) / 1e6,
            high: Double(emissions.highMicrograms) / 1e6
        )
        let intensity = emissions.intensity
        let grid = "\(intensity.zone) \(DecimalText.significant(intensity.gramsPerKilowattHour, 3)) g/kWh"
        return figure.text + "  (\(grid), \(intensity.kind.rawValue) \(intensity.year), \(intensity.provider), without PUE)"
    }

    private var cpuText: String {
        let counted = report.countedByCgroup ? "" : "; processes that nobody waited for are not counted"
        guard let footprint = report.footprint else { return report.cpuTime.text + counted }
        return "\(report.cpuTime.text), \(DecimalText.significant(footprint.meanShare * 100, 2)) % of the machine\(counted)"
    }

    private var sourceText: String {
        if let settled = posted?.settled {
            return "the collector: \(settled.energy?.quality ?? "unknown"), share \(settled.share?.method ?? "unknown"), \(settled.state)"
        }
        var text = report.footprint?.source ?? "no meter"
        if !report.start.agentAnswered { text += ", no agent" }
        if !hasCollector { text += ", no collector configured" }
        return text
    }

    /// The same for programs: one object on one line.
    var json: String { JSONText.text(RunSummaryJSON(self)) + "\n" }
}
