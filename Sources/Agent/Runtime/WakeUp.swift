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
        var byte: UInt8 = 1
        // A full pipe wakes as well.
        _ = write(writeEnd, &byte, 1)
    }

    /// Waits until a monotonic time in µs, or until `stop`.
    func wait(untilMonotonic deadline: Microseconds) {
        while !isStopping {
            let left = (deadline - ClockReading.now().monotonic).count
            guard left > 0 else { return }
            if left >= 1_000 {
                var polled = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
                _ = poll(&polled, 1, Int32(clamping: left / 1_000))
            } else {
                // poll knows whole milliseconds only.
                var until = timespec(tv_sec: Int(deadline.count / 1_000_000), tv_nsec: Int(deadline.count % 1_000_000) * 1_000)
                _ = clock_nanosleep(CLOCK_MONOTONIC, Int32(TIMER_ABSTIME), &until, nil)
                return
            }
        }
    }
}
