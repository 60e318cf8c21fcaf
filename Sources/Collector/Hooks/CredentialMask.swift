/// Makes secrets unreadable before anything is stored: those known by their value, and those known by their form.
///
/// What replaces them is `***`, which leaves JSON as well-formed as it was.
struct CredentialMask: Sendable {
    /// Shorter ones would be found by chance everywhere.
    static let shortestSecret = 8

    private let secrets: [[UInt8]]

    /// - Parameter secrets: as they are; their form within a JSON text (`\/`) is known too.
    init(secrets: [String] = []) {
        var all: Set<[UInt8]> = []
        for secret in secrets where secret.utf8.count >= Self.shortestSecret {
            all.insert(Array(secret.utf8))
            all.insert(Array(secret.replacing("/", with: "\\/").utf8))
        }
        // Longer ones first: one may begin with another.
        self.secrets = all.sorted { $0.count > $1.count }
    }

    /// What tokens begin with, and how many of their letters follow at least.
    private static let forms: [(start: [UInt8], least: Int)] = [
        ("wtl_", 20), ("ghp_", 20), ("gho_", 20), ("ghu_", 20), ("ghs_", 20), ("ghr_", 20), ("github_pat_", 20), ("glpat-", 16),
        ("gldt-", 16), ("glrt-", 16), ("glcbt-", 16), ("glptt-", 16), ("glft-", 16), ("gloas-", 16), ("glsoat-", 16), ("whsec_", 20),
        ("xoxb-", 16), ("xoxp-", 16), ("npm_", 20), ("pypi-", 20), ("bkua_", 20), ("bkat_", 20), ("AKIA", 16), ("eyJ", 24),
    ].map { (Array($0.0.utf8), $0.1) }

    private static let userSchemeMark = Array("://".utf8)

    func masked(_ text: String) -> String { String(decoding: masked(Array(text.utf8)), as: UTF8.self) }

    func masked(_ bytes: [UInt8]) -> [UInt8] {
        var firsts = [Bool](repeating: false, count: 256)
        for secret in secrets { firsts[Int(secret[0])] = true }
        for form in Self.forms { firsts[Int(form.start[0])] = true }
        firsts[Int(UInt8(ascii: ":"))] = true

        return bytes.withUnsafeBufferPointer { bytes in
            var result: [UInt8] = []
            result.reserveCapacity(bytes.count)
            var position = 0
            var copied = 0
            func mask(from start: Int, to end: Int) {
                result += bytes[copied..<start]
                result += [UInt8](repeating: UInt8(ascii: "*"), count: 3)
                copied = end
                position = end
            }
            scan: while position < bytes.count {
                guard firsts[Int(bytes[position])] else {
                    position += 1
                    continue
                }
                for secret in secrets where Self.holds(bytes, secret, at: position) {
                    mask(from: position, to: position + secret.count)
                    continue scan
                }
                for form in Self.forms where Self.holds(bytes, form.start, at: position) {
                    // In the midst of a longer word it is none.
                    if position > 0, Self.isLetter(bytes[position - 1]) { break }
                    var end = position + form.start.count
                    while end < bytes.count, Self.isTokenLetter(bytes[end]) { end += 1 }
                    if end - position - form.start.count >= form.least {
                        mask(from: position + form.start.count, to: end)
                        continue scan
                    }
                }
                if Self.holds(bytes, Self.userSchemeMark, at: position), let secret = Self.password(in: bytes, after: position + 3) {
                    mask(from: secret.lowerBound, to: secret.upperBound)
                    continue scan
                }
                position += 1
            }
            result += bytes[copied...]
            return result
        }
    }

    /// `user:PASSWORD@` of an address.
    private static func password(in bytes: UnsafeBufferPointer<UInt8>, after start: Int) -> Range<Int>? {
        var colon: Int?
        for index in start..<min(bytes.count, start + 512) {
            switch bytes[index] {
            case UInt8(ascii: "@"): return colon.flatMap { $0 + 1 < index ? ($0 + 1)..<index : nil }
            case UInt8(ascii: ":"): colon = colon ?? index
            case UInt8(ascii: "/"), UInt8(ascii: "\""), UInt8(ascii: "\\"), 0...32: return nil
            default: break
            }
        }
        return nil
    }

    private static func holds(_ bytes: UnsafeBufferPointer<UInt8>, _ part: [UInt8], at position: Int) -> Bool {
        guard bytes.count - position >= part.count else { return false }
        for offset in part.indices where bytes[position + offset] != part[offset] { return false }
        return true
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }

    /// The dot is for the parts of a JWT.
    private static func isTokenLetter(_ byte: UInt8) -> Bool {
        isLetter(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }
}
