import Documents
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Postgres
import Synchronization

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
        case let error as PostgresError
        where error.isConnectionLost || error.kind == .pool || error.kind == .connection || error.isRetryable || error.isOutOfResources:
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
    private static let mostDiscardedBytes = 256 << 20

    /// Without a byte for so long a sender has gone; a slow one goes on for as long as `longestBody`.
    private static let bodyPatience = Duration.seconds(15)
    private static let longestBody = Duration.seconds(300)

    /// The whole body, at most `limit` bytes of it.
    ///
    /// - Throws: `Problem` 413; 408 where it does not go on.
    func body(limit: Int) async throws -> [UInt8] {
        let clock = ContinuousClock()
        let began = clock.now
        let progress = Progress(began)
        return try await withThrowingTaskGroup(of: [UInt8].self) { tasks in
            defer { tasks.cancelAll() }
            tasks.addTask { try await read(limit: limit) { progress.at.withLock { $0 = clock.now } } }
            tasks.addTask {
                while true {
                    try await Task.sleep(for: .seconds(1))
                    let now = clock.now
                    if now - progress.at.withLock({ $0 }) > Self.bodyPatience || now - began > Self.longestBody { throw Problem.stalled }
                }
            }
            return try await tasks.next() ?? []
        }
    }

    /// When the last bytes came.
    private final class Progress: Sendable {
        let at: Mutex<ContinuousClock.Instant>
        init(_ now: ContinuousClock.Instant) { at = Mutex(now) }
    }

    private func read(limit: Int, _ noteProgress: () -> Void) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        var isTooLong = headers[.contentLength].flatMap { Int($0) }.map { $0 > limit } ?? false
        var discarded = 0
        for try await var buffer in body {
            noteProgress()
            isTooLong = isTooLong || bytes.count + buffer.readableBytes > limit
            if isTooLong {
                // Read on for a while: a client that writes all before it reads would never see the answer.
                bytes = []
                discarded += buffer.readableBytes
                if discarded > Self.mostDiscardedBytes { break }
            } else {
                bytes += buffer.readBytes(length: buffer.readableBytes) ?? []
            }
        }
        if isTooLong { throw Problem.tooLarge(limitBytes: limit) }
        return bytes
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

extension Request {
    /// A parameter of the query.
    ///
    /// - Throws: `Problem` 400 for U+0000, which no name holds.
    func query(_ name: String) throws -> String? {
        guard let value = uri.queryParameters[name[...]].map({ String($0) }) else { return nil }
        guard !value.utf8.contains(0) else {
            throw Problem.badRequest("bad-parameter", "A parameter cannot be read", "\(name): expected a text without U+0000")
        }
        return value
    }
}

extension WattleContext {
    /// A part of the path, percent-decoded.
    ///
    /// - Throws: `Problem` 404 for one that no resource can have.
    func pathPart(_ name: String) throws -> String {
        let raw = try parameters.require(name)
        guard let decoded = raw.removingPercentEncoding, !decoded.utf8.contains(0) else {
            throw Problem.notFound("the path cannot be decoded: \(raw.prefix(60))")
        }
        return decoded
    }
}
