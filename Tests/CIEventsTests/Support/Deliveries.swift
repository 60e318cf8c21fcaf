import CIEvents
import Documents
import Energy
import Testing

/// 2026-09-01, of which all payloads here are.
func at(_ time: String) -> Timestamp { RFC3339.parse("2026-09-01T\(time)Z") ?? Timestamp(microseconds: 0) }

func delivery(_ body: String, _ headers: [String: String] = [:], receivedAt: Timestamp = at("12:00:00")) -> Delivery {
    Delivery(headers: headers, body: Array(body.utf8), receivedAt: receivedAt)
}

/// The only job of a delivery.
func onlyJob(_ reading: EventReading, _ location: SourceLocation = #_sourceLocation) throws -> JobEvent {
    guard case .jobs(let jobs) = reading else {
        Issue.record("expected a job, found \(reading)", sourceLocation: location)
        throw UnreadableDelivery("no job")
    }
    try #require(jobs.count == 1, sourceLocation: location)
    return jobs[0]
}

extension JobEvent {
    func text(_ name: String) -> String? { fields[name]?.string }
}
