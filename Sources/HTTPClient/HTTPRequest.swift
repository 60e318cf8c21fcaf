/// One HTTP request, complete in memory.
public struct HTTPRequest: Sendable {
    /// `GET`, `POST`, `DELETE`...; sent as written.
    public var method: String
    /// An absolute `http` or `https` URL.
    public var url: String
    /// Sent in this order. A name given here replaces libcurl's own header of that name.
    public var headers: [(String, String)]
    public var body: [UInt8]
    /// The longest that the whole exchange may take, name look-up and waiting for a connection included.
    public var timeout: Duration

    public init(
        method: String = "GET",
        url: String,
        headers: [(String, String)] = [],
        body: [UInt8] = [],
        timeout: Duration = .seconds(30)
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }
}

/// The answer to a request, whatever its status: a 500 is an answer, not an error of the exchange.
public struct HTTPResponse: Sendable {
    public let status: Int
    /// As received, in order; names keep the sender's spelling.
    public let headers: [(name: String, value: String)]
    public let body: [UInt8]

    public init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first header of that name, compared without regard to ASCII case.
    public func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }
}
