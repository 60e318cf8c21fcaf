import Crypto

/// What names a span: computed from it, an id needs no look-up and survives a change of host.
struct SpanKey: Hashable, Sendable {
    /// The name of the token or source that posted it, never the body's own `source`.
    var source: String
    var instance: String
    var id: String
    var attempt: Int

    /// For people: `my-farm/ci.example.org/opam-ci/4711/build/1/1`.
    var text: String { "\(source)/\(instance.isEmpty ? "-" : instance)/\(id)/\(attempt)" }

    /// 26 base-32 characters of the first 128 bits of SHA-256 over the length-prefixed parts.
    var jobID: String {
        var hash = SHA256()
        for part in [source, instance, id, String(attempt)] {
            let bytes = Array(part.utf8)
            withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { hash.update(bufferPointer: $0) }
            hash.update(data: bytes)
        }
        let value = hash.finalize().prefix(16).reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        return SpanKey.base32(value)
    }

    /// Crockford's alphabet in lower case; 128 bits in 26 characters, the first of which holds 3 bits.
    private static func base32(_ value: UInt128) -> String {
        let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        let characters = stride(from: 125, through: 0, by: -5).map { alphabet[Int(truncatingIfNeeded: value >> UInt128($0)) & 31] }
        return String(decoding: characters, as: UTF8.self)
    }

    /// Whether a text has the form of a job id.
    static func isJobID(_ text: String) -> Bool {
        text.utf8.count == 26 && text.utf8.allSatisfy { "0123456789abcdefghjkmnpqrstvwxyz".utf8.contains($0) }
    }
}
