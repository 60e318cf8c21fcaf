import Glibc

/// An advisory lock on a file (`flock`). The kernel releases it when its holder ends, however it ends.
final class FileLock {
    private let descriptor: Int32

    /// Opens the file, making it when needed, and takes no lock yet.
    init(path: String) throws(PostgresError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw ClusterFiles.failure("open the lock file", path) }
    }

    deinit { close(descriptor) }

    func tryExclusive() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }
    func tryShared() -> Bool { flock(descriptor, LOCK_SH | LOCK_NB) == 0 }
    func release() { flock(descriptor, LOCK_UN) }
}
