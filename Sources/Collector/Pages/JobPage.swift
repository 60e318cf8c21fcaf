import Accounting
import Carbon
import Documents
import Energy
import Hummingbird
import Postgres
import Store

extension PageRoutes {
    func job(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let id = try context.pathPart("id")
        guard SpanKey.isJobID(id) else { throw Problem.notFound("expected a job id of 26 characters, found \(id.prefix(60))") }
        let now = site.now()
        let found: (job: JobRow, footprint: Footprint, aliases: [JobAlias])? = try await site.bounded { connection in
            guard let job = try await JobDirectory.find(jobID: id, for: viewer.visibility(now: now), connection),
                let footprint = try await FootprintReader(connection, now: now, policy: .reserved).footprints(of: [job]).first
            else { return nil }
            return (job, footprint, try await JobAlias.of(jobID: job.jobID, connection))
        }
        guard let found else { throw Problem.notFound("there is no job with the id \(id) that you may see") }
        let page = JobPage(
            figures: JobFigures(found.footprint, found.job, isPublic: viewer.isPublic),
            aliases: viewer.isPublic ? [] : found.aliases,
            isPublic: viewer.isPublic
        )
        return render("job", title: page.figures.name, path: "", viewer: viewer, page.model)
    }
}

/// Everything that is known of a job, for one page.
struct JobPage {
    let figures: JobFigures
    let aliases: [JobAlias]
    let isPublic: Bool

    private struct Row {
        var name: String
        var value: String
        var href: String?
        var note: String?
        var isModelled = false

        var model: [String: Any] {
            var model: [String: Any] = ["name": name, "value": value, "is_modelled": isModelled]
            if let href { model["href"] = href }
            if let note, !note.isEmpty { model["note"] = note }
            return model
        }
    }

    var model: [String: Any] {
        let footprint = figures.footprint
        var model: [String: Any] = figures.row
        model["words"] = [footprint.energy?.quality.rawValue, footprint.fields["outcome"]?.string].compactMap { $0 } + footprint.flags
        model["share"] = footprint.share.map { Readable.number($0.mean) } ?? "unknown"
        model["share_note"] = footprint.share.map { Readable.method($0.method.rawValue) } ?? figures.reason("share")
        model["length"] = figures.length
        if !isPublic { model["explain"] = "/v1/jobs/\(footprint.jobID)/explain" }
        model["finished"] = footprint.finishedAt.map(Readable.time) ?? "now"
        let sections: [(String, [Row])] = [
            ("Where it ran", place), ("Energy", energy), ("CO2e", emissions), ("What was posted", posted), ("Known under", names),
            ("What it was made from", origin), ("What is missing, and why", missing),
        ]
        model["sections"] = sections.filter { !$0.1.isEmpty }.map { ["heading": $0.0, "rows": $0.1.map(\.model)] as [String: Any] }
        return model
    }

    private var place: [Row] {
        let footprint = figures.footprint
        let (text, query, note) = figures.place
        var rows = [Row(name: "host", value: text, href: query.map { "/jobs?\($0)" }, note: note)]
        if !isPublic {
            if let runner = figures.job.runner {
                rows.append(Row(name: "runner", value: runner, href: "/jobs?runner=\(runner.percentEncoded)"))
            }
            if let pool = figures.job.pool { rows.append(Row(name: "pool", value: pool)) }
        }
        for (index, cgroup) in (footprint.workload?.cgroups ?? []).prefix(5).enumerated() {
            rows.append(Row(name: index == 0 ? "cgroup" : "", value: cgroup.path))
        }
        if let mode = footprint.attributionMode { rows.append(Row(name: "found from", value: Readable.reason(mode.rawValue))) }
        if let cpu = footprint.cpuTime { rows.append(Row(name: "CPU time", value: "\(Readable.number(cpu.seconds)) s")) }
        return rows
    }

    private var energy: [Row] {
        let footprint = figures.footprint
        guard let energy = footprint.energy else { return [Row(name: "energy", value: "unknown", note: figures.reason("energy"))] }
        let isModelled = figures.isModelled
        func row(_ name: String, _ microjoules: Int64, note: String? = nil) -> Row {
            Row(name: name, value: Readable.energy(Double(microjoules)), note: note, isModelled: isModelled)
        }
        var rows = [
            row(
                "total",
                energy.total.microjoules,
                note: "\(figures.energyBounds)\(footprint.hasOpenHour ? "; an hour of it is still open" : "")"
            ),
            row("dynamic", energy.dynamic.microjoules), row("idle, reserved", energy.idle.microjoules),
        ]
        for component in Component.allCases {
            if let own = energy.components[component] { rows.append(row(component.rawValue, own.microjoules)) }
        }
        if let estimated = energy.estimated, energy.coverage < 1 {
            rows.append(Row(name: "estimated for gaps", value: Readable.energy(estimated), note: "not in the total"))
        }
        if !footprint.isCoarse { rows.append(Row(name: "µJ", value: String(energy.total.microjoules), isModelled: isModelled)) }
        rows.append(Row(name: "quality", value: energy.quality.rawValue))
        rows.append(Row(name: "metered part of its time", value: "\(Readable.number(energy.coverage * 100)) %"))
        if let pue = footprint.pue { rows.append(Row(name: "PUE", value: Readable.number(pue))) }
        return rows
    }

