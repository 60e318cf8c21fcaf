import Energy
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

    public var knots: Int { hosts * batchesPerHost * (knotsPerBatch / meters * meters) }
}

/// The batches of one made-up host. The same seed, host and start make the same bytes.
///
/// A meter's knots lie a little unevenly between `start` and an hour later, or closer; energy grows as it does on a machine whose work
/// comes and goes.
struct LoadHost: Sendable {
    let name: String
    let incarnation: String
    private let plan: LoadPlan
    private let start: Timestamp
    private let number: Int

    init(plan: LoadPlan, run: String, number: Int, start: Timestamp) {
        self.plan = plan
        self.start = start
        self.number = number
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
        for meter in 0..<plan.meters {
            var curve = WireCurveAnnouncement()
            curve.ref = UInt32(meter + 1)
            curve.name = "simulated/load:\(meter)"
            curve.kind = .meter
            curve.zone = "package"
            curve.sensor = "powercap"
            curve.quality = "measured"
            curve.inCover = true
            curve.origin = 1
            curve.epsilon = 1_000_000
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
    func bodies() throws -> [[UInt8]] {
        var random = LoadRandom(seed: plan.seed &* 1_000_003 &+ UInt64(number))
        var last = [Knot](repeating: Knot(time: start, value: 0), count: plan.meters)
        var bodies: [[UInt8]] = []
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
                var tail = WireTail()
                tail.ref = UInt32(meter + 1)
                tail.tUs = last[meter].time.microseconds
                tail.value = last[meter].value
                tail.completeUntilUs = last[meter].time.microseconds
                batch.tails.append(tail)
            }
            batch.wallUs = last.map(\.time.microseconds).max() ?? 0
            let bytes: [UInt8] = try batch.serializedBytes()
            bodies.append(plan.isCompressed ? try Gzip.compress(bytes) : bytes)
        }
        return bodies
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
