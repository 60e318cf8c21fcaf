import CIEvents
import Documents
public import Energy
public import HTTPClient

/// Jobs of GitLab CI: a group's projects and of each its jobs, newest first, back to where nothing is wanted any more.
public struct GitLabHistory: JobHistory {
    public static let publicURL = "https://gitlab.com"
    static let pageLength = 100

    /// As webhooks name the installation: `https://gitlab.example.org`.
    public let instance: String
    private let range: HistoryRange
    private let forge: ForgeClient
    private let mapping: JobMapping

    /// - Parameters:
    ///   - url: the installation's: `https://gitlab.example.org`, with or without `/api/v4`.
    ///   - token: with the scope `read_api`; nil for public projects.
    ///   - pause: between attempts after an error; tests shorten it.
    /// - Throws: `HistoryError` where the URL is not one of HTTP.
    public init(
        _ range: HistoryRange,
        url: String = GitLabHistory.publicURL,
        token: String?,
        http: HTTPClient,
        now: @escaping @Sendable () -> Timestamp,
        pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) throws(HistoryError) {
        let address = try APIAddress.gitLab(url)
        var headers = [("Accept", "application/json")]
        if let token { headers.append(("PRIVATE-TOKEN", token)) }
        let dialect = ForgeClient.Dialect(
            name: "GitLab",
            headers: headers,
            remainingHeader: "ratelimit-remaining",
            resetHeader: "ratelimit-reset"
        )
        self.range = range
        instance = address.instance
        forge = ForgeClient(url: address.api, dialect: dialect, token: token, http: http, now: now, pause: pause)
        mapping = .gitLab(instance: instance)
    }

    public func next(after place: HistoryPlace) async throws -> HistoryPage {
        var walk = try place.walk(GitLabWalk.self) ?? GitLabWalk(range)
        var page = HistoryPage(events: [], place: place, isLast: false)
        page.position = walk.position
        guard let question = walk.question(range.scope) else {
            page.isLast = true
            return page
        }
        switch try await forge.get(question.path) {
        case .wait(let seconds):
            page.waitSeconds = seconds
        case .refused(let status, let message):
            try refused(question, status, message, &walk, &page)
        case .answer(let answer):
            try take(answer, to: question, &walk, &page)
            page.waitSeconds = answer.waitSeconds
        }
        page.place = try HistoryPlace(walk: walk)
        return page
    }

    public func passingOver(_ place: HistoryPlace) throws -> (place: HistoryPlace, repository: String)? {
        guard var walk = try place.walk(GitLabWalk.self), let question = walk.question(range.scope) else { return nil }
        let passed: String
        if let project = walk.project {
            passed = project.name
            walk.leaveProject()
        } else if case .project(let name) = question.kind {
            passed = name
            walk.listed += 1
        } else {
            return nil
        }
        return (try HistoryPlace(walk: walk), passed)
    }

    // MARK: Answers

    private func take(_ answer: ForgeClient.Answer, to question: GitLabWalk.Question, _ walk: inout GitLabWalk, _ page: inout HistoryPage)
        throws
    {
        switch question.kind {
        case .projects:
            let listed = try list(answer.value, question).map { try project($0, question) }
            page.repositories = walk.projects.add(listed, hasNext: answer.next != nil).map(notice)
        case .project:
            walk.listed += 1
            let project = try project(answer.value, question)
            walk.begin(project, range.scope)
            page.repositories = [notice(project)]
        case .jobs:
            guard let project = walk.project else { return }
            let jobs = try list(answer.value, question)
            let recent = jobs.filter { walk.mayHaveRun($0) }
            (page.events, page.omissions) = mapping.events(recent, of: project)
            // Newest first: behind a job that was made too long ago come only older ones.
            if let next = answer.next, !jobs.contains(where: { walk.isBeforeAll($0) }) {
                walk.jobsPath = next
            } else {
                walk.leaveProject()
            }
        case .pipeline:
            guard let project = walk.project else { return }
            (page.events, page.omissions) = mapping.events(try list(answer.value, question), of: project)
            if let next = answer.next {
                walk.jobsPath = next
            } else {
                walk.leavePipeline()
            }
        }
    }

    private func notice(_ project: RepositoryWalk.Repository) -> RepositoryNotice {
        RepositoryNotice(
            repository: RepositoryName.normalised(project.name, forge: instance),
            isPrivate: project.isPrivate,
            statedAt: forge.now()
        )
    }

    private func refused(
        _ question: GitLabWalk.Question,
        _ status: Int,
        _ message: String,
        _ walk: inout GitLabWalk,
        _ page: inout HistoryPage
    ) throws {
        let reason = "GitLab answered \(status) (\(message))"
        // Gone, blocked, without CI, or not for this token: no reason to leave out the others.
        let isOfOneProject = [403, 404, 410, 451].contains(status)
        switch question.kind {
        case .projects:
            if status == 404, !walk.projects.isUser {
                walk.projects.isUser = true
                return
            }
            let advice = "expected a group or user that the token may read; check its path and the token's scope (read_api)"
            throw HistoryError(status == 403 ? .notAllowed : .notFound, "\(forge.shown(question.path)): \(reason): \(advice)")
        case .project(let name):
            guard isOfOneProject else { throw HistoryError(.unreadable, "\(forge.shown(question.path)): \(reason)") }
            walk.listed += 1
            page.omissions = [HistoryOmission(.repository, repository: name, reason: "\(reason): left out")]
        case .jobs:
            // Before GitLab 15.9 lists of jobs know pages by number only.
            if status == 405, !walk.hasNumberedPages {
                walk.hasNumberedPages = true
                walk.jobsPath = nil
                return
            }
            guard isOfOneProject, let name = walk.project?.name else {
                throw HistoryError(.unreadable, "\(forge.shown(question.path)): \(reason)")
            }
            walk.leaveProject()
            page.omissions = [HistoryOmission(.repository, repository: name, reason: "\(reason): left out")]
        case .pipeline(let id):
            guard isOfOneProject, let name = walk.project?.name else {
                throw HistoryError(.unreadable, "\(forge.shown(question.path)): \(reason)")
            }
            walk.leavePipeline()
            page.omissions = [HistoryOmission(.run, repository: name, reason: "pipeline \(id): \(reason): left out")]
        }
    }

    // MARK: Reading

    private func project(_ value: JSONValue, _ question: GitLabWalk.Question) throws -> RepositoryWalk.Repository {
        guard let fields = value.object, let id = fields["id"]?.integer, let name = fields["path_with_namespace"]?.string else {
            throw unreadable(question, "a project with id and path_with_namespace", value)
        }
        // `internal` is for those who are signed in: not for everyone.
        return RepositoryWalk.Repository(id: id, name: name, isPrivate: fields["visibility"]?.string != "public")
    }

    private func list(_ value: JSONValue, _ question: GitLabWalk.Question) throws -> [JSONValue] {
        guard let list = value.array else { throw unreadable(question, "a list", value) }
        return list
    }

    private func unreadable(_ question: GitLabWalk.Question, _ expected: String, _ found: JSONValue) -> HistoryError {
        HistoryError(.unreadable, "\(forge.shown(question.path)): expected \(expected), found \(found.described)")
    }
}
