public import Energy
import Gzip
import SwiftProtobuf
import Wire

/// How much made-up load is put on a collector, and by how many hosts.
public struct LoadPlan: Sendable, Hashable {
    public var hosts: Int
    /// Meters of each host.
    public var meters: Int
    /// Of all meters of a host together.
    public var knotsPerBatch: Int
    public var batchesPerHost: Int
    /// Connections that are kept open; each has its own hosts and one batch under way.
    public var connections: Int
    /// Nil for as fast as it goes.
    public var knotsPerSecond: Double?
    /// The longest that is sent; nil until all is.
    public var seconds: Double?
    /// As agents send.
    public var isCompressed: Bool
    public var seed: UInt64
    /// What hosts replay, the first host the first, and so on over again; with none, knots are made up.
    public var recordings: [LoadRecording] = []
    /// Of a recording, in one batch.
    public var batchInterval: Microseconds = .seconds(10)
    /// When the knots begin; nil for the running hour.
    public var start: Timestamp?

    public init(
        hosts: Int = 200,
        meters: Int = 4,
        knotsPerBatch: Int = 1_000,
        batchesPerHost: Int = 20,
        connections: Int = 32,
        knotsPerSecond: Double? = nil,
        seconds: Double? = nil,
        isCompressed: Bool = true,
        seed: UInt64 = 1
    ) {
        self.hosts = hosts
        self.meters = meters
        self.knotsPerBatch = knotsPerBatch
        self.batchesPerHost = batchesPerHost
        self.connections = connections
        self.knotsPerSecond = knotsPerSecond
        self.seconds = seconds
        self.isCompressed = isCompressed
        self.seed = seed
    }

}

/// A batch as it is sent, and what is in it.
struct LoadBody: Sendable {
    let bytes: [UInt8]
    let knots: Int
    /// Samples of a recording that the batch's curves stand for.
    let samples: Int
}

/// The batches of one made-up host. The same seed, host and start make the same bytes.
///
/// A host that replays a recording keeps knots of it as an agent does, within 1 J. Its timer began (37 x its number) mod 100 ms after the
/// start, and its counters stood at (its number) x 12,345.6 J. Without one, a meter's knots lie a little unevenly between `start` and an hour later, or closer; energy grows as it does on a machine whose work
/// comes and goes.
struct LoadHost: Sendable {
    let name: String
    let incarnation: String
    private let plan: LoadPlan
    private let start: Timestamp
    private let number: Int
    private let recording: LoadRecording?
    /// Largest distance of a sample from the line, µJ.
    private static let epsilon: Int64 = 1_000_000

    init(plan: LoadPlan, run: String, number: Int, start: Timestamp) {
        self.plan = plan
        self.start = start
        self.number = number
        recording = plan.recordings.isEmpty ? nil : plan.recordings[number % plan.recordings.count]
        name = "load-\(run)-\(number)"
        let digits = String(number, radix: 16)
        incarnation = run + String(repeating: "0", count: 32 - run.utf8.count - digits.utf8.count) + digits
    }

    private var knotsPerColumn: Int { max(1, plan.knotsPerBatch / plan.meters) }

    /// Between two knots of a meter, at most a second: all of them within the hour.
    private var spacing: Int64 {
        min(1_000_000, Microseconds.hour.count / Int64(knotsPerColumn * plan.batchesPerHost + 1))
    }

    private var head: WireReadingsBatch {
        var batch = WireReadingsBatch()
        batch.host = name
        batch.bootID = "load"
        batch.incarnation = incarnation
        batch.clockOffsetUs = 0
        return batch
    }

    /// The first batch: facts and meters, which every agent sends once.
    func opening() throws -> [UInt8] {
        var batch = head
        batch.seq = 1
        batch.facts.agentVersion = "load"
        batch.facts.cpus = 8
        batch.facts.simulated = true
        for meter in 0..<(recording?.counts.count ?? plan.meters) {
            var curve = WireCurveAnnouncement()
            curve.ref = UInt32(meter + 1)
            curve.name = "simulated/load:\(meter)"
            curve.kind = .meter
            curve.zone = "package"
            curve.sensor = "powercap"
            curve.quality = "measured"
            curve.inCover = true
            curve.origin = 1
            curve.epsilon = Self.epsilon
            curve.samplePeriodUs = 100_000
            curve.pMaxUw = 400_000_000
            curve.boundLowPpm = 1_000_000
            curve.boundHighPpm = 1_000_000
            curve.basis = "simulated"
            batch.curves.append(curve)
        }
        return try batch.serializedBytes()
    }

