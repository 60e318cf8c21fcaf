import CIEvents
import Documents
public import Energy
public import HTTPClient

/// Jobs of GitHub Actions: an owner's repositories, their runs, and of each run the jobs of all attempts.
///
/// A list of runs holds 1,000 at most, so the time is cut into windows with fewer. A window lies in the past and its pages are walked
/// from the last to the first: runs that are deleted meanwhile move others to pages that are still to come.
public struct GitHubHistory: JobHistory {
    public static let publicURL = "https://api.github.com"
    static let runsPerQuery = 1_000
    static let pageLength = 100

    /// As webhooks name the installation: `https://github.com`.
    public let instance: String
    private let range: HistoryRange
    private let forge: ForgeClient
    private let mapping: JobMapping

    /// - Parameters:
    ///   - apiURL: `https://api.github.com`, or `https://ghe.example.org/api/v3`.
    ///   - token: with read access to Actions and metadata; nil for public repositories at a low rate.
    ///   - pause: between attempts after an error; tests shorten it.
    /// - Throws: `HistoryError` where the URL is not one of HTTP.
    public init(
        _ range: HistoryRange,
        apiURL: String = GitHubHistory.publicURL,
        token: String?,
        http: HTTPClient,
        now: @escaping @Sendable () -> Timestamp,
        pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) throws(HistoryError) {
        let url = try APIAddress.checked(apiURL, example: Self.publicURL)
        var headers = [("Accept", "application/vnd.github+json"), ("X-GitHub-Api-Version", "2022-11-28")]
        if let token { headers.append(("Authorization", "Bearer \(token)")) }
        let dialect = ForgeClient.Dialect(
            name: "GitHub",
            headers: headers,
            remainingHeader: "x-ratelimit-remaining",
            resetHeader: "x-ratelimit-reset"
        )
        self.range = range
        instance = APIAddress.gitHubInstance(of: url)
        forge = ForgeClient(url: url, dialect: dialect, token: token, http: http, now: now, pause: pause)
        mapping = .gitHub(instance: instance)
    }

    public func next(after place: HistoryPlace) async throws -> HistoryPage {
        var walk = try place.walk(GitHubWalk.self) ?? GitHubWalk(range, now: forge.now())
        var page = HistoryPage(events: [], place: place, isLast: false)
        page.position = walk.position
        guard let question = walk.question(range.scope) else {
            page.isLast = true
            return page
        }
        switch try await forge.get(question.path) {
        case .wait(let seconds):
            // One that is refused again and again waits longer each time.
            walk.refusals += 1
            page.waitSeconds = walk.refusals == 1 ? seconds : max(seconds, 60 << min(walk.refusals - 1, 4))
        case .refused(let status, let message):
            try refused(question, status, message, &walk, &page)
        case .answer(let answer):
            walk.refusals = 0
            try take(answer, to: question, &walk, &page)
            page.waitSeconds = answer.waitSeconds
        }
        page.place = try HistoryPlace(walk: walk)
        return page
    }

    public func passingOver(_ place: HistoryPlace) throws -> (place: HistoryPlace, repository: String)? {
        guard var walk = try place.walk(GitHubWalk.self), let question = walk.question(range.scope) else { return nil }
        let passed: String
        if let repository = walk.repository {
            passed = repository.name
            walk.leaveRepository()
        } else if case .repository(let name) = question.kind {
            passed = name
            walk.listed += 1
        } else {
            return nil
        }
        return (try HistoryPlace(walk: walk), passed)
    }

    // MARK: Answers

    private func take(_ answer: ForgeClient.Answer, to question: GitHubWalk.Question, _ walk: inout GitHubWalk, _ page: inout HistoryPage)
        throws
    {
        switch question.kind {
        case .repositories:
            let listed = try list(answer.value, question).map { try repository($0, question) }
            page.repositories = walk.repositories.add(listed, hasNext: answer.next != nil).map(notice)
        case .repository:
            walk.listed += 1
            let repository = try repository(answer.value, question)
            walk.begin(repository, range.scope)
            page.repositories = [notice(repository)]
        case .runs(let window):
            try takeRuns(answer, window, question, &walk)
        case .jobs:
            guard let repository = walk.repository else { return }
            let jobs = try list(answer.value.object?["jobs"], question)
            (page.events, page.omissions) = mapping.events(jobs, of: repository)
            if answer.next != nil {
                walk.jobsPage += 1
            } else {
                walk.leaveRun()
            }
        }
    }

