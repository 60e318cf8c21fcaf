import Documents
import Energy
import Postgres
import Store
import Synchronization

/// What is done about a writer that says more than it may.
enum ClaimCheck {
    /// Whether a span that is there already may be changed or deleted by a writer: under one source's name there may be several tokens, each
    /// for repositories of its own. Pure.
    ///
    /// - Parameter fields: of the span as stored.
    static func excess(ofStored fields: [String: JSONValue], _ claims: Claims) -> Claims.Excess? {
        guard let repositories = claims.repositories, let repository = fields["repository"]?.string else { return nil }
        guard claims.excess(instance: nil, repository: repository, to: repositories) != nil else { return nil }
        // Whose it is, is not told: it may be private.
        return Claims.Excess(field: "id", found: "a span of another repository", allowed: repositories.map { "a span of \($0)" })
    }

    /// Whether a forge's word on who may see a repository counts when this writer passes it on. Pure.
    static func excess(of name: String, isPrivate: Bool, _ claims: Claims) -> Claims.Excess? {
        let instance = name.split(separator: "/").first.map(String.init)
        if let excess = claims.excess(instance: instance, repository: name, hosts: [], pool: nil) { return excess }
        // Saying less is allowed to everyone who may speak of it.
        if !isPrivate, claims.visibility == .private {
            return Claims.Excess(field: "visibility", found: "public", allowed: ["private"])
        }
        return nil
    }

    /// The answer to one that goes too far: names the field.
    static func problem(_ excess: Claims.Excess, who: String) -> Problem {
        var problem = Problem.forbidden("claim", "beyond what \(who) may say: \(excess)")
        problem.extra["field"] = .string(excess.field)
        return problem
    }

    /// Puts a refused claim on record, with the secrets that it may hold masked.
    static func audit(_ excess: Claims.Excess, who: String, _ connection: PostgresConnection) async throws {
        try await AuditLog.add(
            who: who,
            action: "claim.refused",
            subject: excess.field,
            after: .object([
                "found": .string(String(CredentialMask().masked(excess.found).prefix(200))),
                "allowed": .array(excess.allowed.prefix(20).map { .string($0) }),
            ]),
            connection
        )
    }
}

extension Claims {
    /// As if only these repositories were listed.
    fileprivate func excess(instance: String?, repository: String, to repositories: [String]) -> Excess? {
        var only = Claims()
        only.repositories = repositories
        return only.excess(instance: instance, repository: repository, hosts: [], pool: nil)
    }
}

/// Lets one of each kind through a minute, so that a writer gone wild does not fill the audit log.
final class AuditPace: Sendable {
    private struct State {
        var last: [String: Timestamp] = [:]
    }

    private let state = Mutex(State())
    private static let most = 10_000

    /// Whether this one is to be put on record.
    func admits(_ who: String, _ what: String, now: Timestamp) -> Bool {
        let key = "\(who)\u{0}\(what)"
        return state.withLock { state in
            if let last = state.last[key], now - last < .seconds(60), now >= last { return false }
            if state.last.count >= Self.most { state.last = state.last.filter { now - $0.value < .seconds(60) } }
            guard state.last.count < Self.most else { return false }
            state.last[key] = now
            return true
        }
    }
}
