import Glibc

/// A thread that computes until it is told to stop.
final class BusyThread {
    private var thread = pthread_t()

    /// Nil where the system gives no thread.
    init?(until stop: Flag) {
        let context = Unmanaged.passRetained(stop)
        let number = pthread_create(
            &thread,
            nil,
            { context in
                guard let context else { return nil }
                let stop = Unmanaged<Flag>.fromOpaque(context).takeRetainedValue()
                var x: UInt64 = 88_172_645_463_325_252
                while !stop.isSet {
                    for _ in 0..<10_000 {
                        x ^= x << 13
                        x ^= x >> 7
                        x ^= x << 17
                    }
                }
                // Used, so that it is computed.
                return x == 0 ? context : nil
            },
            context.toOpaque()
        )
        guard number == 0 else {
            context.release()
            return nil
        }
    }

    func join() { pthread_join(thread, nil) }
}
