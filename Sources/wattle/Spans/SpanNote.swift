import Energy
import Glibc
import Tracker

/// What the start of a span leaves on this machine for its end: when it began.
///
/// A file of one line in `RUNNER_TEMP`, `XDG_RUNTIME_DIR` or `/tmp`, for this user only.
struct SpanNote {
    let path: String

    init(id: String, environment: (String) -> String? = Settings.variable) {
        let directory = environment("RUNNER_TEMP") ?? environment("XDG_RUNTIME_DIR") ?? "/tmp"
        // FNV-1a: only to make a file name of any text.
        let hash = id.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        path = "\(directory)/wattle-span-\(getuid())-\(String(hash, radix: 16))"
    }

    /// False where it cannot be written; then the end must be told the start with --started-at.
    func write(_ startedAt: Timestamp) -> Bool {
        unlink(path)
        // Made anew, never through a link that somebody else put there.
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        writeAll(startedAt.rfc3339 + "\n", to: descriptor)
        close(descriptor)
        return true
    }

    func read() -> Timestamp? {
        var information = stat()
        guard lstat(path, &information) == 0, information.st_uid == getuid(), information.st_mode & S_IFMT == S_IFREG,
            let bytes = InputFile.read(path, atMost: 100)
        else { return nil }
        return Timestamp(rfc3339: String(String(decoding: bytes, as: UTF8.self).prefix { !$0.isNewline }))
    }

    func remove() { unlink(path) }
}
