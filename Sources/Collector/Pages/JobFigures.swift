import Accounting
import Documents
import Energy
import Store

/// A job as a row of a table, and as the head of its page.
struct JobFigures {
    let footprint: Footprint
    let job: JobRow

    /// - Parameter isPublic: for people without a token: coarse, no machine.
    init(_ footprint: Footprint, _ job: JobRow, isPublic: Bool) {
        self.footprint = isPublic ? footprint.publicView : footprint
        self.job = job
        self.isPublic = isPublic
    }

    private let isPublic: Bool

    var name: String {
        if let name = footprint.fields["job"]?.string, !name.isEmpty { return name }
        return job.id.isEmpty ? footprint.jobID : job.id
    }

    /// Whether its figures are a model's.
    var isModelled: Bool {
        footprint.energy.map { $0.quality == .modelled } ?? false || footprint.hostClass != nil && footprint.energy != nil
    }

    var belongs: String {
        let parts = [job.service, job.activity, job.team].compactMap { $0 }
        let named = parts + [job.repository].compactMap { $0 }
        return named.isEmpty ? "from \(job.source)" : named.joined(separator: " · ")
    }

    func reason(_ field: String) -> String { footprint.missing.first { $0.field == field }.map { Readable.reason($0.reason) } ?? "" }

    var energy: String { footprint.energy.map { Readable.energy(Double($0.total.microjoules)) } ?? "unknown" }
    var energyBounds: String {
        footprint.energy.map { Readable.limits($0.bounds.low / 3.6e9, $0.bounds.high / 3.6e9, "Wh") } ?? reason("energy")
    }
    var co2e: String { footprint.locationGrams.map { "\(Readable.number($0.best)) g" } ?? "unknown" }
    var co2eBounds: String { footprint.locationGrams.map { Readable.limits($0.low, $0.high, "g") } ?? reason("co2e.location_g") }
    var length: String {
        guard let start = footprint.startedAt else { return "" }
        return footprint.finishedAt.map { Readable.seconds($0 - start) } ?? "running"
    }

    /// Where it ran, a query that lists what ran there, and a word on how that is known.
    var place: (text: String, query: String?, note: String) {
        if isPublic, footprint.hidesMachine, footprint.hostClass != nil { return ("a cloud", nil, "a machine that nobody can meter") }
        if let hostClass = footprint.hostClass {
            return (hostClass, "host_class=\(hostClass.percentEncoded)", "a machine that nobody can meter")
        }
        if isPublic { return (job.hostID == nil ? "no host" : "a metered host", nil, "") }
        if job.hostID != nil, let host = footprint.hostName {
            return (host, "host=\(host.percentEncoded)", job.hostBy.map(Readable.means) ?? "")
        }
        let said = footprint.hostName ?? job.runner
        return ("no host", "state=hostless", said.map { "nobody is named \($0)" } ?? "none is named")
    }

    var row: [String: Any] {
        let place = place
        var row: [String: Any] = [
            "id": footprint.jobID, "name": name, "belongs": belongs, "place": place.text, "place_note": place.note,
            "started": footprint.startedAt.map(Readable.time) ?? "", "energy": energy, "energy_bounds": energyBounds, "co2e": co2e,
            "co2e_bounds": co2eBounds, "state": footprint.state.rawValue, "is_modelled": isModelled,
            "share": footprint.share.map { "share: \(Readable.method($0.method.rawValue))" } ?? "",
        ]
        row["length"] = [length, footprint.fields["outcome"]?.string ?? ""].filter { !$0.isEmpty }.joined(separator: ", ")
        if let query = place.query { row["place_query"] = query }
        if let quality = footprint.energy?.quality.rawValue { row["quality"] = quality }
        return row
    }
}
