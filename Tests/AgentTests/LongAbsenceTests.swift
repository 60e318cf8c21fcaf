import Energy
import FoundationEssentials
import Glibc
import Meters
import SwiftProtobuf
import TestSupport
import Testing
import Wire

@testable import Agent

/// A day without the collector, with a spool that is far too small for it, an agent that is killed again and again, and a collector
/// whose answers get lost: in the end every meter's count is that of its sensor, to the µJ.
struct LongAbsenceTests {
    static let seeds = 0..<LongRun.rounds(short: 2, long: 40)

    @Test(.timeLimit(.minutes(10)), arguments: seeds)
    func aDayWithoutTheCollectorLosesNoMicrojoule(seed: Int) async throws {
        var day = try Day(seed: UInt64(seed), limits: Spool.Limits(unacknowledged: 512 << 10))
        try await day.begin()
        while day.now < 86_400 { try await day.step() }
        #expect(day.kills > 0 && day.wasFull, "\(day.kills) kills; a day must fill the spool")
        try await day.deliverAndGoOn()
        try await day.check()
        try day.end()
    }

    /// A file system of 1 MiB of its own, where there may be one.
    private struct SmallDisk: ~Copyable {
        let path: String

        init?() {
            path = "\(FileManager.default.temporaryDirectory.path)/wattle-disk-\(UInt64.random(in: 0 ... .max))"
            guard mkdir(path, 0o700) == 0 else { return nil }
            guard mount("tmpfs", path, "tmpfs", 0, "size=1m") == 0 else {
                rmdir(path)
                return nil
            }
        }

        deinit {
            umount2(path, Int32(MNT_DETACH))
            rmdir(path)
        }
    }

    private static let mayMount = SmallDisk() != nil

    @Test(
        .enabled(if: mayMount, "mounting a small file system takes root in a namespace that allows it"),
        .timeLimit(.minutes(10)),
        arguments: seeds
    )
    func aDiskThatIsFullForHoursLosesNoMicrojoule(seed: Int) async throws {
        guard let disk = SmallDisk() else { return #expect(Bool(false), "a mount that worked before fails now") }
        // The spool may be as large as it likes; it is the disk that is not.
        var day = try Day(seed: UInt64(seed), limits: Spool.Limits(), directory: disk.path, mayBeKilled: false)
        try await day.begin()
        while day.now < 6 * 3_600 { try await day.step() }
        #expect(day.failedWrites > 0, "the disk was never full")
        try await day.deliverAndGoOn()
        try await day.check()
        _ = consume disk
    }
}

/// The machine, its agent and its collector through a day of a clock that nobody waits for.
private struct Day {
    static let zones = 2
    static let modulus = CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: 65_712_999_613)

    private let host: FixtureHost
    private let directory: String
    private let isQuick: Bool
    private let limits: Spool.Limits
    private let mayBeKilled: Bool
    private var random: RandomSource
    /// Seconds since midnight.
    private(set) var now = 0.0
    private var boot = 0
    private var bootedAt = -5_000.0
    /// What the sensors have counted since midnight, and since the boot.
    private var used = [Int64](repeating: 0, count: zones)
    private var usedAtBoot = [Int64](repeating: 0, count: zones)
    private var watts = [Double](repeating: 60, count: zones)
    /// By the time of the sample on the curves' line.
    private var truth: [Timestamp: [Int64]] = [:]
    private var lastTime = Timestamp(microseconds: 0)

    // The agent.
    private var sampling: Agent.Sampling?
    private var spool: Spool?
    private var buffer = SealingBuffer()
    private var pressure = SealingPace.Pressure.none
    private var nextSeal = 0.0
    private(set) var kills = 0
    private(set) var wasFull = false
    private(set) var failedWrites = 0

    private var collector = BookKeeper()

    init(seed: UInt64, limits: Spool.Limits, directory: String? = nil, mayBeKilled: Bool = true) throws {
        host = try FixtureHost()
        // In memory where that is to be had: a day's durable writes take a disk a minute.
        self.directory = try directory ?? Self.quickDirectory() ?? host.root
        isQuick = directory == nil && self.directory != host.root
        self.limits = limits
        self.mayBeKilled = mayBeKilled
        collector.mayForget = mayBeKilled
        random = RandomSource(seed: seed)
        for zone in 0..<Self.zones { try host.addPackage(zone, energy: 0) }
    }

