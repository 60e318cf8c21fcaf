import Glibc

/// Small files that are read once, and directories.
enum SensorText {
    /// The whole file, at most 4 MiB of it.
    static func read(_ path: String) throws(SensorFault) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SensorFault(path: path, errno: errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < 4 << 20 {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count > 0 {
                bytes += chunk[..<count]
            } else if count == 0 {
                break
            } else if errno != EINTR {
                throw SensorFault(path: path, errno: errno)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The file without white space at its ends.
    static func word(_ path: String) throws(SensorFault) -> String {
        let text = try read(path)
        let isBlank = { (c: Character) in c == " " || c == "\n" || c == "\t" || c == "\0" }
        var rest = text[...]
        while let last = rest.last, isBlank(last) { rest.removeLast() }
        return String(rest.drop(while: isBlank))
    }

    static func number(_ path: String) throws(SensorFault) -> Int64 { try SensorFile(path).number() }

    /// The names in a directory, without `.` and `..`, in order.
    static func names(in path: String) throws(SensorFault) -> [String] {
        guard let directory = opendir(path) else { throw SensorFault(path: path, errno: errno) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Whether a directory is there, symbolic links followed.
    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
