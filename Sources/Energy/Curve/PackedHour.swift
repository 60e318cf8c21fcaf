/// A curve in one UTC hour, with the nearest knot on either side and its gaps: it stands alone, and always has the same bytes.
///
/// The bytes: the format's number, the hour and how many knots there are; each knot as its distance from the one before it; the flags of
/// those that have any; the gaps. `docs/decisions/0016-an-hour-of-a-curve-is-packed-into-bytes-that-name-it.md` has the reasons and the sizes.
public struct PackedHour: Hashable, Sendable {
    /// Bytes that no `PackedHour` wrote.
    public struct Malformed: Error, Hashable, CustomStringConvertible {
        public let description: String
    }

    public var hour: Hour
    /// The last knot before the hour; nil where there is one at its very start, or none after it.
    public var before: Knot?
    /// Those from the hour's start to before its end.
    public var knots: [Knot]
    /// The first knot at or after the hour's end; nil where there is none before it.
    public var after: Knot?
    /// Those that reach into the hour, whole.
    public var gaps: [Gap]

    /// The hour's part of a curve.
    public init(_ curve: Curve, hour: Hour) {
        self.hour = hour
        let all = curve.knots
        let first = all.firstIndexSorted { $0.time >= hour.start }
        let end = all.firstIndexSorted { $0.time >= hour.end }
        let startsWithKnot = first < all.count && all[first].time == hour.start
        // A curve that ends before the hour or begins after it says nothing of it, wherever it ends or begins.
        before = first > 0 && first < all.count && !startsWithKnot ? all[first - 1] : nil
        knots = Array(all[first..<end])
        after = end > 0 && end < all.count ? all[end] : nil
        gaps = curve.gaps.filter { $0.interval.intersection(hour.interval) != nil }
    }

    /// The curve again, from the knot before the hour to the one after it.
    public var curve: Curve { Curve(knots: allKnots, gaps: gaps) }

    private var allKnots: [Knot] { (before.map { [$0] } ?? []) + knots + (after.map { [$0] } ?? []) }
}

// MARK: Bytes

extension PackedHour {
    private static let format: UInt64 = 1
    /// By their place in this list, which only ever grows.
    private static let causes: [Gap.Cause] = [.wrap, .reboot, .reset, .suspend, .absence, .unreadable]

