import Glibc

/// A value behind a lock, for small state that several threads touch.
///
/// What `Synchronization.Mutex` is, on a POSIX mutex: the Linux one is a bare futex, which ThreadSanitizer cannot see, so that it reports
/// a race wherever two threads really meet at a `Mutex` (Swift 6.3). This one it understands.
///
/// `@unchecked Sendable` because the value is reached only through `withLock`, and the POSIX mutex orders those.
final class Locked<Value: Sendable>: @unchecked Sendable {
    private var value: Value
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init(_ value: Value) {
        self.value = value
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deinitialize(count: 1)
        mutex.deallocate()
    }

    /// Runs `body` alone. It must be short and must not block, take this lock again, or resume a continuation: the runtime holds a task's
    /// own lock while it runs that task's cancellation handlers, and resuming takes it.
    func withLock<Outcome, Failure: Error>(_ body: (inout Value) throws(Failure) -> Outcome) throws(Failure) -> Outcome {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
