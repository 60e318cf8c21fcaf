public import CIEvents

/// A CI system's own memory of its jobs, asked for over REST: what webhooks missed, and what ran before there were any.
public protocol JobHistory: Sendable {
    /// The next jobs after `place`, oldest first as far as the system allows; the walk's new place is in the answer.
    func next(after place: HistoryPlace) async throws -> HistoryPage
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

    public init(events: [JobEvent], repositories: [RepositoryNotice] = [], place: HistoryPlace, isLast: Bool, waitSeconds: Int? = nil) {
        self.events = events
        self.repositories = repositories
        self.place = place
        self.isLast = isLast
        self.waitSeconds = waitSeconds
    }
}
