import Documents
import Energy
import HTTPClient

/// Asks a forge's REST interface: retries what may pass, waits for nothing, and says when the forge wants to be left alone.
struct ForgeClient: Sendable {
    /// What is different from forge to forge.
    struct Dialect: Sendable {
        /// For messages: `GitHub`.
        var name: String
        /// Sent with each request, the token among them.
        var headers: [(String, String)]
        var remainingHeader: String
        /// Its value is a time in s since 1970.
        var resetHeader: String
    }

    struct Answer: Sendable {
        var value: JSONValue
        /// Path and query of the page that follows, below the API's URL; nil for none.
        var next: String?
        var totalPages: Int?
        /// The budget is spent; until it is filled again, in s from now.
        var waitSeconds: Int?
    }

    enum Outcome: Sendable {
        case answer(Answer)
        /// Nothing was said; to be asked again after that many s.
        case wait(seconds: Int)
        /// A status of 4xx other than 401, and the forge's own words.
        case refused(status: Int, message: String)
    }

    /// Without a slash at its end.
    let url: String
    let dialect: Dialect
    /// Left out of all messages.
    let token: String?
    let http: HTTPClient
    let now: @Sendable () -> Timestamp
    let pause: @Sendable (Duration) async throws -> Void

    static let attempts = 5
    static let timeout = Duration.seconds(60)
    private static let longestWaitSeconds = 86_400

    /// Asks for a path below the API's URL.
    func get(_ path: String) async throws -> Outcome {
        var failure = ""
        var pauseLength = Duration.seconds(1)
        for attempt in 1...Self.attempts {
            if attempt > 1 {
                try await pause(pauseLength)
                pauseLength *= 2
            }
            let response: HTTPResponse
            do throws(HTTPError) {
                response = try await send(path)
            } catch {
                switch error.kind {
                case .cancelled: throw CancellationError()
                case .resolve, .connect, .timeout:
                    failure = error.description
                    continue
                case .tls, .bodyTooLarge, .other: throw HistoryError(.unavailable, masked(error.description))
                }
            }
            switch response.status {
            case 200..<300:
                return .answer(try answer(response, path))
            case 500...:
                if let seconds = retryAfter(response) { return .wait(seconds: seconds) }
                failure = "\(shown(path)): \(dialect.name) answered \(response.status)"
            case 401:
                throw HistoryError(.notAllowed, "\(shown(path)): \(dialect.name) does not know the token (\(message(of: response)))")
            default:
                if let seconds = limit(response) { return .wait(seconds: seconds) }
                return .refused(status: response.status, message: message(of: response))
            }
        }
        throw HistoryError(.unavailable, masked("\(failure), \(Self.attempts) times over"))
    }

    /// The URL of a path, without its query, fit for a message.
    func shown(_ path: String) -> String { HTTPError(kind: .other, url: url + path, message: "").url }

    /// Redirects are followed within the API only, because the token goes with them.
    private func send(_ path: String) async throws(HTTPError) -> HTTPResponse {
        var path = path
        for _ in 0..<3 {
            let response = try await http.send(HTTPRequest(url: url + path, headers: dialect.headers, timeout: Self.timeout))
            guard [301, 302, 307, 308].contains(response.status), let target = response.header("location").flatMap(below) else {
                return response
            }
            path = target
        }
        throw HTTPError(kind: .other, url: url + path, message: "expected an answer, found the third redirect in a row")
    }

    private func answer(_ response: HTTPResponse, _ path: String) throws -> Answer {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: response.body)
        } catch {
            throw HistoryError(.unreadable, "\(shown(path)): expected JSON from \(dialect.name), found \(response.body.count) other bytes")
        }
        var answer = Answer(value: value, next: LinkHeader.next(in: response.header("link")).flatMap(below))
        answer.totalPages = response.header("x-total-pages").flatMap { Int($0) }
        if integer(response, dialect.remainingHeader) == 0 { answer.waitSeconds = untilReset(response) }
        return answer
    }

    /// Path and query of an absolute or relative URL below the API. A forge behind a proxy may call itself by another host's name, so
    /// only what stands behind the API's own path counts.
    private func below(_ target: String) -> String? {
        if target.hasPrefix(url + "/") { return String(target.dropFirst(url.count)) }
        var rest = Substring(target)
        if let scheme = rest.firstRange(of: "://") {
            let authority = rest[scheme.upperBound...]
            rest = authority[(authority.firstIndex(of: "/") ?? authority.endIndex)...]
        }
        let base = url.firstRange(of: "://").map { url[$0.upperBound...] } ?? url[...]
        let basePath = base[(base.firstIndex(of: "/") ?? base.endIndex)...]
        guard rest.hasPrefix(basePath + "/"), !rest.hasPrefix("//") else { return nil }
        return String(rest.dropFirst(basePath.count))
    }

    // MARK: Limits

    /// How long to wait where a refusal is about the rate; nil where it is about something else.
    private func limit(_ response: HTTPResponse) -> Int? {
        guard response.status == 403 || response.status == 429 else { return nil }
        if let seconds = retryAfter(response) { return seconds }
        if integer(response, dialect.remainingHeader) == 0, let seconds = untilReset(response) { return seconds }
        // A limit on too much at once names no time: GitHub asks for a minute at least.
        if response.status == 429 || message(of: response).lowercased().contains("rate limit") { return 60 }
        return nil
    }

    private func retryAfter(_ response: HTTPResponse) -> Int? {
        integer(response, "retry-after").map { min(max(1, $0), Self.longestWaitSeconds) }
    }

    /// One second more than the header says, because it is cut to whole ones.
    private func untilReset(_ response: HTTPResponse) -> Int? {
        guard let reset = integer(response, dialect.resetHeader) else { return nil }
        let seconds = Int64(reset) - now().microseconds / 1_000_000 + 1
        return Int(min(max(1, seconds), Int64(Self.longestWaitSeconds)))
    }

    private func integer(_ response: HTTPResponse, _ header: String) -> Int? {
        guard let text = response.header(header), let value = Int32(text) else { return nil }
        return Int(value)
    }

    // MARK: Words

    /// The forge's own words, shortened.
    private func message(of response: HTTPResponse) -> String {
        let body: JSONValue?
        do { body = try JSONValue(parsing: response.body) } catch { body = nil }
        let text = ["message", "error_description", "error"].lazy.compactMap { body?.object?[$0]?.string }.first
        return masked(String((text ?? "status \(response.status)").prefix(200)))
    }

    /// A forge or a proxy may repeat what it was sent.
    private func masked(_ text: String) -> String {
        guard let token, !token.isEmpty else { return text }
        return text.split(separator: token, omittingEmptySubsequences: false).joined(separator: "***")
    }
}

// Whoever prints a history in a message must not print its token.
extension ForgeClient: CustomStringConvertible, CustomReflectable {
    var description: String { "\(dialect.name) at \(url)" }
    var customMirror: Mirror { Mirror(self, children: ["url": url]) }
}
