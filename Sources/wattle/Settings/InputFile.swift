import Glibc

/// A file, or standard input as `-`, read whole.
enum InputFile {
    /// Nil where it cannot be opened or read, or is longer than the limit; `errno` tells why.
    static func read(_ path: String, atMost limit: Int) -> [UInt8]? {
        let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { if path != "-" { close(descriptor) } }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return content }
            content += buffer[..<count]
            if content.count > limit {
                errno = EFBIG
                return nil
            }
        }
    }
}
