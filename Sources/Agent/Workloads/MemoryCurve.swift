import Energy
import Meters
import Wire

/// The memory of a workload over time, in byte-seconds: the trapezoid of what was read.
struct MemoryCurve {
    var curve: CountedCurve
    private let source: CgroupMemory
    private var last: (bytes: Int64, time: Timestamp)?
    private var byteMicroseconds: Int128 = 0
    /// Bytes.
    private(set) var maximum: Int64 = 0

    init(announcement: WireCurveAnnouncement, source: CgroupMemory, at time: Timestamp) {
        curve = CountedCurve(announcement: announcement, modulus: nil, maximumRate: 0, absence: .counted)
        self.source = source
        read(at: time)
    }

    /// Goes on with an earlier run's. Over the time in between the memory is taken for what it is at the next reading.
    init(announcement: WireCurveAnnouncement, source: CgroupMemory, resuming state: AgentState.Curve) {
        curve = CountedCurve(announcement: announcement, modulus: nil, maximumRate: 0, absence: .counted)
        self.source = source
        curve.resume(state, isSameBoot: true)
        byteMicroseconds = Int128(state.value) * 1_000_000
        if let bytes = source.currentBytes() { last = (bytes, Timestamp(microseconds: state.time)) }
    }

    mutating func read(at time: Timestamp, flags: KnotFlags = []) {
        guard let bytes = source.currentBytes() else { return }
        maximum = max(maximum, source.peakBytes() ?? bytes)
        add(bytes, at: time, flags: flags)
    }

    /// Ends it. What is gone is taken to have had its last memory to the end.
    mutating func end(at time: Timestamp) {
        read(at: time)
        if let last, last.time < time { add(last.bytes, at: time, flags: []) }
    }

    private mutating func add(_ bytes: Int64, at time: Timestamp, flags: KnotFlags) {
        if let last, last.time < time {
            byteMicroseconds += (Int128(last.bytes) + Int128(bytes)) * Int128((time - last.time).count) / 2
        }
        if last.map({ $0.time < time }) ?? true { last = (bytes, time) }
        curve.read(raw: Int64(clamping: byteMicroseconds / 1_000_000), at: time, flags: flags)
    }
}
