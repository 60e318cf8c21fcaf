import Documents
import Energy

/// Where a walk through GitHub stands, and what is to be asked next. Pure.
struct GitHubWalk: Codable, Sendable, Equatable {
    /// When runs were made, in s since 1970; both ends belong to it.
    struct Window: Codable, Sendable, Equatable {
        var from: Int64
        var to: Int64
    }

    struct Question: Sendable {
        enum Kind: Sendable {
            case repositories
            case repository(String)
            case runs(Window)
            case jobs(run: Int64)
        }

        var kind: Kind
        var path: String
    }

    /// In s since 1970; fixed at the walk's beginning, so that windows lie in the past.
    var since: Int64
    var madeSince: Int64
    var until: Int64
    var repositories = RepositoryWalk()
    /// How many of the repositories given by name are begun.
    var listed = 0
    var repository: RepositoryWalk.Repository?
    /// Still to be walked, the next one last.
    var windows: [Window] = []
    /// Of the next window; nil: how many there are is not known.
    var runsPage: Int?
    /// Whose jobs are to be asked for, the next one first.
    var runs: [Int64] = []
    var jobsPage = 1
    /// How many times in a row the system asked to wait.
    var refusals = 0

    init(_ range: HistoryRange, now: Timestamp) {
        since = range.since.microseconds / 1_000_000
        madeSince = (range.since - range.lookBack).microseconds / 1_000_000
        until = now.microseconds / 1_000_000
    }

    var position: String {
        guard let repository else { return "the list of repositories" }
        guard let window = windows.last else { return repository.name }
        return "\(repository.name), runs of \(Self.time(window.from).prefix(10))"
    }

    // MARK: Questions

    /// Nil at the walk's end.
    mutating func question(_ scope: HistoryRange.Scope) -> Question? {
        while true {
            if let repository {
                let base = "/repos/\(URLPart.path(repository.name))/actions/runs"
                if let run = runs.first {
                    let page = jobsPage == 1 ? "" : "&page=\(jobsPage)"
                    return Question(
                        kind: .jobs(run: run),
                        path: "\(base)/\(run)/jobs?filter=all&per_page=\(GitHubHistory.pageLength)\(page)"
                    )
                }
                if let window = windows.last {
                    let created = "\(Self.time(window.from))..\(Self.time(window.to))".percentEncoded
                    let page = runsPage.map { $0 == 1 ? "" : "&page=\($0)" } ?? ""
                    return Question(kind: .runs(window), path: "\(base)?created=\(created)&per_page=\(GitHubHistory.pageLength)\(page)")
                }
                self.repository = nil
            }
            switch scope {
            case .owner(let owner):
                if let next = repositories.take() {
                    begin(next, scope)
                    continue
                }
                guard !repositories.isDone else { return nil }
                let kind = repositories.isUser ? "users" : "orgs"
                return Question(
                    kind: .repositories,
                    path: "/\(kind)/\(owner.percentEncoded)/repos?per_page=\(GitHubHistory.pageLength)&page=\(repositories.page)"
                )
            case .repositories(let names):
                guard listed < names.count else { return nil }
                return Question(kind: .repository(names[listed]), path: "/repos/\(URLPart.path(names[listed]))")
            case .runs(let references):
                let names = Self.names(of: references)
                guard listed < names.count else { return nil }
                return Question(kind: .repository(names[listed]), path: "/repos/\(URLPart.path(names[listed]))")
            }
        }
    }

    private static func names(of references: [RunReference]) -> [String] { Set(references.map(\.repository)).sorted() }

    private static func time(_ seconds: Int64) -> String { RFC3339.format(Timestamp(microseconds: seconds * 1_000_000)) }

    // MARK: Steps

    /// Call after `listed` went on, for repositories given by name.
    mutating func begin(_ repository: RepositoryWalk.Repository, _ scope: HistoryRange.Scope) {
        self.repository = repository
        runsPage = nil
        jobsPage = 1
        if case .runs(let references) = scope {
            let name = Self.names(of: references)[listed - 1]
            runs = references.filter { $0.repository == name }.compactMap { Int64($0.runID) }.sorted()
            windows = []
        } else {
            runs = []
            windows = [Window(from: madeSince, to: until)]
        }
    }

    /// Two halves in place of the next window; false where it is as short as can be.
    mutating func splitWindow() -> Bool {
        guard let window = windows.last, window.from < window.to else { return false }
        let middle = window.from + (window.to - window.from) / 2
        windows.removeLast()
        windows += [Window(from: middle + 1, to: window.to), Window(from: window.from, to: middle)]
        return true
    }

    mutating func leaveRunsPage() {
        if let page = runsPage, page > 1 {
            runsPage = page - 1
        } else {
            runsPage = nil
            windows.removeLast()
        }
    }

    mutating func leaveRun() {
        runs.removeFirst()
        jobsPage = 1
    }

    mutating func leaveRepository() {
        repository = nil
        windows = []
        runs = []
        runsPage = nil
        jobsPage = 1
    }
}
