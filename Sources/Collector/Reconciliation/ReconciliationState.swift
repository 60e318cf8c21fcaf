import CIHistory
import Documents
import Energy

/// Where the reconciliation of a source stands: kept with the source in the same transaction as the jobs before it.
struct ReconciliationState: Sendable, Equatable {
    var subject: String
    /// What is reconciled when it is done.
    var beganAt: Timestamp
    /// Since when jobs are asked for.
    var since: Timestamp
    /// The runs of open jobs, before everything else; nil once they are done.
    var openRuns: [RunReference]?
    var place = HistoryPlace()
    /// How often in a row it stopped at this place.
    var failures = 0
    /// What was left out so far, the first few.
    var omissions: [String] = []
    /// The system wants no question before.
    var notBefore: Timestamp?

    static let longestOmissions = 5

    init(subject: String, beganAt: Timestamp, since: Timestamp, openRuns: [RunReference]) {
        self.subject = subject
        self.beganAt = beganAt
        self.since = since
        self.openRuns = openRuns.isEmpty ? nil : openRuns
    }

    /// Nil for none, or one that cannot be gone on with.
    init?(_ json: JSONValue) {
        guard let fields = json.object, let subject = fields["subject"]?.string,
            let beganAt = fields["began_at"]?.string.flatMap(RFC3339.parse), let since = fields["since"]?.string.flatMap(RFC3339.parse)
        else { return nil }
        self.subject = subject
        self.beganAt = beganAt
        self.since = since
        openRuns = fields["open_runs"]?.array?.compactMap { run in
            guard let repository = run.object?["repository"]?.string, let id = run.object?["run_id"]?.string else { return nil }
            return RunReference(repository: repository, runID: id)
        }
        place = HistoryPlace((fields["place"]?.object ?? [:]).compactMapValues(\.string))
        failures = Int(fields["failures"]?.integer ?? 0)
        omissions = fields["omissions"]?.array?.compactMap(\.string) ?? []
        notBefore = fields["not_before"]?.string.flatMap(RFC3339.parse)
    }

    var json: JSONValue {
        var fields: [String: JSONValue] = [
            "subject": .string(subject), "began_at": .string(RFC3339.format(beganAt)), "since": .string(RFC3339.format(since)),
            "place": .object(place.fields.mapValues { .string($0) }),
        ]
        if let openRuns {
            fields["open_runs"] = .array(
                openRuns.map { .object(["repository": .string($0.repository), "run_id": .string($0.runID)]) }
            )
        }
        if failures > 0 { fields["failures"] = .integer(Int64(failures)) }
        if !omissions.isEmpty { fields["omissions"] = .array(omissions.map { .string($0) }) }
        if let notBefore { fields["not_before"] = .string(RFC3339.format(notBefore)) }
        return .object(fields)
    }

    mutating func note(_ omission: HistoryOmission) {
        if omissions.count < Self.longestOmissions { omissions.append(omission.description) }
    }
}
