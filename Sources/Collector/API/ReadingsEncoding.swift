import Gzip
import HTTPTypes

/// How the body of a batch is encoded (`Content-Encoding`).
enum ReadingsEncoding: Hashable, Sendable {
    case identity, gzip

    /// - Throws: `Problem` 415 that says what is taken.
    init(header: String?) throws(Problem) {
        switch header?.trimmed.lowercased() {
        case nil, "", "identity": self = .identity
        case "gzip", "x-gzip": self = .gzip
        default:
            throw Problem(
                type: "unsupported-encoding",
                title: "The encoding is not supported",
                detail: "expected no Content-Encoding or gzip, found \(header ?? "")",
                status: .unsupportedMediaType,
                fields: [.acceptEncoding: "gzip"]
            )
        }
    }

    /// The body as it was before.
    ///
    /// - Parameter limit: the most that it may then have, in bytes; nothing much beyond that is unpacked.
    /// - Throws: `Problem` 400 for damaged bytes, 413 for too many, 415 where this machine has no zlib.
    func decode(_ body: [UInt8], limit: Int) throws(Problem) -> [UInt8] {
        guard self == .gzip else { return body }
        do throws(GzipError) {
            return try Gzip.decompress(body, limit: limit)
        } catch {
            switch error {
            case .tooLong: throw Problem.tooLarge(limitBytes: limit)
            case .unavailable:
                // The agent then sends it uncompressed.
                throw Problem(
                    type: "unsupported-encoding",
                    title: "The encoding is not supported",
                    detail: "\(error)",
                    status: .unsupportedMediaType
                )
            case .malformed, .truncated, .trailing:
                throw Problem.badRequest("malformed-encoding", "The body cannot be unpacked", error.description)
            }
        }
    }
}
