/// Why a walk cannot go on. Never holds a token.
public struct HistoryError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable {
        /// The token is missing, unknown, expired or may not read this.
        case notAllowed
        /// There is no such organisation, group or user, or the token does not see it.
        case notFound
        /// No answer, or a server's error, several times over: the same question may be answered later.
        case unavailable
        /// An answer in a form that is not known, or a question that the system does not take.
        case unreadable
    }

    public let kind: Kind
    public let description: String

    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}
