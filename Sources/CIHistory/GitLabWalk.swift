import Documents
import Energy

/// Where a walk through GitLab stands, and what is to be asked next. Pure.
struct GitLabWalk: Codable, Sendable, Equatable {
    struct Question: Sendable {
        enum Kind: Sendable {
            case projects
            case project(String)
            case jobs
            case pipeline(Int64)
        }

        var kind: Kind
        var path: String
    }

    /// In µs since 1970.
    var since: Int64
    var madeSince: Int64
    var projects = RepositoryWalk()
    /// How many of the projects given by name are begun.
    var listed = 0
    var project: RepositoryWalk.Repository?
    var pipelines: [Int64] = []
    /// The page that follows; nil for the first.
    var jobsPath: String?
    var hasNumberedPages = false

    init(_ range: HistoryRange) {
        since = range.since.microseconds
        madeSince = (range.since - range.lookBack).microseconds
    }

    var position: String { project.map(\.name) ?? "the list of projects" }

    // MARK: Questions

    /// Nil at the walk's end.
    mutating func question(_ scope: HistoryRange.Scope) -> Question? {
        let length = "per_page=\(GitLabHistory.pageLength)"
        while true {
            if let project {
                if case .runs = scope {
                    if let id = pipelines.first {
                        let path = jobsPath ?? "/projects/\(project.id)/pipelines/\(id)/jobs?include_retried=true&\(length)"
                        return Question(kind: .pipeline(id), path: path)
                    }
                    self.project = nil
                } else {
                    let paging = hasNumberedPages ? "" : "&pagination=keyset&order_by=id&sort=desc"
                    return Question(kind: .jobs, path: jobsPath ?? "/projects/\(project.id)/jobs?\(length)\(paging)")
                }
            }
            switch scope {
            case .owner(let owner):
                if let next = projects.take() {
                    begin(next, scope)
                    continue
                }
                guard !projects.isDone else { return nil }
                let list =
                    projects.isUser
                    ? "/users/\(owner.percentEncoded)/projects?"
                    : "/groups/\(owner.percentEncoded)/projects?include_subgroups=true&with_shared=false&"
                return Question(kind: .projects, path: "\(list)order_by=id&sort=asc&\(length)&page=\(projects.page)")
            case .repositories(let names):
                guard listed < names.count else { return nil }
                return Question(kind: .project(names[listed]), path: "/projects/\(names[listed].percentEncoded)")
            case .runs(let references):
                let names = Self.names(of: references)
                guard listed < names.count else { return nil }
                return Question(kind: .project(names[listed]), path: "/projects/\(names[listed].percentEncoded)")
            }
        }
    }

    private static func names(of references: [RunReference]) -> [String] { Set(references.map(\.repository)).sorted() }

    // MARK: Steps

    /// Call after `listed` went on, for projects given by name.
    mutating func begin(_ project: RepositoryWalk.Repository, _ scope: HistoryRange.Scope) {
        self.project = project
        jobsPath = nil
        pipelines = []
        if case .runs(let references) = scope {
            let name = Self.names(of: references)[listed - 1]
            pipelines = references.filter { $0.repository == name }.compactMap { Int64($0.runID) }.sorted()
        }
    }

    mutating func leaveProject() {
        project = nil
        pipelines = []
        jobsPath = nil
    }

    mutating func leavePipeline() {
        pipelines.removeFirst()
        jobsPath = nil
    }

    // MARK: Times

    func mayHaveRun(_ job: JSONValue) -> Bool {
        guard let finished = Self.time(job, "finished_at") else { return !isBeforeAll(job) }
        return finished >= since
    }

    /// Made so long ago that none older is wanted.
    func isBeforeAll(_ job: JSONValue) -> Bool { Self.time(job, "created_at").map { $0 < madeSince } ?? false }

    private static func time(_ job: JSONValue, _ name: String) -> Int64? {
        job.object?[name]?.string.flatMap(RFC3339.parse)?.microseconds
    }
}
