import Glibc

/// A user of the operating system.
struct ServerAccount: Hashable, Sendable {
    var name: String
    var userID: uid_t
    var groupID: gid_t

    /// The user that this process runs as.
    static func current() -> ServerAccount {
        let userID = geteuid()
        return look { getpwuid_r(userID, $0, $1, $2, $3) } ?? ServerAccount(name: String(userID), userID: userID, groupID: getegid())
    }

    /// A user by name, nil when there is none.
    static func named(_ name: String) -> ServerAccount? {
        look { getpwnam_r(name, $0, $1, $2, $3) }
    }

    private static func look(
        _ call: (
            UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int, UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
        ) -> Int32
    ) -> ServerAccount? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16_384) { buffer in
            guard let base = buffer.baseAddress, call(&entry, base, buffer.count, &found) == 0, found != nil else { return nil }
            return ServerAccount(name: String(cString: entry.pw_name), userID: entry.pw_uid, groupID: entry.pw_gid)
        }
    }
}
