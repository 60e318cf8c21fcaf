import CIEvents
import CIHistory
import Documents
import Energy
import Glibc
import Tracker

/// Walks a history and posts its jobs; the place is kept only once all before it is acknowledged.
struct HistoryImport {
    let system: String
    let history: any JobHistory
    /// Nil: nothing is posted.
    let collector: CollectorClient?
    let file: ImportStateFile?
    private(set) var summary = ImportSummary()

    static let batchLength = 500
    private static let attempts = 6

    init(system: String, history: any JobHistory, collector: CollectorClient?, file: ImportStateFile?) {
        self.system = system
        self.history = history
        self.collector = collector
        self.file = file
    }

    mutating func walk() async throws {
        var place = HistoryPlace()
        if let file, let kept = try await OwnThread.run({ Result { try file.read() } }).get() {
            place = kept
            StandardError.write("wattle: going on from \(file.path)\n")
        }
        let progress = ImportProgress()
        defer { progress.end() }
        var batch: [JSONValue] = []
        while true {
            let page = try await history.next(after: place)
            summary.note(page)
            batch += page.events.compactMap { ImportedSpan.document($0) }
            place = page.place
            if batch.count >= Self.batchLength || page.isLast || page.waitSeconds != nil {
                try await post(batch)
                batch = []
            }
            if page.isLast { break }
            if batch.isEmpty { try await keep(place) }
            progress.show(summary, page.position)
            if let seconds = page.waitSeconds {
                progress.end()
                let until = RFC3339.format(
                    Timestamp(microseconds: (Timestamp.systemNow().microseconds / 1_000_000 + Int64(seconds)) * 1_000_000)
                )
                StandardError.write(
                    "wattle: \(system) wants no more questions for \(ImportProgress.length(seconds)): waiting until \(until)\n"
                )
                try await Task.sleep(for: .seconds(seconds))
            }
        }
        if let file { await OwnThread.run { file.remove() } }
    }

    private func keep(_ place: HistoryPlace) async throws {
        guard let file else { return }
        try await OwnThread.run { Result { try file.write(place) } }.get()
    }

    private mutating func post(_ batch: [JSONValue]) async throws {
        guard let collector, !batch.isEmpty else { return }
        var body: [UInt8] = []
        for span in batch { body += Array(try span.text.utf8) + [UInt8(ascii: "\n")] }
        var pause = Duration.seconds(1)
        for attempt in 1...Self.attempts {
            do throws(CollectorError) {
                let answer = try await collector.postSpans(body, isNDJSON: true, timeout: .seconds(60))
                try take(answer, of: batch.count)
                return
            } catch {
                let mayPass = [nil, 429, 500, 502, 503, 504].contains(error.status)
                guard mayPass, attempt < Self.attempts else { throw Failure.failed(error.description) }
            }
            try await Task.sleep(for: pause)
            pause *= 2
        }
    }

    /// A result for each line.
    private mutating func take(_ answer: [UInt8], of count: Int) throws(CollectorError) {
        for line in answer.split(separator: UInt8(ascii: "\n")) {
            let result: JSONValue
            do { result = try JSONValue(parsing: Array(line)) } catch { continue }
            if result.object?["id"]?.string != nil {
                summary.posted += 1
                if result.object?["state"]?.string == "unattributed" { summary.withoutHost += 1 }
            } else {
                let detail = result.object?["detail"]?.string ?? result.object?["title"]?.string ?? "no reason given"
                summary.refusals[detail, default: 0] += 1
            }
        }
    }
}

/// A job as it is posted.
enum ImportedSpan {
    /// Nil for one that never started: it is no span.
    static func document(_ event: JobEvent) -> JSONValue? {
        guard event.fields["started_at"] != nil else { return nil }
        var fields = event.fields
        fields["id"] = .string(event.id)
        fields["instance"] = .string(event.instance)
        fields["attempt"] = .integer(Int64(event.attempt))
        // Ranks what it says above events and below the machine's own hooks.
        fields["source"] = .string("reconciliation")
        if event.revision != 0 { fields["revision"] = .integer(event.revision) }
        if !event.flags.isEmpty { fields["flags"] = .array(event.flags.sorted().map { .string($0) }) }
        return .object(fields)
    }
}
