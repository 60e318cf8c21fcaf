import Crypto
import FoundationEssentials

/// Secrets that senders know, compared without telling by the time it takes how much of a guess was right.
enum SecretText {
    /// The texts' digests are compared, so that not even the secret's length shows. Nothing equals an empty secret.
    static func isEqual(_ given: String, _ secret: String) -> Bool {
        guard !secret.isEmpty else { return false }
        return SHA256.hash(data: Array(given.utf8)) == SHA256.hash(data: Array(secret.utf8))
    }

    /// Whether it is one of them; each is compared, whichever fits.
    static func isAny(_ given: String, of secrets: [String]) -> Bool {
        secrets.reduce(false) { found, secret in isEqual(given, secret) || found }
    }

    /// 32 random bytes from the system's source.
    static func randomBytes() -> [UInt8] {
        var source = SystemRandomNumberGenerator()
        return (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &source) }
    }

    /// 64 hex digits.
    static func newHex() -> String { Hex.text(randomBytes()) }

    /// `whsec_` and base64, as Standard Webhooks write it.
    static func newStandard() -> String { StandardSignature.secretPrefix + Data(randomBytes()).base64EncodedString() }
}
