/// A length of time in whole microseconds.
public struct Microseconds: Hashable, Comparable, Sendable {
    public var count: Int64

    public init(_ count: Int64) { self.count = count }

    public static let zero = Microseconds(0)
    public static func milliseconds(_ n: Int64) -> Microseconds { Microseconds(n * 1_000) }
    public static func seconds(_ n: Int64) -> Microseconds { Microseconds(n * 1_000_000) }
    public static let hour = Microseconds.seconds(3_600)
    public static let day = Microseconds.seconds(86_400)

    public var seconds: Double { Double(count) / 1e6 }

    public static func < (a: Microseconds, b: Microseconds) -> Bool { a.count < b.count }
    public static func + (a: Microseconds, b: Microseconds) -> Microseconds { Microseconds(a.count + b.count) }
    public static func - (a: Microseconds, b: Microseconds) -> Microseconds { Microseconds(a.count - b.count) }
    public static func += (a: inout Microseconds, b: Microseconds) { a = a + b }
}

/// An instant: microseconds since 1970-01-01T00:00:00Z, without leap seconds.
public struct Timestamp: Hashable, Comparable, Sendable {
    public var microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }

    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.microseconds < b.microseconds }
    public static func + (a: Timestamp, b: Microseconds) -> Timestamp { Timestamp(microseconds: a.microseconds + b.count) }
    public static func - (a: Timestamp, b: Microseconds) -> Timestamp { Timestamp(microseconds: a.microseconds - b.count) }
    public static func - (a: Timestamp, b: Timestamp) -> Microseconds { Microseconds(a.microseconds - b.microseconds) }

    /// The UTC hour that contains this instant.
    public var hour: Hour { Hour(containing: self) }
}

/// A half-open interval `[start, end)` of time.
public struct Interval: Hashable, Sendable {
    public var start: Timestamp
    public var end: Timestamp

    /// An empty interval when `end` is before `start`.
    public init(_ start: Timestamp, _ end: Timestamp) {
        self.start = start
        self.end = max(start, end)
    }

    public var duration: Microseconds { end - start }
    public var isEmpty: Bool { start == end }

    /// The part both intervals share, or nil when they share none.
    public func intersection(_ other: Interval) -> Interval? {
        let low = max(start, other.start)
        let high = min(end, other.end)
        return low < high ? Interval(low, high) : nil
    }

    public func contains(_ t: Timestamp) -> Bool { start <= t && t < end }
}

/// A UTC hour, numbered from the epoch: the unit in which accounts are kept.
public struct Hour: Hashable, Comparable, Sendable {
    public var number: Int64

    public init(number: Int64) { self.number = number }

    public init(containing t: Timestamp) {
        let length = Microseconds.hour.count
        let quotient = t.microseconds / length
        self.number = t.microseconds % length < 0 ? quotient - 1 : quotient
    }

    public var start: Timestamp { Timestamp(microseconds: number * Microseconds.hour.count) }
    public var end: Timestamp { start + .hour }
    public var interval: Interval { Interval(start, end) }
    public var next: Hour { Hour(number: number + 1) }

    public static func < (a: Hour, b: Hour) -> Bool { a.number < b.number }

    /// The hours that an interval touches, in order; none for an empty one.
    public static func touching(_ interval: Interval) -> [Hour] {
        guard !interval.isEmpty else { return [] }
        let first = Hour(containing: interval.start)
        let last = Hour(containing: Timestamp(microseconds: interval.end.microseconds - 1))
        return (first.number...last.number).map { Hour(number: $0) }
    }
}
