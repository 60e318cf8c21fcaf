import Store
import Synchronization

/// What tokens were good for a moment ago: for reading only, so that a page of ten requests asks once.
final class GrantCache: Sendable {
    /// A revoked token reads for that much longer at most; it writes no more at once.
    static let age = Duration.seconds(1)
    private static let most = 10_000

    private struct Entry {
        var grant: TokenGrant?
        var at: ContinuousClock.Instant
    }

    private let entries = Mutex<[[UInt8]: Entry]>([:])

    /// Nil where it is not known; `.some(nil)` for a token that counts for nothing.
    func find(sha256: [UInt8], now: ContinuousClock.Instant = .now) -> TokenGrant?? {
        entries.withLock { entries in
            guard let entry = entries[sha256], now - entry.at < Self.age else { return nil }
            return .some(entry.grant)
        }
    }

    func note(_ grant: TokenGrant?, sha256: [UInt8], now: ContinuousClock.Instant = .now) {
        entries.withLock { entries in
            if entries.count >= Self.most { entries = entries.filter { now - $0.value.at < Self.age } }
            guard entries.count < Self.most else { return }
            entries[sha256] = Entry(grant: grant, at: now)
        }
    }
}
