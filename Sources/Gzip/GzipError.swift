/// Why bytes were not compressed or unpacked.
public enum GzipError: Error, Hashable, Sendable, CustomStringConvertible {
    /// zlib is not on this machine, or has no memory; the library's own words.
    case unavailable(String)
    /// Not gzip, or damaged; what zlib says.
    case malformed(String)
    /// The bytes end before the gzip member does.
    case truncated
    /// Something follows the gzip member.
    case trailing(bytes: Int)
    /// Unpacked it is longer than the caller accepts.
    case tooLong(limitBytes: Int)

    public var description: String {
        switch self {
        case .unavailable(let reason): "zlib is needed for gzip: \(reason); install zlib1g"
        case .malformed(let reason): "expected gzip, found other or damaged bytes: \(reason)"
        case .truncated: "expected a whole gzip member, found only its beginning"
        case .trailing(let bytes): "expected one gzip member, found \(bytes) more bytes behind it"
        case .tooLong(let limit): "expected at most \(limit) bytes once unpacked, found more"
        }
    }
}