    private static func quickDirectory() throws -> String? {
        guard access("/dev/shm", W_OK) == 0 else { return nil }
        let path = "/dev/shm/wattle-day-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    func end() throws {
        if isQuick { try FileManager.default.removeItem(atPath: directory) }
    }

    private var clock: ClockReading { ClockReading.at(now - bootedAt, start: bootedAt) }

    private var stateFile: StateFile { StateFile(path: directory + "/state.json") }

    // MARK: The agent's life

    /// From what is on the disk, as after a kill.
    mutating func begin() async throws {
        let spool = Spool(directory: directory + "/spool", host: "h", bootID: "boot-\(boot)", limits: limits)
        let states = [try await spool.open(), try stateFile.read()].compactMap(\.self)
        self.spool = spool
        sampling = try host.sampling(boot: "boot-\(boot)", resuming: states.max { $0.generation < $1.generation }, clock: clock)
        buffer = SealingBuffer()
        pressure = .none
        sample(.all)
        try await seal()
    }

    private mutating func kill() {
        kills += 1
        sampling = nil
        spool = nil
    }

    /// Some seconds go by.
    mutating func step() async throws {
        try pass(Double.random(in: 5...15, using: &random))
        sample(.all)
        if random.chance(0.01) {
            let phase = random.chance(0.5) ? SpanRequest.Phase.start : .finish
            let clock = clock
            _ = try sampling?.edge(SpanRequest(phase: phase, key: "k", cgroup: nil, directory: nil), at: clock)
            note()
        }
        if now >= nextSeal { try await seal() }
        guard mayBeKilled, random.chance(0.002) else { return }
        kill()
        switch Int.random(in: 0..<6, using: &random) {
        case 0:
            // Longer than a turn of the counters: what was used is not known then.
            try pass(Double.random(in: 400...900, using: &random))
        case 1:
            try pass(Double.random(in: 30...200, using: &random))
            boot += 1
            bootedAt = now
            usedAtBoot = used
            try pass(5)
        default: try pass(Double.random(in: 0.2...200, using: &random))
        }
        try await begin()
    }

    private mutating func pass(_ seconds: Double) throws {
        now += (seconds * 1e6).rounded() / 1e6
        for zone in 0..<Self.zones {
            if random.chance(0.3) { watts[zone] = Double.random(in: 5...195, using: &random) }
            used[zone] += Int64(watts[zone] * seconds * 1e6)
            try host.setEnergy((used[zone] - usedAtBoot[zone]) % Self.modulus, of: zone)
        }
    }

    private mutating func sample(_ depth: Agent.Sampling.Depth) {
        let clock = clock
        sampling?.sample(depth, at: clock)
        note()
    }

    private mutating func note() {
        guard let sampling else { return }
        lastTime = sampling.timeBase.time(of: clock)
        truth[lastTime] = used
    }

    // MARK: As the sealer does it, on this day's clock

    private mutating func seal() async throws {
        guard var sampling, let spool else { return }
        defer { self.sampling = sampling }
        let time = sampling.timeBase.time(of: clock)
        nextSeal = now + 10
        pressure = SealingPace.Pressure(fill: await spool.fill)
        sampling.setCoarseness(pressure.coarseness)
        buffer.add(sampling.take())
        if pressure != .none || buffer.waiting?.knotCount ?? 0 > 20_000 {
            buffer.thin(
                energyEpsilon: 1_000_000 * pressure.coarseness,
                cpuEpsilon: 50_000 * pressure.coarseness,
                energyRefs: sampling.energyRefs
            )
        }
        wasFull = wasFull || pressure.isFull
        guard let waiting = buffer.waiting, !pressure.isFull, buffer.isDue(at: time, every: .seconds(10 * pressure.interval)) else {
            return try keepState()
        }
        do {
            try await spool.append(waiting.batches(), live: waiting.live, state: try waiting.state.encoded(), at: time)
            buffer.spooled(at: time)
        } catch let fault as DiskFault where fault.number == ENOSPC {
            failedWrites += 1
            try keepState()
        }
    }

