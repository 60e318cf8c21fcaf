import Energy
import Postgres

/// What is known of a curve before a batch is written.
struct CurveHead: Sendable {
    var curveID: Int32
    var kind: String
    /// What the collector adds to the agent's count.
    var base: Int64
    var tail: Knot?
    var lastKnot: Knot?
    var completeUntil: Int64?

    static let columns = "s.ref, c.curve_id, c.kind, c.base, t.t, t.value, t.knot_t, t.knot_value, t.complete_until"

    init(_ row: PostgresRow) throws {
        func knot(_ time: String, _ value: String) throws -> Knot? {
            guard let t = try row.timestampMicrosecondsIfPresent(time), let value = try row.int64IfPresent(value) else { return nil }
            return Knot(time: Timestamp(microseconds: t), value: value)
        }
        curveID = try row.int32("curve_id")
        kind = try row.string("kind")
        base = try row.int64("base")
        tail = try knot("t", "value")
        lastKnot = try knot("knot_t", "knot_value")
        completeUntil = try row.timestampMicrosecondsIfPresent("complete_until")
    }
}

/// A batch's knots and tails held against the heads of its curves: what is to be written, found out before anything is. Pure.
struct ReadingsPlacement {
    struct Column {
        let curveID: Int32
        let base: Int64
        /// As the agent counts; `base` comes on top.
        let knots: ArraySlice<Knot>
    }

    struct Tail {
        let curveID: Int32
        let time: Int64
        let value: Int64
        let completeUntil: Int64
        let lastKnot: Knot?
    }

    private(set) var columns: [Column] = []
    private(set) var tails: [Tail] = []
    /// The hours whose accounts the batch can change.
    private(set) var hours: Set<Hour> = []

    /// - Parameters:
    ///   - heads: of every curve that the batch names, by its ref.
    ///   - ended: the last samples of meters that have ended: what follows them is not missing any more.
    /// - Throws: `ReadingsFault` for knots that contradict the curve's head.
    init(_ record: ReadingsRecord, heads: [Int32: CurveHead], ended: [Timestamp] = [], now: Timestamp) throws(ReadingsFault) {
        var written: [Int32: (first: Timestamp, last: Knot)] = [:]
        for (ref, knots) in record.columns {
            guard let head = heads[ref] else { throw Self.unknown(ref) }
            guard let kept = try Self.place(knots, ref: ref, head: head, after: written[ref]?.last ?? head.lastKnot) else { continue }
            columns.append(kept.column)
            written[ref] = (written[ref]?.first ?? kept.first, kept.last)
        }
        let tailsByRef = Dictionary(record.tails.map { ($0.ref, $0) }) { $1 }
        let refs = tailsByRef.keys.filter { written[$0] == nil } + written.keys
        for ref in refs.sorted() {
            guard let head = heads[ref] else { throw Self.unknown(ref) }
            addTail(tailsByRef[ref], head: head, lastKnot: written[ref]?.last ?? head.lastKnot)
        }
        for (ref, head) in heads { touch(head, tail: tailsByRef[ref], written: written[ref], now: now) }
        for time in ended { touch(time, now) }
        for (_, gap) in record.gaps { touch(gap.interval.start, gap.interval.end) }
    }

    static func unknown(_ ref: Int32) -> ReadingsFault {
        ReadingsFault(field: "ref", expected: "a curve that this stream has announced", found: "\(ref)")
    }

    /// The knots that follow the head.
    ///
    /// A knot at or before the head's time is left out: its energy is in the later ones, since values are cumulative.
    private static func place(
        _ knots: [Knot],
        ref: Int32,
        head: CurveHead,
        after last: Knot?
    ) throws(ReadingsFault) -> (column: Column, first: Timestamp, last: Knot)? {
        guard let end = knots.last else { return nil }
        // Values never fall within a column: the last is the largest.
        let (value, overflow) = end.value.addingReportingOverflow(head.base)
        guard !overflow, value >= 0 else {
            throw ReadingsFault(
                field: "knots[\(ref)].value_delta",
                expected: "a value that fits on top of \(head.base)",
                found: "\(end.value)"
            )
        }
        var kept = knots[...]
        if let last { kept = kept.drop { $0.time <= last.time } }
        guard let first = kept.first else { return nil }
        if let last, first.value + head.base < last.value {
            throw ReadingsFault(
                field: "knots[\(ref)].value_delta",
                expected: "at least \(last.value - head.base), the curve's last value",
                found: "\(first.value)"
            )
        }
        try checkRises(kept, ref: ref, head: head, after: last)
        return (
            Column(curveID: head.curveID, base: head.base, knots: kept), first.time, Knot(time: end.time, value: value, flags: end.flags)
        )
    }

    /// No machine draws a megawatt, and none has 65,536 processors: what says so is broken, and one such value would drown a farm's sums.
    private static func checkRises(_ knots: ArraySlice<Knot>, ref: Int32, head: CurveHead, after last: Knot?) throws(ReadingsFault) {
        // µJ a µs, and µs a µs; memory is bounded by what a value may be.
        let most: Int64
        switch head.kind {
        case "meter": most = 1_000_000
        case "host_busy", "agent_cpu", "workload_cpu": most = 65_536
        default: return
        }
        var before = last.map { (time: $0.time, value: $0.value - head.base) }
        for knot in knots {
            defer { before = (knot.time, knot.value) }
            guard let before else { continue }
            // Readings have times that are a little off: ten seconds at that rate.
            let (room, isBeyond) = ((knot.time - before.time).count + 10_000_000).multipliedReportingOverflow(by: most)
            guard isBeyond || knot.value - before.value <= room else {
                throw ReadingsFault(
                    field: "knots[\(ref)].value_delta",
                    expected:
                        "at most \(room) within \((knot.time - before.time).count) µs, \(head.kind == "meter" ? "1 MW" : "65536 CPUs")",
                    found: "\(knot.value - before.value)"
                )
            }
        }
    }

