import Accounting
import Documents
import Postgres
import Store

/// Whose part of a host's hour it is.
enum HourPart: Sendable {
    case job(id: String, key: String, name: String?)
    /// A host that runs on it.
    case host(String)

    /// All of some hours of a host, by the id of their slices.
    static func all(of hours: [HostHourAnswer], hostID: Int32, _ connection: PostgresConnection) async throws -> [Int64: HourPart] {
        let spanIDs = Set(hours.flatMap { $0.slices.map(\.slice.spanID) }).sorted()
        let spans = try await SpanTable.find(hostID: hostID, spanIDs: spanIDs.filter { $0 > 0 }, connection)
        let jobs = try await JobDirectory.find(jobIDs: spans.map(\.jobID), connection)
        var parts: [Int64: HourPart] = [:]
        for span in spans {
            guard let job = jobs[span.jobID] else { continue }
            let name = try JSONValue(parsing: Array(job.documentJSON.utf8)).object?["job"]?.string
            parts[span.spanID] = .job(id: span.jobID, key: SpanKey(job).text, name: name)
        }
        for spanID in spanIDs where spanID < 0 {
            guard let guest = try await HostTable.find(id: Int32(truncatingIfNeeded: -spanID), connection) else { continue }
            parts[spanID] = .host(guest.name)
        }
        return parts
    }
}
