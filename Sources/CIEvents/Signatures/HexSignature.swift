import Crypto

/// The hex HMAC-SHA256 of the raw body that many systems send.
enum HexSignature {
    /// - Parameter signature: hex digits of either case.
    static func isValid(_ signature: some StringProtocol, of body: [UInt8], secrets: [String]) -> Bool {
        guard let code = Hex.bytes(signature), code.count == SHA256.byteCount else { return false }
        return secrets.reduce(false) { found, secret in
            let isRight =
                !secret.isEmpty
                && HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: body, using: SymmetricKey(data: Array(secret.utf8)))
            return isRight || found
        }
    }
}