    private mutating func addTail(_ tail: ReadingsRecord.Tail?, head: CurveHead, lastKnot: Knot?) {
        // Held below the top, so that an absurd tail cannot overflow; the next knot tells what is so.
        // A curve with knots but no tail in the batch gets its last knot for a tail.
        var sample =
            tail.map { Knot(time: $0.knot.time, value: min($0.knot.value, Int64.max - max(0, head.base)) + head.base) } ?? lastKnot
        if let knot = lastKnot, let tail = sample, tail.time < knot.time || tail.value < knot.value { sample = knot }
        if let old = head.tail, let tail = sample, tail.time < old.time { sample = old }
        guard let sample else { return }
        let complete = tail.map { $0.isClosed ? Int64.max : $0.completeUntil.microseconds } ?? sample.time.microseconds
        tails.append(
            Tail(
                curveID: head.curveID,
                time: sample.time.microseconds,
                value: sample.value,
                completeUntil: max(complete, head.completeUntil.map { $0 == .max ? Int64.min : $0 } ?? .min),
                lastKnot: lastKnot
            )
        )
    }

    /// For each curve since its previous knot, because a new one moves the line there.
    private mutating func touch(
        _ head: CurveHead,
        tail: ReadingsRecord.Tail?,
        written: (first: Timestamp, last: Knot)?,
        now: Timestamp
    ) {
        guard let last = [written?.last.time, tail?.knot.time].compactMap({ $0 }).max() else { return }
        let first = head.lastKnot?.time ?? written?.first ?? last
        // A tail alone moves nothing before the tail it replaces.
        touch(written == nil ? head.tail?.time ?? first : first, last)
        // What follows the end of a curve is not missing any more; what follows one that goes on again is.
        let isClosed = tail?.isClosed ?? false
        if isClosed != (head.completeUntil == .max) { touch(isClosed ? last : first, now) }
    }

    private mutating func touch(_ from: Timestamp, _ to: Timestamp) {
        guard from <= to else { return }
        // A curve that was silent for years must not mark every hour of them one by one in memory.
        let first = max(from.hour.number, to.hour.number - 24 * 400)
        for number in first...to.hour.number { hours.insert(Hour(number: number)) }
    }
}

/// Placed batches as they go into the tables, of however many hosts.
struct ReadingsRows {
    private var knots: CopyBuffer
    private var hostIDs: [Int32] = []
    private var curveIDs: [Int32] = []
    private var times: [Int64] = []
    private var values: [Int64] = []
    private var completes: [Int64] = []
    private var knotTimes: [Int64?] = []
    private var knotValues: [Int64?] = []

    /// Bytes of a row of `knot` in binary COPY.
    private static let rowBytes = 2 + 5 * 4 + 4 + 4 + 8 + 8 + 2

    init(reservingKnots count: Int = 0) { knots = CopyBuffer(columns: 5, reservingBytes: count * Self.rowBytes) }

    mutating func add(_ placement: ReadingsPlacement, hostID: Int32) {
        for column in placement.columns {
            for knot in column.knots {
                knots.beginRow()
                knots.append(int4: hostID)
                knots.append(int4: column.curveID)
                knots.append(timestamptzMicroseconds: knot.time.microseconds)
                knots.append(int8: knot.value + column.base)
                knots.append(int2: Int16(truncatingIfNeeded: knot.flags.rawValue))
            }
        }
        for tail in placement.tails {
            hostIDs.append(hostID)
            curveIDs.append(tail.curveID)
            times.append(tail.time)
            values.append(tail.value)
            completes.append(tail.completeUntil)
            knotTimes.append(tail.lastKnot?.time.microseconds)
            knotValues.append(tail.lastKnot?.value)
        }
    }

    func write(_ connection: PostgresConnection) async throws {
        if knots.rowCount > 0 {
            _ = try await connection.copyIn(
                Statement("copy_knot", "COPY knot (host_id, curve_id, t, value, flags) FROM STDIN (FORMAT binary)"),
                rows: knots
            )
        }
        guard !curveIDs.isEmpty else { return }
        _ = try await connection.execute(
            Statement(
                "upsert_tails",
                """
                INSERT INTO curve_tail (host_id, curve_id, t, value, complete_until, knot_t, knot_value)
                SELECT * FROM unnest(
                    $1::int4[], $2::int4[], $3::timestamptz[], $4::int8[], $5::timestamptz[], $6::timestamptz[], $7::int8[])
                ON CONFLICT (host_id, curve_id) DO UPDATE SET t = excluded.t, value = excluded.value,
                    complete_until = excluded.complete_until, knot_t = excluded.knot_t, knot_value = excluded.knot_value
                """
            ),
            [
                .int4Array(hostIDs), .int4Array(curveIDs), .timestamptzArray(microseconds: times), .int8Array(values),
                .timestamptzArray(microseconds: completes), .timestamptzArray(microseconds: knotTimes), .int8Array(knotValues),
            ]
        )
    }
}
