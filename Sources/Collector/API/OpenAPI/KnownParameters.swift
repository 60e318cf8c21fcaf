import HTTPTypes
import Hummingbird

/// Refuses questions with a parameter that the route does not know, or that is there twice: a filter that is misspelt would otherwise
/// answer with everything.
struct KnownParameters: RouterMiddleware {
    typealias Context = WattleContext
    private let operations: [String: [String: OpenAPIDocument.Operation]]

    init(_ document: OpenAPIDocument) {
        operations = document.operations
    }

    func handle(
        _ request: Request,
        context: WattleContext,
        next: (Request, WattleContext) async throws -> Response
    ) async throws -> Response {
        // What a sender adds to a webhook's URL is its own business.
        if request.method == .get || request.method == .head, request.uri.query != nil, let path = context.endpointPath,
            let operation = operations[path]?["GET"]
        {
            try Self.check(
                request.uri.queryParameters.map { String($0.key) },
                known: operation.queryParameters,
                repeated: operation.repeatedParameters
            )
        }
        return try await next(request, context)
    }

    /// - Throws: `Problem` 400 naming the parameter.
    static func check(_ names: [String], known: [String], repeated: Set<String> = []) throws {
        var seen: Set<String> = []
        for name in names {
            guard known.contains(name) else {
                let expected = known.isEmpty ? "no parameter" : known.joined(separator: ", ")
                throw Problem.badRequest(
                    "unknown-parameter",
                    "There is no such parameter",
                    "\(name.prefix(60)): expected \(expected)"
                )
            }
            guard seen.insert(name).inserted || repeated.contains(name) else {
                throw Problem.badRequest("bad-parameter", "A parameter cannot be read", "\(name): expected it once, found it twice")
            }
        }
    }
}