    /// All further batches, as they are sent.
    func bodies() throws -> [LoadBody] {
        if let recording { return try bodies(of: recording) }
        var random = LoadRandom(seed: plan.seed &* 1_000_003 &+ UInt64(number))
        var last = [Knot](repeating: Knot(time: start, value: 0), count: plan.meters)
        var bodies: [LoadBody] = []
        for number in 0..<plan.batchesPerHost {
            var batch = head
            batch.seq = UInt64(number + 2)
            for meter in 0..<plan.meters {
                var knots: [Knot] = []
                knots.reserveCapacity(knotsPerColumn)
                // 20 to 220 W for the length of a batch, and a tenth of that up and down.
                let microjoules = Double(spacing) * Double(20 + random.next() % 200)
                for _ in 0..<knotsPerColumn {
                    let time = last[meter].time + Microseconds(max(1, spacing * Int64(900 + random.next() % 100) / 1_000))
                    let value = last[meter].value + Int64(microjoules * (0.9 + 0.2 * Double(random.next() % 1_000) / 1_000))
                    last[meter] = Knot(time: time, value: value)
                    knots.append(last[meter])
                }
                batch.knots.append(WireKnotColumn(ref: UInt32(meter + 1), knots: knots))
                batch.tails.append(Self.tail(last[meter], meter))
            }
            batch.wallUs = last.map(\.time.microseconds).max() ?? 0
            bodies.append(LoadBody(bytes: try sent(batch), knots: knotsPerColumn * plan.meters, samples: 0))
        }
        return bodies
    }

    /// The recording through the agent's own recorder, cut where an agent seals a batch.
    private func bodies(of recording: LoadRecording) throws -> [LoadBody] {
        let start = start + Microseconds(Int64(number) * 37 % 100 * 1_000)
        let base = Int64(number) * 12_345_600_000
        var recorders = Array(repeating: CurveRecorder(epsilon: Self.epsilon), count: recording.counts.count)
        var bodies: [LoadBody] = []
        var first = 0
        while first < recording.times.count {
            // The first batch ends an interval after the first sample, the next one an interval later.
            let until = recording.times[0] + Int64(bodies.count + 1) * plan.batchInterval.count
            let end = recording.times[first...].firstIndex { $0 >= until } ?? recording.times.count
            var batch = head
            batch.seq = UInt64(bodies.count + 2)
            var knots = 0
            for meter in recorders.indices {
                for sample in first..<end {
                    recorders[meter].add(
                        time: start + Microseconds(recording.times[sample]),
                        value: base + recording.counts[meter][sample]
                    )
                }
                // As an agent that stops.
                if end == recording.times.count { recorders[meter].force() }
                let taken = recorders[meter].take().knots
                knots += taken.count
                if !taken.isEmpty { batch.knots.append(WireKnotColumn(ref: UInt32(meter + 1), knots: taken)) }
                if let last = recorders[meter].tail {
                    batch.tails.append(Self.tail(last, meter))
                    batch.wallUs = last.time.microseconds
                }
            }
            bodies.append(LoadBody(bytes: try sent(batch), knots: knots, samples: (end - first) * recorders.count))
            first = end
        }
        return bodies
    }

    private static func tail(_ last: Knot, _ meter: Int) -> WireTail {
        var tail = WireTail()
        tail.ref = UInt32(meter + 1)
        tail.tUs = last.time.microseconds
        tail.value = last.value
        tail.completeUntilUs = last.time.microseconds
        return tail
    }

    private func sent(_ batch: WireReadingsBatch) throws -> [UInt8] {
        let bytes: [UInt8] = try batch.serializedBytes()
        return plan.isCompressed ? try Gzip.compress(bytes) : bytes
    }
}

/// SplitMix64.
struct LoadRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
