import Glibc

/// A file whose first word is a token.
public enum TokenFile {
    /// - Throws: where there is no such file, or something else in it.
    public static func read(_ path: String) throws -> String {
        guard let bytes = try Disk.read(path) else {
            throw AgentProgram.Fault(description: "\(path): expected a file with the token, found none")
        }
        return try token(in: bytes, of: path)
    }

    public static func token(in bytes: [UInt8], of place: String) throws(AgentProgram.Fault) -> String {
        let token = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).first.map(String.init) ?? ""
        guard !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw AgentProgram.Fault(description: "\(place): expected a token of printable ASCII, found something else")
        }
        return token
    }

    /// Whether others than its owner may read it.
    static func isOpenToOthers(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & 0o077 != 0
    }
}
