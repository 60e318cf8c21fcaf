import ArgumentParser
import Glibc

/// A file that the user named.
enum InputText {
    /// The whole file as text; `-` is standard input.
    ///
    /// - Throws: `ValidationError` where it cannot be read.
    static func read(_ path: String, most: Int = 256 << 20) throws -> String {
        guard let file = fopen(path == "-" ? "/dev/stdin" : path, "r") else {
            throw ValidationError("\(path): expected a file to read, found \(errno == ENOENT ? "none" : "one that cannot be read")")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { break }
            bytes += buffer[..<count]
            guard bytes.count <= most else { throw ValidationError("\(path): expected at most \(most >> 20) MiB, found more") }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
