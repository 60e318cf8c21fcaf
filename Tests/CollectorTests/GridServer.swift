import Documents
import Energy
import Hummingbird
import Logging
import ServiceLifecycle
import Synchronization

/// A provider on loopback that speaks as Great Britain's does, of figures that a test sets and changes.
final class GridServer: Sendable {
    struct Figure: Sendable {
        var forecast: Int?
        var actual: Int?
    }

    private struct State {
        var figures: [Timestamp: Figure] = [:]
        var status = 200
        var retryAfter: Int?
        var paths: [String] = []
    }

    static let step = Microseconds.seconds(1_800)

    let url: String
    private let state: Box

    private final class Box: Sendable {
        let value = Mutex(State())
    }

    private init(port: Int, state: Box) {
        url = "http://127.0.0.1:\(port)"
        self.state = state
    }

    /// What it is asked for from now on is answered so; other statuses than 200 have no figures.
    func answer(_ status: Int, retryAfter: Int? = nil) {
        state.value.withLock {
            $0.status = status
            $0.retryAfter = retryAfter
        }
    }

    /// Figures of the half hours of an interval.
    func set(_ interval: Interval, _ figure: (Timestamp) -> Figure) {
        state.value.withLock { state in
            var at = interval.start
            while at < interval.end {
                state.figures[at] = figure(at)
                at = at + Self.step
            }
        }
    }

    /// Since the last call.
    func questions() -> [String] {
        state.value.withLock { state in
            defer { state.paths = [] }
            return state.paths
        }
    }

    private static func reply(_ state: Box, _ path: String, _ interval: Interval) -> Response {
        state.value.withLock { state in
            state.paths.append(path)
            var headers = HTTPFields()
            headers[.contentType] = "application/json"
            if let seconds = state.retryAfter { headers[.retryAfter] = "\(seconds)" }
            let periods = state.figures.filter { interval.start <= $0.key && $0.key < interval.end }.sorted { $0.key < $1.key }.map {
                let (from, to) = (RFC3339.format($0).prefix(16), RFC3339.format($0 + step).prefix(16))
                let (forecast, actual) = ($1.forecast.map { "\($0)" } ?? "null", $1.actual.map { "\($0)" } ?? "null")
                return #"{"from": "\#(from)Z", "to": "\#(to)Z", "intensity": {"forecast": \#(forecast), "actual": \#(actual)}}"#
            }
            return Response(
                status: .init(code: state.status),
                headers: headers,
                body: .init(byteBuffer: ByteBuffer(string: "{\"data\": [\(periods.joined(separator: ","))]}"))
            )
        }
    }

    private static func time(_ text: String?) -> Timestamp {
        text.flatMap { RFC3339.parse($0.dropLast() + ":00Z") } ?? Timestamp(microseconds: 0)
    }

    static func with<T: Sendable>(_ body: (GridServer) async throws -> T) async throws -> T {
        let state = Box()
        let (ports, listening) = AsyncStream.makeStream(of: Int.self)
        let router = Router()
        router.get("intensity/:from/fw48h") { request, context in
            let from = time(context.parameters.get("from"))
            return reply(state, request.uri.path, Interval(from, from + .day + .day))
        }
        router.get("intensity/:from/:to") { request, context in
            // The minute behind `from` keeps the period before it out.
            let (from, to) = (time(context.parameters.get("from")), time(context.parameters.get("to")))
            return reply(state, request.uri.path, Interval(from - .seconds(60), to))
        }
        var log = Logger(label: "provider")
        log.logLevel = .critical
        let application = Application(
            router: router,
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in listening.yield(channel.localAddress?.port ?? 0) },
            logger: log
        )
        let group = ServiceGroup(configuration: .init(services: [application], logger: log))
        async let running: Void = group.run()
        var port = 0
        for await first in ports {
            port = first
            break
        }
        let result: Result<T, any Error>
        do {
            result = .success(try await body(GridServer(port: port, state: state)))
        } catch {
            result = .failure(error)
        }
        await group.triggerGracefulShutdown()
        try await running
        return try result.get()
    }
}
