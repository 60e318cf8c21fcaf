import CLinux
import Glibc

/// Answers requests, one connection at a time: a line with a path, answered by `ok` with the descriptor beside it or by
/// `error <errno> <reason>`. Who asks has a second for it.
struct Broker {
    static let longestRequest = 255

    let options: Options
    let user: uid_t
    var said = Said()

    mutating func serve(_ connection: Int32) {
        var (pid, uid, gid): (Int32, UInt32, UInt32) = (0, 0, 0)
        guard wattle_peer(connection, &pid, &uid, &gid) == 0 else { return }
        guard uid == user || uid == 0 else {
            log("refused user \(uid)")
            return answer(connection, "error \(EPERM) only root and user \(options.user) may ask")
        }
        var buffer = [UInt8](repeating: 0, count: Self.longestRequest + 1)
        guard let count = Self.line(from: connection, into: &buffer) else { return }
        let path = buffer[..<count]
        // All that is listed is shorter.
        let text = String(decoding: path.prefix(80).map { (0x20..<0x7F).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
        guard let allowed = options.allowed.first(where: { $0.matches(path) }) else {
            log("refused to open '\(text)'")
            return answer(connection, "error \(EACCES) not among the paths of wattle-broker --print-paths")
        }
        let descriptor = open(text, allowed)
        // What is not there is no refusal: devices come and go.
        if descriptor < 0, descriptor != -ENOENT { log("cannot open \(text): \(String(cString: strerror(-descriptor)))") }
        guard descriptor >= 0 else { return answer(connection, "error \(-descriptor) cannot be opened") }
        answer(connection, "ok", descriptor)
        close(descriptor)
    }

    /// A descriptor, or the negated errno. Links are followed where the kernel makes them, in /sys, and never out of it.
    private func open(_ path: String, _ allowed: AllowedPath) -> Int32 {
        let base = String(path.prefix(4))
        let directory = wattle_open(options.root + base, O_DIRECTORY)
        guard directory >= 0 else { return directory }
        defer { close(directory) }
        // O_NONBLOCK: a pipe in the place of a file must not hold the broker.
        let flags = (allowed.isWritable ? O_RDWR : O_RDONLY) | O_NONBLOCK
        let descriptor = wattle_open_beneath(directory, String(path.dropFirst(5)), flags, base == "/sys")
        guard descriptor >= 0 else { return descriptor }
        var status = stat()
        let isFile = fstat(descriptor, &status) == 0 && [S_IFREG, S_IFCHR].contains(status.st_mode & S_IFMT)
        if isFile, fcntl(descriptor, F_SETFL, 0) == 0 { return descriptor }
        close(descriptor)
        return -EACCES
    }

    /// The length of one line, or all of the buffer where it is too long; nil where none came in time.
    private static func line(from connection: Int32, into buffer: inout [UInt8]) -> Int? {
        let end = milliseconds() + 1_000
        var count = 0
        while count < buffer.count {
            var polled = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
            let left = end - milliseconds()
            guard left > 0, poll(&polled, 1, Int32(left)) > 0 else { return nil }
            let got = buffer.withUnsafeMutableBytes { recv(connection, $0.baseAddress! + count, $0.count - count, 0) }
            guard got > 0 else { return nil }
            count += got
            if let newline = buffer[..<count].firstIndex(of: UInt8(ascii: "\n")) { return newline }
        }
        return count
    }

    private static func milliseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    }

    private func answer(_ connection: Int32, _ text: String, _ descriptor: Int32 = -1) {
        let line = Array("\(text)\n".utf8)
        _ = wattle_send_descriptor(connection, line, line.count, descriptor)
    }

    private mutating func log(_ text: String) { said.add(text, at: Self.milliseconds()).map(BrokerProgram.say) }
}

/// What was logged within the last hour; bounded, so that nobody can fill memory or the log.
struct Said {
    private var times: [String: Int] = [:]

    /// The line to log; nil for one that was logged, and beyond 64 of them.
    mutating func add(_ text: String, at milliseconds: Int) -> String? {
        times = times.filter { milliseconds - $0.value < 3_600_000 }
        guard times.count < 64, times[text] == nil else { return nil }
        times[text] = milliseconds
        return times.count == 64 ? "\(text); no more will be logged for up to an hour" : text
    }
}
