import Energy
import Synchronization

/// Which tokens of issuers were used, until they expire: one speaks of one job, and that a few times (its start, its end, and a client that
/// tries again). Bounded, and of one collector: a second one counts for itself, and either way the same job is spoken of.
final class TokenReplays: Sendable {
    static let usesPerToken = 20
    private static let most = 100_000

    private struct Use {
        var digest: [UInt8]
        var job: String
        var count: Int
        var until: Timestamp
    }

    private let uses = Mutex<[String: Use]>([:])

    /// - Parameter jti: the token's own id; without one nothing is admitted.
    func admits(jti: String?, digest: [UInt8], job: String, until: Timestamp, issuer: String, now: Timestamp) -> Bool {
        guard let jti, !jti.isEmpty, jti.utf8.count <= 200 else { return false }
        let key = "\(issuer)\u{0}\(jti)"
        return uses.withLock { uses in
            if var use = uses[key], use.until >= now {
                // No issuer gives one id to two tokens.
                guard use.digest == digest, use.job == job, use.count < Self.usesPerToken else { return false }
                use.count += 1
                uses[key] = use
                return true
            }
            if uses.count >= Self.most { uses = uses.filter { $0.value.until >= now } }
            guard uses.count < Self.most else { return false }
            uses[key] = Use(digest: digest, job: job, count: 1, until: until)
            return true
        }
    }
}
