import Documents

/// Text within a URL.
enum URLPart {
    /// A repository's name, its slashes kept.
    static func path(_ name: String) -> String { name.split(separator: "/").map { String($0).percentEncoded }.joined(separator: "/") }
}
