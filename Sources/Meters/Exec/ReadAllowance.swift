import Energy

/// How much of what a program prints is taken in: one that prints without end must not take a core of the agent's.
///
/// A burst of one second's worth is taken at once. What goes beyond it is waited for; the pipe fills meanwhile, and then the program waits.
struct ReadAllowance {
    static let linesPerSecond = 200.0
    static let bytesPerSecond = 262_144.0

    private var lines = ReadAllowance.linesPerSecond
    private var bytes = ReadAllowance.bytesPerSecond
    private var last: Timestamp

    init(at now: Timestamp) { last = now }

    /// Counts what was read.
    ///
    /// - Returns: how long to read nothing.
    mutating func take(lines: Int, bytes: Int, at now: Timestamp) -> Microseconds {
        let seconds = max(0, (now - last).seconds)
        last = now
        self.lines = min(Self.linesPerSecond, self.lines + seconds * Self.linesPerSecond) - Double(lines)
        self.bytes = min(Self.bytesPerSecond, self.bytes + seconds * Self.bytesPerSecond) - Double(bytes)
        let debt = max(-self.lines / Self.linesPerSecond, -self.bytes / Self.bytesPerSecond)
        return debt > 0 ? Microseconds(Int64(debt * 1e6) + 1) : .zero
    }
}
