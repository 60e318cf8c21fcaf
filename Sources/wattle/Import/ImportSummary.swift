import CIEvents
import CIHistory
import Documents
import Glibc

/// What an import did.
struct ImportSummary: Sendable {
    var jobsRead = 0
    /// Skipped, cancelled while they waited, or still waiting: nothing ran.
    var withoutRunner = 0
    var posted = 0
    /// Of those posted: on no host that the collector knows yet.
    var withoutHost = 0
    var repositories = 0
    /// How many were refused, by reason.
    var refusals: [String: Int] = [:]
    var omissions: [HistoryOmission] = []

    var refused: Int { refusals.values.reduce(0, +) }

    mutating func note(_ page: HistoryPage) {
        jobsRead += page.events.count
        withoutRunner += page.events.count { $0.fields["started_at"] == nil }
        repositories += page.repositories.count
        omissions += page.omissions
    }

    private var skipped: [HistoryOmission] { omissions.filter { $0.extent == .repository } }

    func table(isDryRun: Bool) -> String {
        var rows = [
            ["repositories", "\(repositories)"], ["repositories left out", "\(skipped.count)"], ["jobs read", "\(jobsRead)"],
            ["without a runner", "\(withoutRunner)"],
        ]
        if isDryRun {
            rows.append(["would be posted", "\(jobsRead - withoutRunner)"])
        } else {
            rows += [["posted", "\(posted)"], ["posted, host not known yet", "\(withoutHost)"], ["refused", "\(refused)"]]
        }
        var text = TextTable(columns: [.left("import"), .right("count")], rows: rows).text
        for (reason, count) in refusals.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }).prefix(10) {
            text += "refused \(count): \(reason)\n"
        }
        for omission in omissions.prefix(20) { text += "left out: \(omission.description)\n" }
        if omissions.count > 20 { text += "left out: \(omissions.count - 20) more\n" }
        return text
    }

    var json: JSONValue {
        .object([
            "repositories": .integer(Int64(repositories)), "jobs_read": .integer(Int64(jobsRead)),
            "without_runner": .integer(Int64(withoutRunner)), "posted": .integer(Int64(posted)),
            "without_host": .integer(Int64(withoutHost)), "refused": .integer(Int64(refused)),
            "refusals": .object(refusals.mapValues { .integer(Int64($0)) }),
            "omissions": .array(
                omissions.map { .object(["repository": .string($0.repository), "reason": .string($0.reason)]) }
            ),
        ])
    }
}

/// One line on a terminal, written over and over.
final class ImportProgress {
    private let isShown = StandardError.isTerminal
    private var hasLine = false

    func show(_ summary: ImportSummary, _ position: String) {
        guard isShown else { return }
        StandardError.write("\r\u{1B}[K\(summary.jobsRead) jobs read, \(summary.posted) posted: \(position.prefix(60))")
        hasLine = true
    }

    /// Leaves the line, so that others can follow.
    func end() {
        if hasLine { StandardError.write("\n") }
        hasLine = false
    }

    /// `14 min 20 s`
    static func length(_ seconds: Int) -> String {
        if seconds < 120 { return "\(seconds) s" }
        return seconds % 60 == 0 ? "\(seconds / 60) min" : "\(seconds / 60) min \(seconds % 60) s"
    }
}
