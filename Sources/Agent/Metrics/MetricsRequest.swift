/// What the first bytes of a connection amount to. Bodies are not read: nothing that is served takes one.
enum MetricsRequest: Hashable, Sendable {
    /// The head is not complete yet.
    case incomplete
    case metrics(headOnly: Bool)
    /// A status, and a text for people.
    case refused(Int, String)

    /// A head longer than this is refused.
    static let longestHead = 8 << 10

    init(_ bytes: [UInt8]) {
        guard let end = Self.endOfHead(bytes) else {
            self = bytes.count > Self.longestHead ? .refused(431, "expected a head of at most \(Self.longestHead) bytes") : .incomplete
            return
        }
        let line = bytes[..<end].prefix { $0 != 0x0D && $0 != 0x0A }
        let words = line.split(separator: 0x20, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 3, words[2].hasPrefix("HTTP/"), !words[0].isEmpty else {
            self = .refused(400, "expected a request such as GET /metrics HTTP/1.1")
            return
        }
        guard words[2].hasPrefix("HTTP/1.") else {
            self = .refused(505, "expected HTTP/1.1")
            return
        }
        let path = words[1].prefix { $0 != "?" }
        guard path == "/metrics" else {
            self = .refused(404, "there is only /metrics")
            return
        }
        switch words[0] {
        case "GET": self = .metrics(headOnly: false)
        case "HEAD": self = .metrics(headOnly: true)
        default: self = .refused(405, "expected GET or HEAD")
        }
    }

    /// After the empty line, in either way of ending lines.
    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        var lineLength = 0
        for (i, byte) in bytes.prefix(longestHead).enumerated() {
            if byte == 0x0A {
                if lineLength == 0, i > 1 { return i + 1 }
                lineLength = 0
            } else if byte != 0x0D {
                lineLength += 1
            }
        }
        return nil
    }

    /// A whole response. The connection ends with it.
    static func response(_ status: Int, _ mediaType: String, _ body: String, headOnly: Bool = false) -> [UInt8] {
        let reasons = [
            200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
            431: "Request Header Fields Too Large", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
        ]
        let head =
            "HTTP/1.1 \(status) \(reasons[status] ?? "Error")\r\nContent-Type: \(mediaType)\r\nContent-Length: \(body.utf8.count)\r\n"
            + "Cache-Control: no-store\r\n" + (status == 405 ? "Allow: GET, HEAD\r\n" : "") + "Connection: close\r\n\r\n"
        return Array((headOnly ? head : head + body).utf8)
    }
}
