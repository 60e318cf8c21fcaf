import FoundationEssentials
public import HTTPClient

/// What went wrong between this program and a collector.
public struct CollectorError: Error, Sendable, CustomStringConvertible {
    /// HTTP status where there was a response.
    public let status: Int?
    public let description: String
}

/// A collector's HTTP interface, as clients use it.
public struct CollectorClient: Sendable {
    /// Without a slash at its end.
    public let url: String
    private let token: String?
    private let http: HTTPClient

    /// - Parameters:
    ///   - url: `https://wattle.example.org`, with a path where the collector has one.
    ///   - token: sent as `Authorization: Bearer`.
    /// - Throws: `CollectorError` where the URL is not one of HTTP.
    public init(url: String, token: String?, http: HTTPClient) throws(CollectorError) {
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw CollectorError(status: nil, description: "expected a collector's URL that begins with https:// or http://, found \(url)")
        }
        var url = url
        while url.hasSuffix("/") { url.removeLast() }
        self.url = url
        self.token = token
        self.http = http
    }

    /// `POST /v1/spans` with a body as it is: one span, an array, or one per line.
    ///
    /// - Returns: the response's text.
    public func postSpans(_ body: [UInt8], isNDJSON: Bool = false, timeout: Duration = .seconds(15)) async throws(CollectorError) -> [UInt8]
    {
        try await send("POST", "/v1/spans", body: body, type: isNDJSON ? "application/x-ndjson" : "application/json", timeout: timeout).body
    }

    /// `POST /v1/spans` with one span.
    ///
    /// - Returns: the job's id.
    public func post(_ span: SpanPost, timeout: Duration = .seconds(15)) async throws(CollectorError) -> SpansAccepted.Span {
        let answer = try decode(SpansAccepted.self, try await postSpans(span.json, timeout: timeout), of: "/v1/spans")
        guard let first = answer.accepted.first else {
            throw CollectorError(status: nil, description: "\(url): expected an accepted span in the answer, found none")
        }
        return first
    }

    /// `DELETE /v1/spans/{id}`.
    public func deleteSpan(_ id: String) async throws(CollectorError) {
        _ = try await send("DELETE", "/v1/spans/" + CollectorClient.escaped(id))
    }

    /// `GET /v1/jobs/{id}`, the decoded footprint and the text it came as.
    ///
    /// - Parameter policy: how idle energy is shared out; nil for the collector's usual way.
    public func job(_ id: String, policy: String? = nil) async throws(CollectorError) -> (footprint: JobFootprint, json: [UInt8]) {
        let path = "/v1/jobs/" + CollectorClient.escaped(id) + CollectorClient.query(policy)
        let body = try await send("GET", path).body
        return (try decode(JobFootprint.self, body, of: path), body)
    }

    /// `GET /v1/jobs/{id}/explain`, the decoded steps and the text they came as.
    public func explanation(
        of id: String,
        policy: String? = nil
    ) async throws(CollectorError) -> (explanation: Explanation, json: [UInt8]) {
        let path = "/v1/jobs/" + CollectorClient.escaped(id) + "/explain" + CollectorClient.query(policy)
        let body = try await send("GET", path, timeout: .seconds(60)).body
        return (try decode(Explanation.self, body, of: path), body)
    }

    private static func query(_ policy: String?) -> String { policy.map { "?policy=" + escaped($0) } ?? "" }

    /// `GET /v1/hosts/{name}/hours` with the jobs of each hour, all pages of it.
    ///
    /// - Parameters:
    ///   - from: start of the range in RFC 3339, inclusive.
    ///   - to: its end, exclusive.
    public func hours(ofHost name: String, from: String, to: String) async throws(CollectorError) -> HostHours {
        var path: String? =
            "/v1/hosts/\(CollectorClient.escaped(name))/hours?from=\(CollectorClient.escaped(from))&to=\(CollectorClient.escaped(to))&jobs=true"
        var all = HostHours(host: name, hours: [])
        var pages = 0
        while let current = path {
            let response = try await send("GET", current)
            let page = try decode(HostHours.self, response.body, of: current)
            all.host = page.host
            all.hours += page.hours
            // Of all the time that was asked for, on each page.
            all.carbon = page.carbon
            path = CollectorClient.nextPage(response.header("link"), of: url)
            pages += 1
            guard pages < 10_000 else { throw CollectorError(status: nil, description: "\(url): the list of hours does not end") }
        }
        return all
    }

    func send(
        _ method: String,
        _ path: String,
        body: [UInt8] = [],
        type: String? = nil,
        timeout: Duration = .seconds(30)
    ) async throws(CollectorError) -> HTTPResponse {
        var headers = [("Accept", "application/json")]
        if let type { headers.append(("Content-Type", type)) }
        if let token { headers.append(("Authorization", "Bearer \(token)")) }
        let response: HTTPResponse
        do throws(HTTPError) {
            response = try await http.send(HTTPRequest(method: method, url: url + path, headers: headers, body: body, timeout: timeout))
        } catch {
            throw CollectorError(status: nil, description: error.description)
        }
        guard (200..<300).contains(response.status) else {
            throw CollectorError(
                status: response.status,
                description:
                    "\(method) \(HTTPError(kind: .other, url: url + path, message: "").url): \(CollectorClient.problem(in: response))"
            )
        }
        return response
    }

    /// What a response that is not a success says: `title: detail` of its problem document, else its status.
    static func problem(in response: HTTPResponse) -> String {
        struct Problem: Decodable {
            var title: String?
            var detail: String?
        }
        let type = response.header("content-type") ?? ""
        if type.hasPrefix("application/problem+json") || type.hasPrefix("application/json"),
            let problem = try? JSONDecoder().decode(Problem.self, from: Data(response.body)),  // else the status alone is told
            let title = problem.title ?? problem.detail
        {
            return problem.title != nil && problem.detail != nil ? "\(title): \(problem.detail ?? "")" : title
        }
        switch response.status {
        case 401: return "status 401: the collector wants a token, or another one (--token, WATTLE_TOKEN)"
        case 403: return "status 403: the token does not allow this"
        case 404: return "status 404: not found"
        default: return "status \(response.status)"
        }
    }

    func decode<Answer: Decodable>(_ type: Answer.Type, _ body: [UInt8], of path: String) throws(CollectorError) -> Answer {
        do {
            return try JSONDecoder().decode(type, from: Data(body))
        } catch {
            throw CollectorError(
                status: nil,
                description: "\(url + path): the answer is not as expected: \(CollectorClient.text(of: error))"
            )
        }
    }

    private static func text(of error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        func path(_ context: DecodingError.Context) -> String { context.codingPath.map(\.stringValue).joined(separator: ".") }
        return switch error {
        case .keyNotFound(let key, let context): "no \(key.stringValue) in \(path(context))"
        case .valueNotFound(_, let context): "null at \(path(context))"
        case .typeMismatch(_, let context): "another kind of value at \(path(context))"
        case .dataCorrupted(let context): path(context).isEmpty ? "not JSON" : "\(path(context)): \(context.debugDescription)"
        @unknown default: "\(error)"
        }
    }

    /// The path of `Link: <...>; rel="next"`, which must lie below this collector: its token goes nowhere else.
    static func nextPage(_ link: String?, of url: String) -> String? {
        for part in (link ?? "").split(separator: ",") where part.contains("rel=\"next\"") || part.contains("rel=next") {
            guard let open = part.firstIndex(of: "<"), let close = part.firstIndex(of: ">"), open < close else { continue }
            let target = part[part.index(after: open)..<close]
            if target.hasPrefix(url + "/") { return String(target.dropFirst(url.count)) }
            guard target.hasPrefix("/"), !target.hasPrefix("//") else { continue }
            // With or without the path below which a proxy may have put the collector.
            let authority = url.dropFirst(url.hasPrefix("https://") ? 8 : 7)
            let base = authority.firstIndex(of: "/").map { authority[$0...] } ?? ""
            return String(!base.isEmpty && target.hasPrefix(base + "/") ? target.dropFirst(base.count) : target)
        }
        return nil
    }

    /// A path segment or query value, percent-encoded.
    static func escaped(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let hex = String(byte, radix: 16, uppercase: true)
                result += "%" + (hex.count == 1 ? "0" : "") + hex
            }
        }
        return result
    }
}
