import Documents
import Energy
import HTTPTypes
import Hummingbird
import Store
import Synchronization

/// What one request may be answered from, and what it was answered from.
final class ReadFreshness: Sendable {
    /// Of the request under way; nil outside of one.
    @TaskLocal static var current: ReadFreshness?

    /// The primary must answer.
    let isLatestWanted: Bool
    private let oldest = Mutex<Timestamp?>(nil)

    init(isLatestWanted: Bool) { self.isLatestWanted = isLatestWanted }

    /// The replica that answered was this far.
    func note(_ asOf: Timestamp) { oldest.withLock { $0 = min($0 ?? asOf, asOf) } }

    var asOf: Timestamp? { oldest.withLock { $0 } }
}

/// Decides who is answered by a replica, and says how far that one was.
///
/// Whoever may write sees what was written: a token of another scope than read, or `Cache-Control: no-cache`, is answered by the primary.
struct FreshnessMiddleware: RouterMiddleware {
    typealias Context = WattleContext

    static let header = HTTPField.Name("Wattle-As-Of")

    func handle(
        _ request: Request,
        context: WattleContext,
        next: (Request, WattleContext) async throws -> Response
    ) async throws -> Response {
        let isAsked = request.headers[.cacheControl]?.lowercased().contains("no-cache") ?? false
        let isWriter = context.grant.map { $0.scope != .read } ?? false
        let freshness = ReadFreshness(isLatestWanted: isAsked || isWriter || !(request.method == .get || request.method == .head))
        var response = try await ReadFreshness.$current.withValue(freshness) { try await next(request, context) }
        if let asOf = freshness.asOf, let name = Self.header { response.headers[name] = RFC3339.format(asOf) }
        return response
    }
}
