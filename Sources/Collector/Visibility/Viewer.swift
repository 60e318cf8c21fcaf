import Energy
import Store

/// Whether people without a token see anything of an instance.
public enum Access: String, Sendable, CaseIterable {
    /// What something said is public: jobs of public repositories, no finer than `PublicView` allows.
    case `public`
    /// Nothing.
    case token
}

/// Who reads: decides which jobs are there at all, and how fine their figures are.
enum Viewer: Sendable, Hashable {
    /// A read or admin token.
    case everything
    /// A read token for some repositories.
    case repositories([String])
    /// A ci token: what its own source posted, of the repositories that it may speak of.
    case source(String, repositories: [String]?)
    /// Nobody known.
    case anonymous

    /// RAPL at full rate is a side channel: nothing younger is shown to nobody known.
    static let publicAge = Microseconds.seconds(15 * 60)

    func visibility(now: Timestamp) -> JobVisibility {
        switch self {
        case .everything: .everything
        case .repositories(let patterns): .repositories(patterns)
        case .source(let source, let repositories): .source(source, repositories: repositories)
        case .anonymous: .public(endedBefore: now - Self.publicAge)
        }
    }

    /// Whether figures are rounded and fine parts left out.
    var isPublic: Bool { self == .anonymous }
    /// Whether hosts, ledgers and configuration may be seen: they are of everybody's jobs.
    var seesHosts: Bool { self == .everything }
}

extension WattleContext {
    /// - Throws: `Problem` 401 where nothing is public here or the token that was sent does not count, 403 for one that reads nothing.
    func viewer(_ access: Access) throws -> Viewer {
        if hasBadToken { _ = try requireGrant(.read) }
        guard let grant else {
            if access == .token { _ = try requireGrant(.read) }
            return .anonymous
        }
        switch grant.scope {
        case .admin: return .everything
        case .read: return grant.readRepositories.map { .repositories($0) } ?? .everything
        case .ci: return .source(grant.source, repositories: grant.claims.repositories)
        case .agent, .enrol, .telemetry:
            throw Problem.forbidden("scope", "expected a token of scope read, ci or admin, found one of scope \(grant.scope.rawValue)")
        }
    }

    /// A reader of hosts and ledgers, which are of everybody's jobs.
    ///
    /// - Throws: `Problem` 401 or 403.
    func requireWholeReader() throws {
        let grant = try requireGrant(.read)
        guard grant.readRepositories == nil else {
            throw Problem.forbidden(
                "scope",
                "expected a read token for all repositories, found one for \((grant.readRepositories ?? []).joined(separator: ", "))"
            )
        }
    }
}