    private func keepState() throws {
        guard let state = buffer.state else { return }
        do {
            try stateFile.write(try state.encoded())
        } catch let fault as DiskFault where fault.number == ENOSPC {
            // Then the last that was saved holds.
        }
    }

    // MARK: The collector is back

    mutating func deliverAndGoOn() async throws {
        // What waits in memory can go to the disk only when there is room again.
        for _ in 0..<40 {
            try await deliver()
            try pass(10)
            sample(.all)
            nextSeal = 0
            try await seal()
            if mayBeKilled, random.chance(0.2) {
                kill()
                try await begin()
            }
        }
        try await deliver()
        #expect(buffer.waiting == nil, "nothing waits in memory any more")
    }

    private mutating func deliver() async throws {
        guard let spool else { return }
        var machine = UplinkMachine()
        var uptime = Duration.zero
        var steps = 0
        while let pending = await spool.pending {
            steps += 1
            guard steps < 100_000 else { return #expect(Bool(false), "the queue does not get shorter") }
            let step = machine.next(pending, now: uptime)
            let answer: UplinkAnswer
            switch step {
            case .idle: return #expect(Bool(false), "idle with batches to send")
            case .wait(let duration):
                uptime += duration
                continue
            case .open(let stream): answer = collector.open(stream)
            case .send(let stream, let seq):
                let body = try await spool.body(stream, seq: seq)
                answer = try collector.take(stream, seq, body, faults: steps < 20_000 ? 0.15 : 0, &random)
            }
            // As the uplink does it: a disk that fails is tried again.
            let effect = machine.received(answer, to: step, pending, now: uptime, jitter: .random(in: 0...1, using: &random))
            switch effect {
            case .nothing: break
            case .acknowledge(let stream, let seq): try await spool.acknowledge(stream, through: seq, at: lastTime)
            case .rewind(let stream, let seq):
                sampling?.announceAll()
                try await spool.acknowledge(stream, through: seq - 1, at: lastTime)
            case .reseal(let stream, let seq, let refused, let reason):
                sampling?.announceAll()
                try await spool.reseal(stream, from: seq, refused: refused.map { ($0, reason) }, at: lastTime)
            }
        }
    }

    // MARK: In the end

    mutating func check() async throws {
        #expect(await spool?.pending == nil)
        #expect(collector.complaints == [])
        for zone in 0..<Self.zones {
            let curve = try #require(collector.curves["powercap/intel-rapl:\(zone)"], "zone \(zone) never arrived")
            #expect(curve.origins.count == 1, "one count from the first reading to the last, through every kill and reboot")
            var hidden: Int64 = 0
            for gap in curve.gaps {
                let before = try #require(truth[gap.interval.start]?[zone], "a gap begins at a reading")
                let after = try #require(truth[gap.interval.end]?[zone], "a gap ends at a reading")
                #expect(gap.low <= after - before && after - before <= gap.high, "the truth is within the gap's limits: \(gap)")
                hidden += after - before
            }
            let first = try #require(curve.knots.first.flatMap { truth[$0.time]?[zone] })
            #expect(curve.last?.value == used[zone] - first - hidden, "to the µJ, of \(used[zone])")
            #expect(curve.last?.time == lastTime)
            #expect(curve.gaps.allSatisfy { $0.cause == .wrap || $0.cause == .reboot })
        }
    }
}

/// A collector by the book: a cursor for each stream, and of each curve its knots once.
private struct BookKeeper {
    struct Arrived {
        var origins: Set<UInt64> = []
        var knots: [Knot] = []
        var gaps: [Gap] = []
        /// The newest tail.
        var last: Knot?
    }

    private struct Stream {
        var cursor: UInt64 = 0
        var digest: UInt32 = 0
        var names: [UInt32: String] = [:]
    }

    private(set) var curves: [String: Arrived] = [:]
    private(set) var complaints: [String] = []
    /// Whether it is restored from before its last commits at times. Then a stream may have to be written anew, which takes room.
    var mayForget = true
    private var streams: [StreamID: Stream] = [:]
    private var earlier: (stream: StreamID, curves: [String: Arrived], streams: [StreamID: Stream])?

