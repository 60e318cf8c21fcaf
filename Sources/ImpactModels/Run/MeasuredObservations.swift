public import Documents
import Energy

/// What a collector answered, as observations.
///
/// A span has `job`, `host`, `service`, `repository`, `release` and `commit` where it has them, `energy` in kWh of the machines (with
/// `energy/low` and `energy/high`, 95 %), `pue`, `grid/carbon-intensity` in g/kWh, and `carbon-operational` (PUE is in it) and
/// `carbon-embodied` in g. An hour of a host has `energy` and its accounts, `jobs/energy`, `system/energy`, `agent/energy`, `idle/energy` and
/// `unknown/energy`, which sum to it, and `carbon-operational`. What the collector does not know is null.
public struct MeasuredObservations: Sendable, Hashable {
    public var observations: [ModelMap]
    public var notes: [String]

    public init(observations: [ModelMap] = [], notes: [String] = []) {
        self.observations = observations
        self.notes = notes
    }

    /// From the pages of `GET /v1/jobs`, whose newest comes first: in the order of time here.
    public init(jobs pages: [JSONValue]) {
        var unfinished = 0
        var unsettled = 0
        var found: [(start: Timestamp, id: String, map: ModelMap)] = []
        for job in pages.flatMap({ $0.object?["jobs"]?.array ?? [] }) {
            guard let fields = job.object, let startText = fields["started_at"]?.string, let start = RFC3339.parse(startText),
                let end = fields["finished_at"]?.string.flatMap(RFC3339.parse), end >= start
            else {
                unfinished += 1
                continue
            }
            if !["final", "closed"].contains(fields["state"]?.string ?? "") { unsettled += 1 }
            var map = ModelMap([("timestamp", .text(RFC3339.format(start))), ("duration", .number((end - start).seconds))])
            map["job"] = .text(fields["key"]?.string ?? fields["id"]?.string ?? "")
            for key in ["host", "host_class", "service", "repository", "release", "commit", "outcome"] {
                if let text = fields[key]?.string { map[key.replacing("_", with: "-")] = .text(text) }
            }
            func number(_ path: [String]) -> ModelValue {
                let value = path.reduce(JSONValue?.some(job)) { $0?.object?[$1] }
                return value?.double.map { .number($0) } ?? .null
            }
            map["energy"] = number(["energy", "best_kwh"])
            map["energy/low"] = number(["energy", "low_kwh"])
            map["energy/high"] = number(["energy", "high_kwh"])
            map["pue"] = number(["pue"])
            map["grid/carbon-intensity"] = number(["intensity", "g_per_kwh"])
            map["carbon-operational"] = number(["co2e", "location_g", "best"])
            map["carbon-embodied"] = number(["co2e", "embodied_g", "best"])
            found.append((start, fields["id"]?.string ?? "", map))
        }
        observations = found.sorted { ($0.start, $0.id) < ($1.start, $1.id) }.map(\.map)
        notes = []
        if unfinished > 0 { notes.append("\(unfinished) spans that have not finished are left out") }
        if unsettled > 0 { notes.append("\(unsettled) spans are not settled: their figures may change") }
    }

    /// From the pages of `GET /v1/hosts/{name}/hours`.
    public init(hours pages: [JSONValue], host: String) {
        var open = 0
        observations = []
        for value in pages.flatMap({ $0.object?["hours"]?.array ?? [] }) {
            guard let fields = value.object, let start = fields["hour"]?.string.flatMap(RFC3339.parse) else { continue }
            if fields["state"]?.string != "settled" { open += 1 }
            // Amounts are whole µJ and µg, written as texts.
            func amount(_ key: String, per unit: Double) -> ModelValue {
                fields[key]?.wholeNumber.map { .number(Double($0) / unit) } ?? .null
            }
            observations.append(
                ModelMap([
                    ("timestamp", .text(RFC3339.format(start))), ("duration", .integer(3_600)), ("host", .text(host)),
                    ("energy", amount("metered_uj", per: 3.6e12)), ("jobs/energy", amount("job_dynamic_uj", per: 3.6e12)),
                    ("system/energy", amount("system_uj", per: 3.6e12)), ("agent/energy", amount("agent_uj", per: 3.6e12)),
                    ("idle/energy", amount("idle_uj", per: 3.6e12)), ("unknown/energy", amount("unknown_uj", per: 3.6e12)),
                    ("carbon-operational", amount("co2e_location_ug", per: 1e6)),
                ])
            )
        }
        notes = open > 0 ? ["\(open) hours of \(host) are not settled: their figures may change"] : []
    }
}
