import Crypto
import Documents
import Energy
import Store

/// Turns a token that a configured issuer signed for a job into the right to speak of that job, and of no other.
struct OIDCAuthority: Sendable {
    let sources: SourceDirectory
    let keys: IssuerKeys
    let now: @Sendable () -> Timestamp
    private let seen = TokenReplays()

    init(sources: SourceDirectory, keys: IssuerKeys, now: @escaping @Sendable () -> Timestamp) {
        self.sources = sources
        self.keys = keys
        self.now = now
    }

    static func isToken(_ text: String) -> Bool { text.hasPrefix("eyJ") && text.utf8.count { $0 == UInt8(ascii: ".") } == 2 }

    /// The grant of a token; nil where it is not believed.
    func grant(_ token: String) async throws -> TokenGrant? {
        do {
            return try await require(token)
        } catch is OIDCVerifier.Refusal {
            return nil
        } catch is OIDCBinding.Unbound {
            return nil
        }
    }

    /// - Throws: `OIDCVerifier.Refusal`, `OIDCBinding.Unbound`, `PostgresError`.
    func require(_ token: String) async throws -> TokenGrant {
        let parsed = try OIDCVerifier.Parsed(token)
        let issuer = parsed.claims["iss"]?.string
        let candidates = try await sources.all().values.filter {
            $0.source.kind == "oidc" && issuer != nil && $0.source.settings.object?["issuer"]?.string == issuer
        }.map(\.source).sorted { $0.id < $1.id }
        guard !candidates.isEmpty else { throw OIDCVerifier.Refusal.refused("iss: expected a configured issuer") }
        var refusal = OIDCVerifier.Refusal.refused("no source takes it")
        for source in candidates {
            do {
                return try await grant(token, source)
            } catch let error as OIDCVerifier.Refusal {
                refusal = error
            }
        }
        throw refusal
    }

    private func grant(_ token: String, _ source: SourceRow) async throws -> TokenGrant {
        let settings = source.settings.object ?? [:]
        guard let issuer = settings["issuer"]?.string, let audience = settings["audience"]?.string else {
            throw OIDCVerifier.Refusal.refused("the source \(source.name) has no issuer or audience")
        }
        let now = now()
        var result = await Self.check(token, await keys.keys(of: issuer), issuer, audience, now)
        if case .failure(.unknownKey(let id)) = result {
            result = await Self.check(token, await keys.keys(of: issuer, unknown: id), issuer, audience, now)
        }
        let claims = try result.get()
        let binding = try OIDCBinding(claims: claims, issuer: issuer)
        let owners = settings["owners"]?.array?.compactMap(\.string) ?? []
        guard owners.contains(binding.owner) else {
            throw OIDCVerifier.Refusal.refused("expected a token of an allowed owner, found one of \(binding.owner)")
        }
        guard
            seen.admits(
                jti: claims["jti"]?.string,
                digest: Array(SHA256.hash(data: Array(token.utf8))),
                job: "\(binding.runID)/\(binding.jobID)",
                until: Timestamp(microseconds: Int64((claims["exp"]?.double ?? 0) * 1e6)) + OIDCVerifier.leeway,
                issuer: issuer,
                now: now
            )
        else { throw OIDCVerifier.Refusal.refused("jti: expected a token that was not used up, found a replay") }
        var limits = source.claims
        if !binding.isPublic { limits.visibility = .private }
        return TokenGrant(
            id: 0,
            name: source.name,
            scope: .ci,
            hostName: nil,
            claims: limits,
            source: settings["files_under"]?.string ?? source.name,
            bound: binding.fields
        )
    }

    // As a result: a typed error caught by its case across an `await` breaks the compiler (Swift 6.3).
    private static func check(
        _ token: String,
        _ keys: [JSONWebKey],
        _ issuer: String,
        _ audience: String,
        _ now: Timestamp
    ) async -> Result<[String: JSONValue], OIDCVerifier.Refusal> {
        do {
            return .success(try await OIDCVerifier.verify(token, keys: keys, issuer: issuer, audience: audience, now: now))
        } catch {
            return .failure(error)
        }
    }
}
