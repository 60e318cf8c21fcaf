public import CIEvents

/// A CI system's own memory of its jobs, asked for over REST: what webhooks missed, and what ran before there were any.
///
/// A walk is a row of pages, each at most one answer of the system. It can be stopped after any page, and begun again at that page's
/// place by any process: the jobs are the same, some perhaps twice.
public protocol JobHistory: Sendable {
    /// The next jobs after `place`, oldest first as far as the system allows; the walk's new place is in the answer.
    ///
    /// - Throws: `HistoryError`; the walk can be gone on with from the same place.
    func next(after place: HistoryPlace) async throws -> HistoryPage

    /// The place behind the repository that a walk stands in: for one whose answers fail again and again. Nil where it stands in none.
    ///
    /// - Throws: `HistoryError` for a place that cannot be read.
    func passingOver(_ place: HistoryPlace) throws -> (place: HistoryPlace, repository: String)?
}

/// Where a walk stands; opaque to all but the history that made it, and small enough to be stored after each page.
public struct HistoryPlace: Sendable, Hashable, Codable {
    public var fields: [String: String]

    public init(_ fields: [String: String] = [:]) { self.fields = fields }
}

/// A page of a walk.
public struct HistoryPage: Sendable {
    public var events: [JobEvent]
    public var repositories: [RepositoryNotice]
    public var place: HistoryPlace
    /// Nothing follows for now.
    public var isLast: Bool
    /// Until when the system wants no further question, in seconds from now; nil for none.
    public var waitSeconds: Int?
    /// What was left out, and why.
    public var omissions: [HistoryOmission] = []
    /// Where the walk stands, for people: `ocaml/dune, 2026-08-01`.
    public var position: String = ""

    public init(events: [JobEvent], repositories: [RepositoryNotice] = [], place: HistoryPlace, isLast: Bool, waitSeconds: Int? = nil) {
        self.events = events
        self.repositories = repositories
        self.place = place
        self.isLast = isLast
        self.waitSeconds = waitSeconds
    }
}

/// What a walk could not read.
public struct HistoryOmission: Sendable, Hashable, CustomStringConvertible {
    public enum Extent: Sendable, Hashable {
        case repository
        case run
        case job
    }

    public var extent: Extent
    /// As the system names it: `ocaml/dune`.
    public var repository: String
    /// Never holds a secret.
    public var reason: String

    public init(_ extent: Extent, repository: String, reason: String) {
        self.extent = extent
        self.repository = repository
        self.reason = reason
    }

    public var description: String { "\(repository): \(reason)" }
}

/// A run (GitHub) or pipeline (GitLab) whose jobs are wanted.
public struct RunReference: Sendable, Hashable {
    /// As the system names it: `ocaml/dune`.
    public var repository: String
    public var runID: String

    public init(repository: String, runID: String) {
        self.repository = repository
        self.runID = runID
    }
}
