/// Why no response came back.
public struct HTTPError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Kind: String, Sendable, Hashable {
        /// The host's name, or the proxy's, is not known.
        case resolve
        /// Nobody answers at the address, or the connection broke.
        case connect
        case timeout
        /// No trusted encrypted connection could be made.
        case tls
        /// The response is longer than the client accepts.
        case bodyTooLarge
        /// The task that sent it was cancelled.
        case cancelled
        /// A malformed URL or header, a broken response, libcurl missing; see the message.
        case other
    }

    public let kind: Kind
    /// The request's URL without user name, password and query, which may hold keys: fit for a log.
    public let url: String
    public let message: String

    public init(kind: Kind, url: String, message: String) {
        self.kind = kind
        self.url = HTTPError.withoutSecrets(url)
        self.message = message
    }

    public var description: String { "\(url): \(message)" }

    /// A URL without user name, password, query and fragment: fit to be shown.
    public static func withoutSecrets(_ url: String) -> String {
        var text = Substring(url)
        if let end = text.firstIndex(where: { $0 == "?" || $0 == "#" }) { text = text[..<end] }
        guard let scheme = text.firstIndex(of: ":"), text[scheme...].hasPrefix("://") else {
            return text.contains("@") ? "(malformed URL)" : String(text)
        }
        let rest = text[text.index(scheme, offsetBy: 3)...]
        let authorityEnd = rest.firstIndex(of: "/") ?? rest.endIndex
        let host = rest[..<authorityEnd].lastIndex(of: "@").map { rest[rest.index(after: $0)..<authorityEnd] } ?? rest[..<authorityEnd]
        return text[...scheme] + "//" + host + rest[authorityEnd...]
    }
}
