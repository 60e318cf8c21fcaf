import CLinux
import Energy
import Glibc

/// A thread for calls that may block. It is told to end when this object is released, and nobody waits until it has: one that hangs
/// in the kernel must not keep the program from ending.
final class SensorThread: Sendable {
    /// What the thread's work waits on.
    ///
    /// Readable (hung up) once the thread is to end.
    final class Stop: Sendable {
        let descriptor: Int32

        fileprivate init(descriptor: Int32) { self.descriptor = descriptor }
        deinit { close(descriptor) }

        /// Waits for a time; true where the thread is to end.
        func wait(_ duration: Microseconds) -> Bool {
            let deadline = SensorThread.now() + max(.zero, duration)
            while true {
                let left = max(0, (deadline - SensorThread.now()).count)
                var one = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                let count = poll(&one, 1, Int32(clamping: (left + 999) / 1_000))
                if count > 0 { return true }
                if count == 0, left <= Int64(Int32.max) { return false }
                if count < 0, errno != EINTR { return true }
            }
        }

        var isSet: Bool { wait(.zero) }
    }

    private final class Work {
        let body: @Sendable (Stop) -> Void
        let stop: Stop

        init(body: @escaping @Sendable (Stop) -> Void, stop: Stop) {
            self.body = body
            self.stop = stop
        }
    }

    private let writeEnd: Int32

    /// - Throws: `SensorFault` with the `errno` of what could not be had.
    init(_ name: String, _ body: @escaping @Sendable (Stop) -> Void) throws(SensorFault) {
        var readEnd: Int32 = -1
        var writeEnd: Int32 = -1
        let failed = wattle_pipe(&readEnd, &writeEnd)
        guard failed == 0 else { throw SensorFault(path: name, errno: failed) }
        self.writeEnd = writeEnd
        let context = Unmanaged.passRetained(Work(body: body, stop: Stop(descriptor: readEnd)))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        // Little is done there: the usual 8 MiB of stack would only be counted against the program.
        pthread_attr_setstacksize(&attributes, 512 << 10)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let code = pthread_create(
            &thread,
            &attributes,
            { context in
                guard let context else { return nil }
                // Signals belong to the program's own threads.
                var all = sigset_t()
                sigfillset(&all)
                pthread_sigmask(SIG_BLOCK, &all, nil)
                let work = Unmanaged<Work>.fromOpaque(context).takeRetainedValue()
                work.body(work.stop)
                return nil
            },
            context.toOpaque()
        )
        pthread_attr_destroy(&attributes)
        guard code == 0 else {
            context.release()
            throw SensorFault(path: name, errno: code)
        }
    }

    deinit { close(writeEnd) }

    /// A clock for waiting, without meaning outside this program.
    static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }
}
