import Synchronization

/// Lets in so many bytes of bodies at a time, and so many decoders: refusing comes before memory grows.
final class ReadingsAdmission: Sendable {
    private struct State {
        var bytes = 0
        var decoders = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    /// Of bodies as sent, all requests together.
    let limitBytes: Int
    /// An unpacked batch and what is made of it take several times `WireLimits.batchBytes` for a moment.
    let limitDecoders: Int
    private let state = Mutex(State())

    init(limitBytes: Int = 16 << 20, limitDecoders: Int = 2) {
        self.limitBytes = limitBytes
        self.limitDecoders = limitDecoders
    }

    /// Bytes that are under way.
    var bytes: Int { state.withLock { $0.bytes } }

    /// Runs `body` with so many bytes taken.
    ///
    /// - Throws: `Problem` 429 where that is too much at the moment.
    func admit<Value: Sendable>(_ bytes: Int, _ body: () async throws -> Value) async throws -> Value {
        let isAdmitted = state.withLock { state in
            guard state.bytes == 0 || state.bytes + bytes <= limitBytes else { return false }
            state.bytes += bytes
            return true
        }
        guard isAdmitted else { throw Problem.busy }
        defer { state.withLock { $0.bytes -= bytes } }
        return try await body()
    }

    /// Runs `body` when it is its turn.
    func decode<Value: Sendable>(_ body: () throws -> Value) async rethrows -> Value {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.decoders < limitDecoders else {
                    state.waiting.append(continuation)
                    return false
                }
                state.decoders += 1
                return true
            }
            if isFree { continuation.resume() }
        }
        defer {
            let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
                if state.waiting.isEmpty {
                    state.decoders -= 1
                    return nil
                }
                return state.waiting.removeFirst()
            }
            next?.resume()
        }
        return try body()
    }
}
