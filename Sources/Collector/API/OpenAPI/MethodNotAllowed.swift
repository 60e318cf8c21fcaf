import HTTPTypes
import Hummingbird

/// Tells a path that is there but not for this method (405, with `Allow`) from one that is not there at all (404).
struct MethodNotAllowed: RouterMiddleware {
    typealias Context = WattleContext
    /// A route's path in parts, nil for a part that is a parameter; its methods.
    private let routes: [(path: [String?], methods: [String])]

    /// - Parameter routes: every route; this is to be added after them, so that only what none of them takes comes here.
    init(_ routes: [Router<WattleContext>.RouteDescription]) {
        self.routes = Dictionary(grouping: routes, by: \.path.description).map { path, routes in
            let parts = path.split(separator: "/").map { $0.hasPrefix("{") ? nil : String($0) }
            let methods = routes.flatMap { $0.method == .get ? ["GET", "HEAD"] : [$0.method.rawValue] }
            return (parts, methods)
        }
    }

    func handle(
        _ request: Request,
        context: WattleContext,
        next: (Request, WattleContext) async throws -> Response
    ) async throws -> Response {
        let allowed = methods(at: request.uri.path)
        guard !allowed.isEmpty else { return try await next(request, context) }
        throw Problem(
            type: "method-not-allowed",
            title: "The method is not allowed",
            detail: "expected \(allowed.joined(separator: ", ")) at this path, found \(request.method.rawValue.prefix(20))",
            status: .methodNotAllowed,
            fields: [.allow: allowed.joined(separator: ", ")]
        )
    }

    /// What may be done at a path; nothing where there is no such path.
    func methods(at path: String) -> [String] {
        let parts = path.split(separator: "/")
        return Set(
            routes.filter { route in
                route.path.count == parts.count
                    && zip(route.path, parts).allSatisfy { expected, found in expected.map { $0 == found } ?? true }
            }.flatMap(\.methods)
        ).sorted()
    }
}
