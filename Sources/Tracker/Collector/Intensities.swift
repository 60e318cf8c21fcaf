import HTTPClient

extension CollectorClient {
    /// `GET /v1/intensity/{zone}`.
    ///
    /// - Parameters:
    ///   - from: start of the time in RFC 3339.
    ///   - basis: nil for what counts in the zone.
    /// - Returns: the answer's text.
    public func intensity(of zone: String, from: String, to: String, basis: String?) async throws(CollectorError) -> [UInt8] {
        var path = "/v1/intensity/\(CollectorClient.escaped(zone))?from=\(CollectorClient.escaped(from))&to=\(CollectorClient.escaped(to))"
        if let basis { path += "&basis=" + CollectorClient.escaped(basis) }
        return try await send("GET", path).body
    }

    /// `POST /v1/estimate`.
    ///
    /// - Returns: the answer's text.
    public func estimate(_ question: [UInt8]) async throws(CollectorError) -> [UInt8] {
        try await send("POST", "/v1/estimate", body: question, type: "application/json", timeout: .seconds(60)).body
    }
}
