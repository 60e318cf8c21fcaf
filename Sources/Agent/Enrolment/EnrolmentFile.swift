import FoundationEssentials
import Glibc

/// The agent's own token, as the collector gave it for an enrolment: `enrolment.json` among the agent's state, for its user only.
struct EnrolmentFile: Hashable, Sendable {
    struct Enrolment: Codable, Hashable, Sendable {
        /// The token is for this collector and no other. Without a slash at its end.
        var collector: String
        /// The name under which the collector knows this machine.
        var host: String
        var token: String
    }

    let path: String

    init(stateDirectory: String) { path = "\(stateDirectory)/enrolment.json" }

    /// Nil where there is none.
    ///
    /// - Throws: `DiskFault` where it cannot be read or is something else.
    func read() throws(DiskFault) -> Enrolment? {
        guard let bytes = try Disk.read(path) else { return nil }
        do {
            return try JSONDecoder().decode(Enrolment.self, from: Data(bytes))
        } catch {
            throw DiskFault(path: path, reason: "expected what `wattle-agent enrol` wrote, found something else; enrol again")
        }
    }

    private var directory: String { String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) }

    /// Makes the directory, and sees that it can be written: an enrol token that is spent for nothing is lost.
    func prepare() throws(DiskFault) {
        let owner = Self.owner(near: directory)
        let isNew = access(directory, F_OK) != 0
        try Disk.makeDirectory(directory)
        if isNew { try Self.give(directory, to: owner) }
        guard access(directory, W_OK | X_OK) == 0 else { throw DiskFault(path: directory, doing: "write there") }
    }

    /// Puts it there as a whole. A root user leaves it to whom the directory belongs.
    func write(_ enrolment: Enrolment) throws(DiskFault) {
        let bytes: [UInt8]
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            bytes = Array(try encoder.encode(enrolment)) + [0x0A]
        } catch {
            throw DiskFault(path: path, reason: "\(error)")
        }
        try Disk.replace(path, with: bytes, mode: 0o600)
        try Self.give(path, to: Self.owner(near: directory))
    }

    private static func give(_ path: String, to owner: (uid: uid_t, gid: gid_t)?) throws(DiskFault) {
        guard geteuid() == 0, let owner, owner.uid != 0 else { return }
        guard chown(path, owner.uid, owner.gid) == 0 else { throw DiskFault(path: path, doing: "give it to the agent's user") }
    }

    /// Whose the directory is, or the nearest one above it that is there.
    private static func owner(near directory: String) -> (uid: uid_t, gid: gid_t)? {
        var place = directory[...]
        var status = stat()
        while !place.isEmpty {
            if stat(String(place), &status) == 0 { return (status.st_uid, status.st_gid) }
            place = place[..<(place.lastIndex(of: "/") ?? place.startIndex)]
        }
        return nil
    }
}
