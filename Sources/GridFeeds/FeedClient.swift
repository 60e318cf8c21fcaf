import Documents
public import Energy
import FoundationEssentials
public import HTTPClient
import Synchronization

/// Puts questions to providers: keeps answers as long as they say, asks no more often than each allows, retries what may pass.
public final class FeedClient: Sendable {
    private struct Kept {
        var body: [UInt8]
        var etag: String?
        var freshUntil: Timestamp
        var usedAt: Timestamp
    }

    /// Whose answer it is: another login at the same address may be told something else.
    private struct Source: Hashable {
        var url: String
        var credential: FeedCredential
    }

    private struct Login: Hashable {
        var provider: String
        var credential: FeedCredential
    }

    private struct State {
        var kept: [Source: Kept] = [:]
        /// When each provider was asked, the latest last.
        var asked: [String: [Timestamp]] = [:]
        var tokens: [Login: (token: String, until: Timestamp)] = [:]
    }

    private let http: HTTPClient
    private let now: @Sendable () -> Timestamp
    private let pause: @Sendable (Duration) async throws -> Void
    private let state = Mutex(State())

    private static let attempts = 4
    private static let timeout = Duration.seconds(30)
    /// Answers are kept to be compared by ETag: so many bytes in all.
    private static let keptBytes = 8 << 20
    private static let longestFreshSeconds: Int64 = 3_600
    /// Whoever wants to be left alone for longer is asked again after this all the same.
    public static let longestSilenceSeconds = 6 * 3_600
    /// Of a refusal: so much is read, and so much told.
    private static let wordsRead = 64 << 10
    private static let wordsTold = 300

    public init(
        http: HTTPClient,
        now: @escaping @Sendable () -> Timestamp,
        pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        self.http = http
        self.now = now
        self.pause = pause
    }

    /// Asks a provider all that a question takes.
    ///
    /// - Returns: its figures in order of time, those outside a past question's interval left out, and what was no intensity. Nothing that
    ///   is told has what lets a question in.
    /// - Throws: `FeedFault`, or `CancellationError`.
    public func ask(_ provider: some GridProvider, _ question: GridQuestion) async throws -> FeedReading {
        var whole = FeedReading()
        for request in try provider.requests(question) {
            do {
                let reading = try provider.read(try await body(of: request, provider), to: request, question)
                whole.figures += reading.figures
                whole.findings += reading.findings.map(secrets(of: request, provider).hidden(in:))
            } catch let fault as FeedFault {
                throw secrets(of: request, provider).hidden(in: fault)
            }
        }
        whole.leaveOutUnlikely(now: question.now)
        if case .past(let interval) = question.span {
            whole.figures.removeAll { $0.interval.intersection(interval) == nil }
        }
        whole.figures.sort { ($0.interval.start, $0.interval.end) < ($1.interval.start, $1.interval.end) }
        return whole
    }

    private func body(of request: FeedRequest, _ provider: some GridProvider) async throws -> [UInt8] {
        if request.url.hasPrefix("/") { return try file(request.url) }
        let kept = state.withLock { $0.kept[Source(url: request.url, credential: provider.credential)] }
        if let kept, kept.freshUntil > now() { return kept.body }
        var failure = ""
        var wait = Duration.seconds(1)
        for attempt in 1...Self.attempts {
            if attempt > 1 {
                try await pause(wait)
                wait *= 2
            }
            try take(provider)
            let response: HTTPResponse
            do {
                response = try await send(request, provider, etag: kept?.etag)
            } catch let error as HTTPError {
                switch error.kind {
                case .cancelled: throw CancellationError()
                case .resolve, .connect, .timeout:
                    failure = error.description
                    continue
                case .tls, .bodyTooLarge, .other: throw FeedFault.unreachable(error.description)
                }
            }
            switch response.status {
            case 200:
                keep(response, of: request, provider)
                return response.body
            case 304:
                guard let kept else { throw FeedFault.unreadable("expected an answer, found 304 to a question without a condition") }
                keep(response, of: request, provider, kept)
                return kept.body
            case 429, 503:
                // Those who say how long they want to be left alone are left alone.
                if let seconds = Self.silence(response.header("retry-after")) { throw FeedFault.later(seconds: seconds) }
                failure = "\(provider.name) answered \(response.status)"
            case 401 where provider.credential.isLogin && attempt == 1:
                state.withLock { $0.tokens[Login(provider: provider.name, credential: provider.credential)] = nil }
                failure = "\(provider.name) does not take the token it gave"
            case 500...: failure = "\(provider.name) answered \(response.status)"
            default:
                let secrets = secrets(of: request, provider)
                throw FeedFault.refused(status: response.status, Self.words(of: response.body, without: secrets))
            }
        }
        throw FeedFault.unreachable("\(failure), \(Self.attempts) times over")
    }