    private var emissions: [Row] {
        let footprint = figures.footprint
        var rows = [Row(name: "location-based", value: figures.co2e, note: figures.co2eBounds, isModelled: figures.isModelled)]
        if let intensity = footprint.intensity {
            rows.append(Row(name: "grid zone", value: intensity.zone))
            rows.append(
                Row(
                    name: "intensity",
                    value: footprint.hidesIntensity
                        ? "its provider's, not ours to show" : "\(Readable.number(intensity.gramsPerKilowattHour)) g/kWh",
                    note: "\(intensity.kind.rawValue), \(intensity.basis.description), \(intensity.provider) \(intensity.year)"
                )
            )
        }
        func row(_ name: String, _ figure: Footprint.Figure?, unit: String, _ field: String) -> Row {
            guard let figure else { return Row(name: name, value: "unknown", note: reason(field)) }
            let limits = Readable.limits(figure.low, figure.high, unit)
            return Row(name: name, value: "\(Readable.number(figure.best)) \(unit)", note: limits, isModelled: figures.isModelled)
        }
        rows.append(row("market-based", footprint.marketGrams, unit: "g", "co2e.market_g"))
        rows.append(row("making the machine", footprint.embodiedGrams, unit: "g", "co2e.embodied_g"))
        rows.append(row("water", footprint.waterLitres, unit: "l", "water_l"))
        return rows
    }

    private func reason(_ field: String) -> String {
        figures.footprint.allMissing.first { $0.field == field }.map { Readable.reason($0.reason) } ?? ""
    }

    /// People without a token see the names that the API tells them, and no machine.
    private static let publicFields: Set<String> = [
        "service", "activity", "team", "repository", "commit", "ref", "pipeline", "job", "outcome", "release", "source", "units", "unit",
        "attempt", "queued_at",
    ]
    private static let filtered = ["service", "repository", "activity", "team", "runner", "pool", "source"]

    private var posted: [Row] {
        figures.footprint.fields.sorted { $0.key < $1.key }.compactMap { name, value in
            guard !isPublic || Self.publicFields.contains(name), value != .null else { return nil }
            var row = Row(name: name, value: Self.text(value))
            if name == "release" {
                let purl = value.array?.first?.object?["purl"]?.string ?? value.object?["purl"]?.string
                row.href = purl.map { "/jobs?release=\($0.percentEncoded)" }
                if let purl, value.array?.count ?? 1 == 1 { row.value = purl }
            } else if Self.filtered.contains(name), let text = value.string {
                row.href = "/jobs?\(name)=\(text.percentEncoded)"
            } else if name == "repository_url" || name == "url" || name == "html_url", let text = value.string, text.hasPrefix("https://") {
                row.href = text
            }
            return row
        }
    }

    private static func text(_ value: JSONValue) -> String {
        if let text = value.string { return text }
        do {
            return try value.text
        } catch {
            return "a number that JSON cannot hold"
        }
    }

    private var names: [Row] {
        let job = figures.job
        var rows = [Row(name: "id", value: job.jobID)]
        rows.append(Row(name: "key", value: figures.footprint.key))
        if !isPublic {
            rows.append(Row(name: "source", value: job.source, href: "/jobs?source=\(job.source.percentEncoded)"))
            if let rule = job.rule { rows.append(Row(name: "service rule", value: rule)) }
            rows.append(Row(name: "visible to", value: job.isPublic ? "everyone" : "readers"))
            rows.append(Row(name: "first heard of", value: Readable.time(job.receivedAt)))
            for alias in aliases {
                rows.append(Row(name: Readable.reason(alias.cause), value: alias.key, note: "the same work; counted here only"))
            }
        }
        return rows
    }

    private var origin: [Row] {
        let footprint = figures.footprint
        guard footprint.energy != nil else { return [] }
        let reason = footprint.allMissing.first { $0.field == "statement" }.map { Readable.reason($0.reason) }
        return [
            Row(
                name: "statement",
                value: footprint.statement?.digest ?? "none",
                note: reason ?? "the same inputs give the same digits, and this digest"
            ),
            Row(name: "policy", value: footprint.policy.rawValue),
        ]
    }

    private var missing: [Row] {
        var seen: Set<String> = []
        return figures.footprint.missing.filter { seen.insert($0.field).inserted }.sorted { $0.field < $1.field }
            .map { Row(name: $0.field, value: Readable.reason($0.reason)) }
    }
}

/// Another name of a job: a hook's record of it, or an attempt that took it over.
struct JobAlias: Sendable {
    let key: String
    let cause: String

    static func of(jobID: String, _ connection: PostgresConnection) async throws -> [JobAlias] {
        try await JobDirectory.aliases(of: jobID, connection).map { JobAlias(key: SpanKey($0).text, cause: $0.aliasCause?.rawValue ?? "") }
    }
}
