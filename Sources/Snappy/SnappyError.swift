/// Why bytes were not compressed or unpacked.
public enum SnappyError: Error, Hashable, Sendable, CustomStringConvertible {
    /// libsnappy is not on this machine; the loader's own words.
    case unavailable(String)
    /// Not snappy's block format, or damaged.
    case malformed
    /// Unpacked it says that it is longer than the caller accepts.
    case tooLong(bytes: Int, limitBytes: Int)

    public var description: String {
        switch self {
        case .unavailable(let reason): "libsnappy is needed for remote write: \(reason); install libsnappy1v5"
        case .malformed: "expected snappy's block format, found other or damaged bytes"
        case .tooLong(let bytes, let limit): "expected at most \(limit) bytes once unpacked, found a length of \(bytes)"
        }
    }
}
