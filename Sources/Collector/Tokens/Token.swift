import Crypto

/// A bearer token: `wtl_` and 160 random bits in base 32. Shown once; what is stored is its hash.
public struct Token: Sendable {
    public let text: String

    /// Draws a new one.
    public init() {
        let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        var random = SystemRandomNumberGenerator()
        text = "wtl_" + String(decoding: (0..<32).map { _ in alphabet[Int(random.next() & 31)] }, as: UTF8.self)
    }

    /// Nil for a text that has not the form of a token.
    public init?(_ text: String) {
        guard text.hasPrefix("wtl_"), text.utf8.count == 36 else { return nil }
        self.text = text
    }

    public var sha256: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }
}
