import Glibc

/// How a cancelled task wakes the thread that waits for the server on its behalf.
///
/// The cancellation handler runs on any thread and must not block, so it only notes which operation is meant and writes a byte into a
/// pipe. The connection's thread polls that pipe beside the socket and calls `PQcancel` itself: no other thread ever touches libpq. Each
/// operation has a number, so that a signal that comes late cannot cancel the operation after it.
final class CancelSignal: Sendable {
    /// Stands for one operation on one connection.
    struct Token: Sendable, Equatable {
        fileprivate var number: UInt64
    }

    private struct Numbers {
        var issued: UInt64 = 0
        var requested: UInt64 = 0
    }

    /// Readable when a cancellation may have been requested.
    let readEnd: Int32
    private let writeEnd: Int32
    private let numbers = Locked(Numbers())

    init() throws(PostgresError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw PostgresError(
                .connection,
                "no pipe for a connection's cancellation: \(String(cString: strerror(errno)))",
                hint: "Raise the limit of open files (ulimit -n) or lower the number of connections."
            )
        }
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

    /// Begins an operation.
    func issue() -> Token {
        numbers.withLock {
            $0.issued += 1
            return Token(number: $0.issued)
        }
    }

    /// Asks for the end of the operation `token`. Never blocks; a full pipe is as good as one more byte in it.
    func request(_ token: Token) {
        numbers.withLock { $0.requested = max($0.requested, token.number) }
        var byte: UInt8 = 1
        _ = write(writeEnd, &byte, 1)
    }

    /// Whether the end of `token` was asked for.
    func isRequested(_ token: Token) -> Bool {
        numbers.withLock { $0.requested == token.number }
    }

    /// Empties the pipe.
    func drain() {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while read(readEnd, buffer.baseAddress, buffer.count) > 0 {}
        }
    }
}