    func open(_ stream: StreamID) -> UplinkAnswer { Self.answer(200, expected: (streams[stream]?.cursor ?? 0) + 1) }

    /// - Parameter faults: how likely the exchange goes wrong.
    mutating func take(
        _ stream: StreamID,
        _ seq: UInt64,
        _ body: [UInt8],
        faults: Double,
        _ random: inout RandomSource
    ) throws -> UplinkAnswer {
        guard random.chance(faults) else { return try honest(stream, seq, body) }
        switch Int.random(in: 0..<6, using: &random) {
        case 0: return Self.answer(nil)
        case 1:
            // Taken, but its answer is lost.
            _ = try honest(stream, seq, body)
            return Self.answer([nil, 502, 503].randomElement(using: &random) ?? nil)
        case 2:
            // Taken, and the answer to the batch before comes in place of its own.
            _ = try honest(stream, seq, body)
            return Self.answer(200, acknowledged: seq - 1)
        case 3:
            // Twice on its way.
            _ = try honest(stream, seq, body)
            return try honest(stream, seq, body)
        case 4:
            if mayForget, let earlier, earlier.stream == stream {
                // Restored from before its last commits.
                curves = earlier.curves
                streams = earlier.streams
                self.earlier = nil
            }
            return try honest(stream, seq, body)
        default:
            earlier = (stream, curves, streams)
            return try honest(stream, seq, body)
        }
    }

    private mutating func honest(_ id: StreamID, _ seq: UInt64, _ body: [UInt8]) throws -> UplinkAnswer {
        var stream = streams[id] ?? Stream()
        let digest = CRC32.checksum(body)
        if seq == stream.cursor, seq > 0 {
            return digest == stream.digest ? Self.answer(200, acknowledged: seq) : Self.answer(409, problem: "stream-conflict")
        }
        guard seq == stream.cursor + 1 else {
            return seq > stream.cursor
                ? Self.answer(409, expected: stream.cursor + 1, problem: "missing-batches") : Self.answer(409, problem: "stream-conflict")
        }
        let batch = try WireReadingsBatch(serializedBytes: body)
        for curve in batch.curves {
            stream.names[curve.ref] = curve.name
            curves[curve.name, default: Arrived()].origins.insert(curve.origin)
        }
        for column in batch.knots {
            guard let name = stream.names[column.ref] else {
                complaints.append("a knot of curve \(column.ref), which nobody announced")
                continue
            }
            for knot in try column.knots() {
                if let last = curves[name]?.knots.last, last.time >= knot.time || last.value > knot.value {
                    complaints.append("\(name): \(knot) comes after \(last)")
                }
                curves[name]?.knots.append(knot)
            }
        }
        for gap in batch.gaps {
            guard let name = stream.names[gap.ref] else { continue }
            let interval = Interval(Timestamp(microseconds: gap.fromUs), Timestamp(microseconds: gap.toUs))
            let cause = Gap.Cause(rawValue: gap.cause) ?? .unreadable
            curves[name]?.gaps.append(Gap(interval: interval, low: gap.low, high: gap.high, cause: cause))
        }
        for tail in batch.tails {
            guard let name = stream.names[tail.ref] else { continue }
            let knot = Knot(time: Timestamp(microseconds: tail.tUs), value: tail.value)
            if let last = curves[name]?.last, last.time > knot.time || last.value > knot.value {
                complaints.append("\(name): the tail goes back from \(last) to \(knot)")
            }
            curves[name]?.last = knot
        }
        stream.cursor = seq
        stream.digest = digest
        streams[id] = stream
        return Self.answer(200, acknowledged: seq)
    }

    private static func answer(
        _ status: Int?,
        expected: UInt64? = nil,
        acknowledged: UInt64? = nil,
        problem: String = ""
    ) -> UplinkAnswer {
        var answer = UplinkAnswer(status: status, detail: "book")
        answer.expectedSeq = expected
        answer.acknowledgedSeq = acknowledged
        answer.problem = problem
        return answer
    }
}
