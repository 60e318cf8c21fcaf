import CLinux
import Glibc

/// Files of a few kilobytes, `/proc` and `/sys` among them, read whole.
enum SmallFile {
    /// The file's text; nil where it does not exist or may not be read, or is longer than 1 MiB.
    static func read(_ path: String) -> String? { bytes(path).map { String(decoding: $0, as: UTF8.self) } }

    static func bytes(_ path: String, atMost limit: Int = 1 << 20) -> [UInt8]? {
        let descriptor = wattle_open(path, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return content }
            content += buffer[..<count]
            if content.count > limit { return nil }
        }
    }
}
