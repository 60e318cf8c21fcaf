import Glibc

/// Runs blocking work on a thread of its own, so that it never holds a thread of the cooperative pool.
enum OwnThread {
    private final class Work {
        let body: @Sendable () -> Void

        init(body: @escaping @Sendable () -> Void) { self.body = body }
    }

    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    /// Returns when the body has returned. Ending the body early is the caller's work: a thread cannot be cancelled.
    ///
    /// - Throws: `Fault` where the system gives no thread.
    static func run(_ name: String, _ body: @escaping @Sendable () -> Void) async throws(Fault) {
        let number: Int32 = await withCheckedContinuation { continuation in
            let work = Work {
                body()
                continuation.resume(returning: 0)
            }
            let context = Unmanaged.passRetained(work)
            var thread = pthread_t()
            let number = pthread_create(
                &thread,
                nil,
                { context in
                    guard let context else { return nil }
                    let work = Unmanaged<Work>.fromOpaque(context).takeRetainedValue()
                    work.body()
                    return nil
                },
                context.toOpaque()
            )
            if number == 0 {
                pthread_detach(thread)
            } else {
                context.release()
                continuation.resume(returning: number)
            }
        }
        guard number == 0 else { throw Fault(description: "cannot start the thread \(name): \(Errno.text(number))") }
    }
}