    private func notice(_ repository: RepositoryWalk.Repository) -> RepositoryNotice {
        RepositoryNotice(
            repository: RepositoryName.normalised(repository.name, forge: instance),
            isPrivate: repository.isPrivate,
            statedAt: forge.now()
        )
    }

    private func takeRuns(
        _ answer: ForgeClient.Answer,
        _ window: GitHubWalk.Window,
        _ question: GitHubWalk.Question,
        _ walk: inout GitHubWalk
    )
        throws
    {
        guard let total = answer.value.object?["total_count"]?.integer else {
            throw unreadable(question, "total_count", answer.value.object?["total_count"])
        }
        if walk.runsPage == nil {
            if total > Self.runsPerQuery, walk.splitWindow() { return }
            let pages = (min(Int(total), Self.runsPerQuery) + Self.pageLength - 1) / Self.pageLength
            if pages > 1 {
                walk.runsPage = pages
                return
            }
        }
        let runs = try list(answer.value.object?["workflow_runs"], question)
        walk.runs = runs.compactMap { needed($0, since: walk.since) }.sorted()
        walk.jobsPage = 1
        walk.leaveRunsPage()
    }

    /// The id of a run whose jobs may have run since; nil for one that has nothing new to tell.
    private func needed(_ run: JSONValue, since: Int64) -> Int64? {
        guard let run = run.object, let id = run["id"]?.integer else { return nil }
        guard run["status"]?.string == "completed" else { return id }
        let updated = run["updated_at"]?.string.flatMap(RFC3339.parse)
        if let updated, updated.microseconds < since * 1_000_000 { return nil }
        // None of its jobs got a runner; of a later attempt an earlier one may have.
        let nothingRan = ["skipped", "startup_failure"].contains(run["conclusion"]?.string)
        return nothingRan && run["run_attempt"]?.integer ?? 1 == 1 ? nil : id
    }

    private func refused(
        _ question: GitHubWalk.Question,
        _ status: Int,
        _ message: String,
        _ walk: inout GitHubWalk,
        _ page: inout HistoryPage
    ) throws {
        let reason = "GitHub answered \(status) (\(message))"
        switch question.kind {
        case .repositories:
            if status == 404, !walk.repositories.isUser {
                walk.repositories.isUser = true
                return
            }
            let advice = "expected an organisation or user that the token may read; check its name and the token's access"
            throw HistoryError(status == 403 ? .notAllowed : .notFound, "\(forge.shown(question.path)): \(reason): \(advice)")
        case .repository(let name):
            guard Self.isOfOneRepository(status) else { throw unexpected(question, reason) }
            walk.listed += 1
            page.omissions = [HistoryOmission(.repository, repository: name, reason: "\(reason): left out")]
        case .runs:
            guard Self.isOfOneRepository(status), let name = walk.repository?.name else { throw unexpected(question, reason) }
            walk.leaveRepository()
            page.omissions = [HistoryOmission(.repository, repository: name, reason: "\(reason): left out")]
        case .jobs(let run):
            guard Self.isOfOneRepository(status), let name = walk.repository?.name else { throw unexpected(question, reason) }
            walk.leaveRun()
            page.omissions = [HistoryOmission(.run, repository: name, reason: "run \(run): \(reason): left out")]
        }
    }

    /// Gone, blocked, empty, or not for this token: no reason to leave out the others.
    private static func isOfOneRepository(_ status: Int) -> Bool { [403, 404, 409, 410, 451].contains(status) }

    // MARK: Reading

    private func repository(_ value: JSONValue, _ question: GitHubWalk.Question) throws -> RepositoryWalk.Repository {
        guard let fields = value.object, let id = fields["id"]?.integer, let name = fields["full_name"]?.string else {
            throw unreadable(question, "a repository with id and full_name", value)
        }
        // Private until the forge says that it is not.
        return RepositoryWalk.Repository(id: id, name: name, isPrivate: fields["private"]?.bool ?? true)
    }

    private func list(_ value: JSONValue?, _ question: GitHubWalk.Question) throws -> [JSONValue] {
        guard let list = value?.array else { throw unreadable(question, "a list", value) }
        return list
    }

    private func unreadable(_ question: GitHubWalk.Question, _ expected: String, _ found: JSONValue?) -> HistoryError {
        HistoryError(.unreadable, "\(forge.shown(question.path)): expected \(expected), found \(found?.described ?? "nothing")")
    }

    private func unexpected(_ question: GitHubWalk.Question, _ reason: String) -> HistoryError {
        HistoryError(.unreadable, "\(forge.shown(question.path)): \(reason)")
    }
}
