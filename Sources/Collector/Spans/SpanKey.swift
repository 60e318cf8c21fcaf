import Crypto

/// What names a span: computed from it, an id needs no look-up and survives a change of host.
struct SpanKey: Hashable, Sendable {
    /// The name of the token or source that posted it, never the body's own `source`.
    var source: String
    var instance: String
    var id: String
    var attempt: Int

    /// - Parameter instance: as posted; its scheme, letter case and a slash at the end make no difference.
    init(source: String, instance: String, id: String, attempt: Int) {
        self.source = source
        self.instance = Self.name(ofInstance: instance)
        self.id = id
        self.attempt = attempt
    }

    /// For people: `my-farm/ci.example.org/opam-ci/4711/build/1/1`; a slash within the instance is `%2F`.
    var text: String {
        let instance =
            switch instance {
            case "": "-"
            case "-": "%2D"
            default: instance.replacing("%", with: "%25").replacing("/", with: "%2F")
            }
        return "\(source)/\(instance)/\(id)/\(attempt)"
    }

    /// Reads `text`; nil for anything else. An id may hold slashes.
    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 4, let attempt = parts.last.flatMap({ Int($0) }), !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        let instance = parts[1] == "-" ? "" : parts[1].replacing("%2D", with: "-").replacing("%2F", with: "/").replacing("%25", with: "%")
        self.init(source: parts[0], instance: instance, id: parts[2..<(parts.count - 1)].joined(separator: "/"), attempt: attempt)
    }

    /// `github.com` of `https://GitHub.com/`.
    static func name(ofInstance instance: String) -> String {
        var name = instance.lowercased()[...]
        for scheme in ["https://", "http://"] where name.hasPrefix(scheme) { name = name.dropFirst(scheme.count) }
        while name.hasSuffix("/") { name = name.dropLast() }
        return String(name)
    }

    var jobID: String { Self.name([source, instance, id, String(attempt)]) }

    /// Shared by a job and a hook's record of it, and by the attempts that take its result over: a runner works on one job at a time.
    static func runKey(source: String, instance: String, runID: String, runner: String) -> String {
        name(["run", source, name(ofInstance: instance), runID, runner.lowercased()])
    }

    /// 26 base-32 characters of the first 128 bits of SHA-256 over the length-prefixed parts.
    private static func name(_ parts: [String]) -> String {
        var hash = SHA256()
        for part in parts {
            let bytes = Array(part.utf8)
            withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { hash.update(bufferPointer: $0) }
            hash.update(data: bytes)
        }
        let value = hash.finalize().prefix(16).reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        return base32(value)
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
