import HTTPTypes
import Hummingbird
import Logging
import Postgres
import Store

/// A request's context: who asks.
struct WattleContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    var grant: TokenGrant?
    /// A token was sent, but it is unknown, expired or revoked.
    var hasBadToken = false

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
    }

    /// - Throws: `Problem` 401 without a token that counts, 403 with one of another scope.
    func requireGrant(_ scopes: TokenGrant.Scope...) throws -> TokenGrant {
        guard let grant else {
            throw Problem.unauthorized(
                hasBadToken
                    ? "the token is unknown, expired or revoked; make one with: wattle-collector token create --scope \(scopes[0].rawValue)"
                    : "expected the header Authorization: Bearer wtl_..., found none;"
                        + " make a token with: wattle-collector token create --scope \(scopes[0].rawValue)"
            )
        }
        guard grant.scope == .admin || scopes.contains(grant.scope) else {
            let expected = scopes.map(\.rawValue).joined(separator: " or ")
            throw Problem.forbidden("scope", "expected a token of scope \(expected), found one of scope \(grant.scope.rawValue)")
        }
        return grant
    }
}

/// Finds whose token came with a request: in the `Authorization` header, or in the cookie that signing in sets.
struct Authentication: RouterMiddleware {
    let pool: PostgresPool
    let door: FrontDoor
    private let cache = GrantCache()

    init(pool: PostgresPool, door: FrontDoor) {
        self.pool = pool
        self.door = door
    }

    static let cookie = "wattle_token"

    func handle(
        _ request: Request,
        context: WattleContext,
        next: (Request, WattleContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        if let text = Self.sent(request) {
            context.grant = try await grant(text, request.method)
            context.hasBadToken = context.grant == nil
        }
        return try await next(request, context)
    }

    /// Writers are looked up each time: a token that was revoked writes nothing more.
    private func grant(_ text: String, _ method: HTTPRequest.Method) async throws -> TokenGrant? {
        let isReading = method == .get || method == .head
        // An issuer's token speaks of one job; it reads and deletes nothing.
        if OIDCAuthority.isToken(text) { return method == .post ? try await door.oidc.grant(text) : nil }
        guard let token = Token(text) else { return nil }
        let sha256 = token.sha256
        if isReading, let known = cache.find(sha256: sha256) { return known }
        let grant = try await pool.withConnection { try await TokenTable.find(sha256: sha256, $0) }
        if isReading { cache.note(grant, sha256: sha256) }
        if let grant { door.uses.note(grant.id) }
        return grant
    }

    private static func sent(_ request: Request) -> String? {
        if let header = request.headers[.authorization] {
            guard header.lowercased().hasPrefix("bearer ") else { return "" }
            return String(header.dropFirst(7)).trimmed
        }
        // A cookie counts for reading only, so that no page of another origin can make a browser write.
        guard request.method == .get || request.method == .head else { return nil }
        return request.cookies[cookie]?.value
    }
}

extension String {
    var trimmed: String { String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
}
