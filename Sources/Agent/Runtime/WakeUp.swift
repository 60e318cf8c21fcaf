import CLinux
import Energy
import Glibc
import Synchronization

/// Wakes a thread that waits in `poll`, and tells it to stop.
final class WakeUp: Sendable {
    /// Becomes readable when the thread is to wake.
    let readEnd: Int32
    private let writeEnd: Int32
    private let stopping = Atomic(false)

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

    var isStopping: Bool { stopping.load(ordering: .acquiring) }

    func stop() {
        stopping.store(true, ordering: .releasing)
        ring()
    }

    /// Wakes it, and does not stop it.
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

    /// Waits until a monotonic time, until `stop`, or until a descriptor can be read, which is what it returns.
    func wait(until deadline: Microseconds, orReadable descriptor: Int32 = -1) -> Bool {
        let watched = (readEnd, descriptor)
        let readable = withUnsafeBytes(of: watched) { bytes in
            wattle_wait_until(deadline.count, bytes.assumingMemoryBound(to: Int32.self).baseAddress, 2)
        }
        return readable & 2 != 0
    }
}
