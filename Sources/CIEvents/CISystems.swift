/// The systems whose webhooks are understood.
public enum CISystems {
    /// One row each; a system is one file in `Systems`.
    public static let all: [any CISystem.Type] = [
        GitHub.self,
        GitLab.self,
        CDEvents.self,
        StandardWebhook.self,
    ]

    /// Nil for a kind that is not known.
    public static func named(_ kind: String) -> (any CISystem.Type)? { all.first { $0.kind == kind } }
}
