/// URLs of REST interfaces, and the installations that they belong to.
enum APIAddress {
    /// Without a slash at its end.
    static func checked(_ text: String, example: String) throws(HistoryError) -> String {
        var url = text
        while url.hasSuffix("/") { url.removeLast() }
        guard url.hasPrefix("https://") || url.hasPrefix("http://"), !url.contains("?"), !url.contains("#"), !url.contains("@") else {
            throw HistoryError(.unreadable, "expected the URL of a REST interface such as \(example), without user name or query")
        }
        return url
    }

    /// `https://api.github.com` is `https://github.com`, `https://api.name.ghe.com` is `https://name.ghe.com`, and
    /// `https://ghe.example.org/api/v3` is `https://ghe.example.org`.
    static func gitHubInstance(of url: String) -> String {
        if url.hasSuffix("/api/v3") { return String(url.dropLast(7)) }
        for scheme in ["https://", "http://"] where url.hasPrefix(scheme + "api.") { return scheme + url.dropFirst(scheme.count + 4) }
        return url
    }

    /// `https://gitlab.example.org/api/v4`, with or without its end.
    static func gitLab(_ text: String) throws(HistoryError) -> (api: String, instance: String) {
        let url = try checked(text, example: GitLabHistory.publicURL)
        if url.hasSuffix("/api/v4") { return (url, String(url.dropLast(7))) }
        return (url + "/api/v4", url)
    }
}

extension GitHubHistory {
    /// The installation that an API belongs to, as webhooks name it.
    public static func instance(ofAPI url: String) throws(HistoryError) -> String {
        APIAddress.gitHubInstance(of: try APIAddress.checked(url, example: publicURL))
    }
}

extension GitLabHistory {
    /// The installation that an API belongs to, as webhooks name it.
    public static func instance(ofAPI url: String) throws(HistoryError) -> String { try APIAddress.gitLab(url).instance }
}