    public var bytes: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(24 + knots.count * 9)
        out.append(variable: Self.format)
        out.append(signed: hour.number)
        out.append(variable: UInt64(knots.count) << 2 | (before == nil ? 0 : 2) | (after == nil ? 0 : 1))
        var time = hour.start.microseconds
        var value: Int64 = 0
        var isFirst = true
        for knot in allKnots {
            let (step, rise) = (knot.time.microseconds &- time, knot.value &- value)
            // Only the first may lie before what it is counted from.
            out.append(
                pair: isFirst ? (Self.zigzag(step), Self.zigzag(rise)) : (UInt64(bitPattern: step), UInt64(bitPattern: rise))
            )
            (time, value, isFirst) = (knot.time.microseconds, knot.value, false)
        }
        let flagged = allKnots.enumerated().filter { !$0.element.flags.isEmpty }
        out.append(variable: UInt64(flagged.count))
        for (place, knot) in flagged {
            out.append(variable: UInt64(place))
            out.append(variable: UInt64(knot.flags.rawValue))
        }
        out.append(variable: UInt64(gaps.count))
        for gap in gaps {
            out.append(signed: gap.interval.start.microseconds &- hour.start.microseconds)
            out.append(variable: UInt64(bitPattern: gap.interval.duration.count))
            out.append(signed: gap.low)
            out.append(signed: gap.high)
            out.append(variable: UInt64(Self.causes.firstIndex(of: gap.cause) ?? Self.causes.count))
        }
        return out
    }

    public init(bytes: [UInt8]) throws(Malformed) {
        var reader = Reader(bytes: bytes)
        let format = try reader.variable()
        guard format == Self.format else {
            throw Malformed(
                description: "expected a packed hour of format \(Self.format), found format \(format): written by a later version"
            )
        }
        hour = Hour(number: try reader.signed())
        guard hour.number.magnitude < 2_500_000_000 else { throw Malformed(description: "expected an hour, found \(hour.number)") }
        let head = try reader.variable()
        let inner = Int(clamping: head >> 2)
        let count = inner.addingReportingOverflow(Int(head >> 1 & 1) + Int(head & 1))
        // A knot takes two bytes at least.
        guard !count.overflow, count.partialValue <= bytes.count else { throw Malformed(description: "expected knots, found the end") }
        var all: [Knot] = []
        all.reserveCapacity(count.partialValue)
        var time = hour.start.microseconds
        var value: Int64 = 0
        for number in 0..<count.partialValue {
            let pair = try reader.pair()
            let step = number == 0 ? Self.unzigzag(pair.0) : Int64(bitPattern: pair.0)
            let rise = number == 0 ? Self.unzigzag(pair.1) : Int64(bitPattern: pair.1)
            guard number == 0 || (step > 0 && rise >= 0) else {
                throw Malformed(description: "expected knots in order of time that never fall, found otherwise at knot \(number)")
            }
            time = try Self.sum(time, step)
            value = try Self.sum(value, rise)
            all.append(Knot(time: Timestamp(microseconds: time), value: value))
        }
        for _ in 0..<(try reader.count()) {
            guard let place = Int(exactly: try reader.variable()), all.indices.contains(place),
                let flags = UInt16(exactly: try reader.variable())
            else { throw Malformed(description: "expected the flags of a knot, found none of ours") }
            all[place].flags = KnotFlags(rawValue: flags)
        }
        before = head & 2 == 0 ? nil : all.removeFirst()
        after = head & 1 == 0 ? nil : all.popLast()
        knots = all
        gaps = []
        for _ in 0..<(try reader.count()) {
            let start = Timestamp(microseconds: try Self.sum(hour.start.microseconds, try reader.signed()))
            let end = Timestamp(microseconds: try Self.sum(start.microseconds, Int64(bitPattern: try reader.variable())))
            let low = try reader.signed()
            let high = try reader.signed()
            let cause = try reader.variable()
            guard start <= end, cause < UInt64(Self.causes.count) else {
                throw Malformed(description: "expected a gap, found none of ours")
            }
            gaps.append(Gap(interval: Interval(start, end), low: low, high: high, cause: Self.causes[Int(cause)]))
        }
        guard reader.isAtEnd else { throw Malformed(description: "expected the end of the packed hour, found more") }
        // The bytes name the hour: there is one form of it only.
        guard self.bytes == bytes else { throw Malformed(description: "expected the one form of the hour's knots, found another") }
    }

    private static func sum(_ a: Int64, _ b: Int64) throws(Malformed) -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        guard !overflow else { throw Malformed(description: "expected numbers of 64 bits, found larger ones") }
        return sum
    }

    fileprivate static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: (value << 1) ^ (value >> 63)) }
    fileprivate static func unzigzag(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { position == bytes.count }

        mutating func variable() throws(Malformed) -> UInt64 {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            while position < bytes.count, shift < 64 {
                let byte = bytes[position]
                position += 1
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
            throw Malformed(description: "expected a number at byte \(position) of \(bytes.count), found the end")
        }

        /// How many of something follow, each of which takes a byte at least.
        mutating func count() throws(Malformed) -> Int {
            let count = try variable()
            guard count <= UInt64(bytes.count - position) else { throw Malformed(description: "expected \(count) more, found the end") }
            return Int(count)
        }

        mutating func pair() throws(Malformed) -> (UInt64, UInt64) {
            guard position < bytes.count else { throw Malformed(description: "expected a knot at byte \(position), found the end") }
            let lengths = bytes[position]
            let (first, second) = (Int(lengths >> 4) + 1, Int(lengths & 0xF) + 1)
            let size = (first + second + 1) / 2
            guard bytes.count - position > size else { throw Malformed(description: "expected a knot at byte \(position), found the end") }
            var numbers: (UInt64, UInt64) = (0, 0)
            for place in 0..<first + second {
                let nibble = UInt64(bytes[position + 1 + place / 2] >> UInt8(place % 2 * 4) & 0xF)
                if place < first { numbers.0 |= nibble << UInt64(4 * place) } else { numbers.1 |= nibble << UInt64(4 * (place - first)) }
            }
            position += 1 + size
            return numbers
        }

        mutating func signed() throws(Malformed) -> Int64 { PackedHour.unzigzag(try variable()) }
    }
}

extension [UInt8] {
    /// Seven bits a byte, the lowest first.
    fileprivate mutating func append(variable number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    /// How many nibbles each number has, in one byte, and the nibbles, the lowest first.
    fileprivate mutating func append(pair numbers: (UInt64, UInt64)) {
        func nibbles(_ number: UInt64) -> Int { Swift.max(1, (64 - number.leadingZeroBitCount + 3) / 4) }
        let (first, second) = (nibbles(numbers.0), nibbles(numbers.1))
        append(UInt8((first - 1) << 4 | (second - 1)))
        var byte: UInt8 = 0
        for place in 0..<first + second {
            let nibble =
                UInt8(truncatingIfNeeded: place < first ? numbers.0 >> UInt64(4 * place) : numbers.1 >> UInt64(4 * (place - first))) & 0xF
            if place % 2 == 0 { byte = nibble } else { append(byte | nibble << 4) }
        }
        if (first + second) % 2 == 1 { append(byte) }
    }

    fileprivate mutating func append(signed number: Int64) { append(variable: PackedHour.zigzag(number)) }
}

extension RandomAccessCollection where Index == Int {
    /// Where those begin of which this is true; it is false of all before them.
    fileprivate func firstIndexSorted(_ isAfter: (Element) -> Bool) -> Int {
        var low = startIndex
        var high = endIndex
        while low < high {
            let middle = low + (high - low) / 2
            if isAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
