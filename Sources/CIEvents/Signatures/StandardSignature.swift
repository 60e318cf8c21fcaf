import Crypto
import Energy
import FoundationEssentials

/// The signature of Standard Webhooks 1.0.0: `v1,` and the base64 HMAC-SHA256 over `id.timestamp.body`.
enum StandardSignature {
    static let secretPrefix = "whsec_"
    /// How far the signed time may be from now, either way.
    static let tolerance = Microseconds.seconds(300)

    static func isSigned(_ delivery: Delivery) -> Bool { delivery.headers["webhook-signature"] != nil }

    static func isSecret(_ text: String) -> Bool { text.hasPrefix(secretPrefix) }

    /// One right signature of the list is enough; those of other versions (`v1a`: ed25519) are passed over.
    static func verify(_ delivery: Delivery, secrets: [String], now: Timestamp) throws(RefusedDelivery) {
        guard let id = delivery.headers["webhook-id"], !id.isEmpty, let time = delivery.headers["webhook-timestamp"],
            let signatures = delivery.headers["webhook-signature"], !signatures.isEmpty
        else {
            throw RefusedDelivery(
                .unsigned,
                "expected the headers webhook-id, webhook-timestamp and webhook-signature, found not all of them; give the sender the"
                    + " source's secret"
            )
        }
        guard time.utf8.count <= 12, time.utf8.allSatisfy({ (48...57).contains($0) }), let seconds = Int64(time) else {
            throw RefusedDelivery(.unsigned, "expected a webhook-timestamp in whole seconds since 1970, found something else")
        }
        let keys = secrets.compactMap(key)
        guard !keys.isEmpty else {
            throw RefusedDelivery(
                .wrongSignature,
                "expected a secret of the form whsec_BASE64 for signed deliveries, the source has none; give it one and the sender the same"
            )
        }
        let codes = signatures.split(separator: " ").prefix(20).compactMap { signature -> Data? in
            guard signature.hasPrefix("v1,") else { return nil }
            return Data(base64Encoded: String(signature.dropFirst(3)))
        }
        let signed = Array("\(id).\(time).".utf8) + delivery.body
        var isRight = false
        for key in keys {
            for code in codes {
                isRight = HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: signed, using: key) || isRight
            }
        }
        guard isRight else {
            throw RefusedDelivery(
                .wrongSignature,
                "expected a webhook-signature (v1) made with one of the source's secrets, found none; check that the sender has this"
                    + " source's secret and that nothing between changes the body"
            )
        }
        let distance = Timestamp(microseconds: seconds * 1_000_000) - now
        guard abs(distance.count) <= tolerance.count else {
            throw RefusedDelivery(
                .outsideReplayWindow,
                "expected a webhook-timestamp within \(tolerance.count / 1_000_000) s of now, found one"
                    + " \(abs(distance.count) / 1_000_000) s \(distance.count < 0 ? "ago" : "ahead"); check both clocks, or send it anew"
            )
        }
    }

    private static func key(_ secret: String) -> SymmetricKey? {
        guard isSecret(secret), let bytes = Data(base64Encoded: String(secret.dropFirst(secretPrefix.count))), !bytes.isEmpty else {
            return nil
        }
        return SymmetricKey(data: bytes)
    }
}
