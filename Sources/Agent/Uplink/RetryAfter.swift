import Energy

/// How long a server asks to be left alone.
enum RetryAfter {
    /// A server that asks for more is asked again after this.
    static let longest = Duration.seconds(3_600)

    /// - Parameters:
    ///   - header: seconds, or a date.
    ///   - date: the answer's `Date` header. A date is taken against the clock that wrote it; the machine's own may be wrong.
    ///   - now: the machine's time, used where the answer has no date.
    /// - Returns: from 0 to `longest`; nil for what is neither.
    static func delay(_ header: String, date: String?, now: Timestamp) -> Duration? {
        if !header.isEmpty, header.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            // A number that no Int64 holds is a long time too.
            return min(.seconds(Int64(header).map { min($0, 1_000_000) } ?? 1_000_000), longest)
        }
        guard let until = HTTPDate.time(parsing: header) else { return nil }
        let wait = until - (date.flatMap { HTTPDate.time(parsing: $0) } ?? now)
        return min(max(.zero, .microseconds(wait.count)), longest)
    }
}
