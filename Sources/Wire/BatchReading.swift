public import Energy

/// What is wrong with a batch: the field, what was expected, what was found.
public struct BatchFault: Error, Equatable, CustomStringConvertible {
    public var field: String
    public var expected: String
    public var found: String

    public init(field: String, expected: String, found: String) {
        self.field = field
        self.expected = expected
        self.found = found
    }

    public var description: String { "field \(field): expected \(expected), found \(found)" }
}

extension WireKnotColumn {
    /// The column's knots; the inverse of `init(ref:knots:)`.
    ///
    /// - Throws: `BatchFault` where the columns differ in length, times do not grow, values fall, or a number overflows.
    public func knots() throws(BatchFault) -> [Knot] {
        guard tDeltaUs.count == valueDelta.count else {
            throw BatchFault(
                field: "knots[\(ref)].value_delta",
                expected: "\(tDeltaUs.count) values, one a time",
                found: "\(valueDelta.count)"
            )
        }
        guard flags.isEmpty || flags.count == tDeltaUs.count else {
            throw BatchFault(field: "knots[\(ref)].flags", expected: "none or \(tDeltaUs.count)", found: "\(flags.count)")
        }
        var knots: [Knot] = []
        knots.reserveCapacity(tDeltaUs.count)
        var time: Int64 = 0
        var value: Int64 = 0
        for i in tDeltaUs.indices {
            if i > 0 {
                guard tDeltaUs[i] > 0 else {
                    throw BatchFault(field: "knots[\(ref)].t_delta_us[\(i)]", expected: "more than 0", found: "\(tDeltaUs[i])")
                }
                guard valueDelta[i] >= 0 else {
                    throw BatchFault(field: "knots[\(ref)].value_delta[\(i)]", expected: "0 or more", found: "\(valueDelta[i])")
                }
            }
            let (nextTime, timeOverflows) = time.addingReportingOverflow(tDeltaUs[i])
            let (nextValue, valueOverflows) = value.addingReportingOverflow(valueDelta[i])
            guard !timeOverflows, WireLimits.times.contains(nextTime) else {
                throw BatchFault(
                    field: "knots[\(ref)].t_delta_us[\(i)]",
                    expected: "a time from 1970 to 2200",
                    found: "\(tDeltaUs[i]) more"
                )
            }
            guard !valueOverflows, WireLimits.values.contains(nextValue) else {
                throw BatchFault(
                    field: "knots[\(ref)].value_delta[\(i)]",
                    expected: "a value from 0 to 2^62",
                    found: "\(valueDelta[i]) more"
                )
            }
            time = nextTime
            value = nextValue
            let flag = flags.isEmpty ? 0 : flags[i]
            knots.append(
                Knot(
                    time: Timestamp(microseconds: time),
                    value: value,
                    flags: KnotFlags(rawValue: UInt16(truncatingIfNeeded: flag & 0x7fff))
                )
            )
        }
        return knots
    }

    /// A column from knots in order of time.
    public init(ref: UInt32, knots: [Knot]) {
        self.init()
        self.ref = ref
        var time: Int64 = 0
        var value: Int64 = 0
        tDeltaUs.reserveCapacity(knots.count)
        valueDelta.reserveCapacity(knots.count)
        for knot in knots {
            tDeltaUs.append(knot.time.microseconds - time)
            valueDelta.append(knot.value - value)
            time = knot.time.microseconds
            value = knot.value
        }
        if knots.contains(where: { !$0.flags.isEmpty }) { flags = knots.map { UInt32($0.flags.rawValue) } }
    }
}

/// What a batch may hold.
public enum WireLimits {
    /// Times from 1970 to 2200, µs.
    public static let times: ClosedRange<Int64> = 0...7_258_118_400_000_000
    /// Values from 0 to 2^62, so that sums of two never overflow.
    public static let values: ClosedRange<Int64> = 0...(1 << 62)
    /// Bytes of an uncompressed batch. An agent seals at most half of it at a time.
    public static let batchBytes = 4 << 20
    /// Knots of a batch. An agent seals at most half of them at a time.
    public static let batchKnots = 100_000
    /// Columns, announced curves, tails, gaps and workloads of a batch, all together.
    public static let batchParts = 65_536
}
