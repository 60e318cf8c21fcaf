import Glibc

/// Wakes a thread that waits in `poll`, as often as it is rung.
final class PollBell: Sendable {
    /// Becomes readable at a ring.
    let readEnd: Int32
    private let writeEnd: Int32

    init() throws(DiskFault) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw DiskFault(path: "pipe", doing: "make one") }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    func ring() {
        var byte: UInt8 = 1
        // A full pipe wakes as well.
        _ = write(writeEnd, &byte, 1)
    }

    /// Forgets the rings so far.
    func silence() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(readEnd, &bytes, bytes.count) == bytes.count {}
    }
}
