import Glibc

/// The state on disk, replaced as a whole: `state.json` with a checksum in its first line.
struct StateFile: Sendable {
    let path: String

    /// Nil where there is none yet.
    ///
    /// - Throws: `DiskFault` where it cannot be read or its checksum does not fit.
    func read() throws -> AgentState? {
        guard let bytes = try Disk.read(path) else { return nil }
        guard let end = bytes.firstIndex(of: 0x0A), let sum = UInt32(String(decoding: bytes[..<end], as: UTF8.self), radix: 16),
            case let body = Array(bytes[(end + 1)...]), CRC32.checksum(body) == sum
        else { throw DiskFault(path: path, reason: "expected a checksum that fits, found damage; the counts start anew at 0") }
        return try AgentState(decoding: body)
    }

    func write(_ state: [UInt8]) throws(DiskFault) {
        let sum = String(CRC32.checksum(state), radix: 16)
        try Disk.replace(path, with: Array(sum.utf8) + [0x0A] + state)
    }
}
