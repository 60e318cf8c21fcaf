import HTTPClient

extension CollectorClient {
    /// `GET` of a path with all pages that follow, as they came.
    ///
    /// - Parameter items: of the query, unescaped.
    public func pages(_ path: String, _ items: [(name: String, value: String)]) async throws(CollectorError) -> [[UInt8]] {
        let query = items.map { "\($0.name)=\(CollectorClient.escaped($0.value))" }.joined(separator: "&")
        var next: String? = query.isEmpty ? path : "\(path)?\(query)"
        var pages: [[UInt8]] = []
        while let current = next {
            let response = try await send("GET", current, timeout: .seconds(60))
            pages.append(response.body)
            next = CollectorClient.nextPage(response.header("link"), of: url)
            guard pages.count < 10_000 else { throw CollectorError(status: nil, description: "\(url): the pages of \(path) do not end") }
        }
        return pages
    }

    /// A path's part with nothing in it that means something else there.
    public static func pathPart(_ text: String) -> String { escaped(text) }
}
