import Glibc

/// Runs blocking work on a thread made for it, so that the cooperative pool never waits.
package enum OwnThread {
    /// Returns what `work` returns; without a thread to be had it runs in place.
    package static func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            let box = Unmanaged.passRetained(Work { continuation.resume(returning: work()) })
            var thread = pthread_t()
            let code = pthread_create(
                &thread,
                nil,
                { context in
                    if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
                    return nil
                },
                box.toOpaque()
            )
            if code == 0 { pthread_detach(thread) } else { box.takeRetainedValue().body() }
        }
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}
