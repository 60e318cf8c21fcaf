import Crypto

/// What stays the same when an event is delivered again.
enum EventKey {
    static let maximumBytes = 200

    /// The sender's own name for it, where it is one that can be stored; else the body's digest.
    static func named(_ name: String?, _ delivery: Delivery) -> String {
        guard let name, !name.isEmpty, name.utf8.count <= maximumBytes, !name.utf8.contains(0) else { return digest(delivery) }
        return name
    }

    /// 64 hex digits of the body's SHA-256.
    static func digest(_ delivery: Delivery) -> String { Hex.text(SHA256.hash(data: delivery.body)) }
}
