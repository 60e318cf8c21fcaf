import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Postgres

/// Turns every error into a problem document; what went wrong inside is logged, not told.
struct ProblemMiddleware: RouterMiddleware {
    typealias Context = WattleContext
    let metrics: CollectorMetrics

    func handle(
        _ request: Request,
        context: WattleContext,
        next: (Request, WattleContext) async throws -> Response
    ) async throws -> Response {
        metrics.requests.increment()
        do {
            return try await next(request, context)
        } catch {
            return try Self.problem(for: error, request: request, log: context.logger).response(from: request, context: context)
        }
    }

    private static func problem(for error: any Error, request: Request, log: Logger) -> Problem {
        switch error {
        case let problem as Problem:
            return problem
        case let error as HTTPError:
            let what = "\(request.method.rawValue) \(request.uri.path)"
            return Problem(
                type: error.status == .notFound ? "not-found" : "http-\(error.status.code)",
                title: error.status.reasonPhrase,
                detail: error.body ?? (error.status == .notFound ? "there is no route \(what)" : "\(what): \(error.status.reasonPhrase)"),
                status: error.status
            )
        case let error as PostgresError where error.isConnectionLost || error.kind == .pool || error.kind == .connection:
            log.error("database not available", metadata: ["error": "\(error)"])
            return Problem(
                type: "database-unavailable",
                title: "The database is not available",
                detail: "try again in a few seconds",
                status: .serviceUnavailable,
                fields: [.retryAfter: "2"]
            )
        default:
            log.error("request failed", metadata: ["path": "\(request.uri.path)", "error": "\(String(reflecting: error))"])
            return Problem(
                type: "internal",
                title: "Something went wrong here",
                detail: "the collector's log has the reason",
                status: .internalServerError
            )
        }
    }
}

extension Request {
    /// The whole body, at most `limit` bytes of it.
    ///
    /// - Throws: `Problem` 413.
    func body(limit: Int) async throws -> [UInt8] {
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit { throw Problem.tooLarge(limitBytes: limit) }
        do {
            let buffer = try await body.collect(upTo: limit)
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Problem.tooLarge(limitBytes: limit)
        }
    }
}

extension JSONValue {
    /// - Parameter status: 200 unless said otherwise.
    func response(status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) throws -> Response {
        var headers = headers
        headers[.contentType] = "application/json"
        headers[.cacheControl] = "no-store"
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: try text + "\n")))
    }
}
