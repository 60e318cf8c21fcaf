import Energy
import HTTPTypes
import Synchronization

/// How often each writer may write: a bucket that fills with time and empties with each request. In memory, for one collector.
final class RateLimit: Sendable {
    /// For a writer without a rate of its own, requests a second: far more than a farm sends, far less than would starve the others.
    static let standard = 1_000.0
    /// How many seconds' worth may come at once.
    static let burstSeconds = 2.0

    /// What is left after a request.
    struct Verdict: Sendable, Equatable {
        var isAllowed: Bool
        /// Requests that may come at once.
        var capacity: Int
        var remaining: Int
        /// Until there is one more, in whole seconds.
        var waitSeconds: Int
    }

    /// Pure: the arithmetic of one bucket.
    struct Bucket: Sendable {
        var level: Double
        var at: Timestamp

        mutating func take(requestsPerSecond rate: Double, now: Timestamp) -> Verdict {
            let capacity = max(1, rate * RateLimit.burstSeconds)
            // A clock set back gives nothing and takes nothing.
            level = min(capacity, level + Double(max(0, (now - at).count)) / 1e6 * rate)
            at = now
            let isAllowed = level >= 1
            if isAllowed { level -= 1 }
            return Verdict(
                isAllowed: isAllowed,
                capacity: Int(capacity),
                remaining: Int(level),
                waitSeconds: isAllowed ? 0 : max(1, rate > 0 ? Int(min(3_600, ((1 - level) / rate).rounded(.up))) : 3_600)
            )
        }
    }

    private let buckets = Mutex<[String: Bucket]>([:])
    private static let most = 100_000

    /// - Parameter who: a source's or token's name; never one that anyone can make up.
    func take(_ who: String, requestsPerSecond: Double?, now: Timestamp) -> Verdict {
        let rate = requestsPerSecond ?? Self.standard
        return buckets.withLock { buckets in
            if buckets[who] == nil, buckets.count >= Self.most { buckets = [:] }
            return buckets[who, default: Bucket(level: max(1, rate * Self.burstSeconds), at: now)]
                .take(requestsPerSecond: rate, now: now)
        }
    }

    /// - Throws: `Problem` 429 that says when to come again.
    func require(_ who: String, requestsPerSecond: Double?, now: Timestamp) throws -> Verdict {
        let verdict = take(who, requestsPerSecond: requestsPerSecond, now: now)
        guard verdict.isAllowed else {
            var problem = Problem(
                type: "quota-exceeded",
                title: "Too many requests",
                detail: "expected at most \(verdict.capacity) at once and then \((requestsPerSecond ?? Self.standard).formatted) a second"
                    + " from \(who); come again in \(verdict.waitSeconds) s",
                status: .tooManyRequests,
                fields: verdict.fields
            )
            problem.fields[.retryAfter] = "\(verdict.waitSeconds)"
            throw problem
        }
        return verdict
    }
}

extension RateLimit.Verdict {
    /// `RateLimit-Policy` and `RateLimit`, as the IETF's draft writes them.
    var fields: HTTPFields {
        var fields = HTTPFields()
        if let policy = HTTPField.Name("RateLimit-Policy"), let limit = HTTPField.Name("RateLimit") {
            fields[policy] = "\"default\";q=\(capacity);w=\(Int(RateLimit.burstSeconds))"
            fields[limit] = "\"default\";r=\(remaining);t=\(waitSeconds)"
        }
        return fields
    }
}

extension Double {
    fileprivate var formatted: String { self == rounded() && abs(self) < 1e15 ? "\(Int(self))" : "\(self)" }
}