    private func send(_ request: FeedRequest, _ provider: some GridProvider, etag: String?) async throws -> HTTPResponse {
        var url = request.url
        var headers = request.headers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        if let etag { headers.append(("If-None-Match", etag)) }
        switch provider.credential {
        case .none: break
        case .header(let name, let key): headers.append((name, key))
        case .parameter(let name, let key): url += (url.contains("?") ? "&" : "?") + "\(name)=\(key.percentEncoded)"
        case .login: headers.append(("Authorization", "Bearer \(try await token(of: provider))"))
        }
        return try await http.send(HTTPRequest(url: url, headers: headers, timeout: Self.timeout))
    }

    private func token(of provider: some GridProvider) async throws -> String {
        guard case .login(let url, let user, let password, let seconds) = provider.credential else { return "" }
        let login = Login(provider: provider.name, credential: provider.credential)
        if let known = state.withLock({ $0.tokens[login] }), known.until > now() { return known.token }
        let basic = Data("\(user):\(password)".utf8).base64EncodedString()
        let response = try await http.send(HTTPRequest(url: url, headers: [("Authorization", "Basic \(basic)")], timeout: Self.timeout))
        guard response.status == 200 else {
            let secrets = FeedSecrets(provider.credential, url: url, token: nil)
            throw FeedFault.refused(status: response.status, "the login: \(Self.words(of: response.body, without: secrets))")
        }
        let token = try FeedDocument(response.body)["token"].text
        state.withLock { $0.tokens[login] = (token, now() + .seconds(Int64(seconds))) }
        return token
    }

    private func secrets(of request: FeedRequest, _ provider: some GridProvider) -> FeedSecrets {
        let login = Login(provider: provider.name, credential: provider.credential)
        return FeedSecrets(provider.credential, url: request.url, token: state.withLock { $0.tokens[login]?.token })
    }

    /// - Throws: `FeedFault.later` where the provider has been asked as often as it allows.
    private func take(_ provider: some GridProvider) throws {
        let now = now()
        let pace = provider.pace
        let wait = state.withLock { state -> Int? in
            let since = now - .seconds(Int64(pace.perSeconds))
            var asked = state.asked[provider.name, default: []].filter { $0 > since }
            defer { state.asked[provider.name] = asked }
            if asked.count >= pace.requests, let first = asked.first { return Int(((first - since).count + 999_999) / 1_000_000) }
            asked.append(now)
            return nil
        }
        if let wait { throw FeedFault.later(seconds: min(max(1, wait), Self.longestSilenceSeconds)) }
    }

    private func keep(_ response: HTTPResponse, of request: FeedRequest, _ provider: some GridProvider, _ old: Kept? = nil) {
        let etag = response.header("etag") ?? old?.etag
        let body = old?.body ?? response.body
        let age = Self.maximumAge(response.header("cache-control"))
        guard etag != nil || age > 0, body.count <= Self.keptBytes / 4 else { return }
        let now = now()
        state.withLock { state in
            state.kept[Source(url: request.url, credential: provider.credential)] = Kept(
                body: body,
                etag: etag,
                freshUntil: now + .seconds(age),
                usedAt: now
            )
            while state.kept.values.reduce(0, { $0 + $1.body.count }) > Self.keptBytes,
                let oldest = state.kept.min(by: { $0.value.usedAt < $1.value.usedAt })
            {
                state.kept[oldest.key] = nil
            }
        }
    }

    /// Seconds of `max-age`; 0 without one, or where an answer must not be kept.
    static func maximumAge(_ header: String?) -> Int64 {
        let parts = (header ?? "").lowercased().split(separator: ",").map { $0.filter { $0 != " " } }
        guard !parts.contains("no-store"), !parts.contains("no-cache") else { return 0 }
        let age = parts.first { $0.hasPrefix("max-age=") }.flatMap { Int64($0.dropFirst(8)) }
        return min(max(0, age ?? 0), longestFreshSeconds)
    }

    /// Seconds of `Retry-After`, at least one and at most `longestSilenceSeconds`; nil without a number there.
    static func silence(_ header: String?) -> Int? {
        guard let text = header?.filter({ $0 != " " }), !text.isEmpty, text.allSatisfy({ ("0"..."9").contains($0) }) else { return nil }
        // More digits than fit are a long time.
        return min(max(1, Int(text) ?? .max), longestSilenceSeconds)
    }

    private func file(_ path: String) throws -> [UInt8] {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw FeedFault.notConfigured("\(path): expected a file, found none that can be read")
        }
        return Array(bytes)
    }

    /// What a refusal says, as text of one line. What is cut is cut last, so that no half of a key is left.
    private static func words(of body: [UInt8], without secrets: FeedSecrets) -> String {
        let text = secrets.hidden(in: String(decoding: body.prefix(wordsRead), as: UTF8.self))
        return String(text.prefix(wordsTold).map { $0.isNewline ? " " : $0 })
    }
}

extension FeedCredential {
    fileprivate var isLogin: Bool { if case .login = self { true } else { false } }
}
