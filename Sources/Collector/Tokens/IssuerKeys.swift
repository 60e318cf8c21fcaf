import Documents
import Energy
import HTTPClient

/// Issuers' public keys, asked for over HTTP and kept: an issuer that is out of reach does not shut its jobs out.
///
/// One look for an unknown key, and at most one a minute, however many tokens name keys that are not there.
actor IssuerKeys {
    private struct Entry {
        var keys: [JSONWebKey]
        var lookedAt: Timestamp
    }

    private let client: HTTPClient
    private let now: @Sendable () -> Timestamp
    private var entries: [String: Entry] = [:]
    private var looking: [String: Task<[JSONWebKey], any Error>] = [:]
    static let pause = Microseconds.seconds(60)
    /// Keys are looked at again after a day although every token's key is known, so that a withdrawn one goes.
    static let freshness = Microseconds.day

    init(client: HTTPClient, now: @escaping @Sendable () -> Timestamp) {
        self.client = client
        self.now = now
    }

    /// - Parameters:
    ///   - issuer: a configured one, never one that only a token names.
    ///   - unknown: the key that is not among those known.
    func keys(of issuer: String, unknown: String? = nil) async -> [JSONWebKey] {
        let time = now()
        if let entry = entries[issuer] {
            let wanted = unknown.map { id in !entry.keys.contains { $0.id == id } } ?? false
            let isDue = wanted || time - entry.lookedAt > Self.freshness
            if !isDue || time - entry.lookedAt < Self.pause { return entry.keys }
        }
        let task = looking[issuer] ?? Task { [client] in try await Self.look(issuer, client) }
        looking[issuer] = task
        defer { looking[issuer] = nil }
        do {
            entries[issuer] = Entry(keys: try await task.value, lookedAt: time)
        } catch {
            // Those known stay; the next look waits as after one that did not fail.
            entries[issuer, default: Entry(keys: [], lookedAt: time)].lookedAt = time
        }
        return entries[issuer]?.keys ?? []
    }

    private struct NoKeys: Error {}

    private static func look(_ issuer: String, _ client: HTTPClient) async throws -> [JSONWebKey] {
        let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
        let document = try await document(base + "/.well-known/openid-configuration", client)
        guard document.object?["issuer"]?.string == issuer, let address = document.object?["jwks_uri"]?.string,
            // In the clear only where the operator configured the issuer so.
            address.hasPrefix("https://") || (issuer.hasPrefix("http://") && address.hasPrefix("http://"))
        else { throw NoKeys() }
        return JSONWebKey.set(try await Self.document(address, client))
    }

    private static func document(_ url: String, _ client: HTTPClient) async throws -> JSONValue {
        let answer = try await client.send(HTTPRequest(url: url, headers: [("Accept", "application/json")], timeout: .seconds(10)))
        guard answer.status == 200 else { throw NoKeys() }
        return try JSONValue(parsing: answer.body)
    }
}
