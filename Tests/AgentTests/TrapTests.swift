import Energy
import FoundationEssentials
import Glibc
import Logging
import Meters
import SwiftProtobuf
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Agent

/// Traps that a measuring agent falls into, as far as no test of a sensor, of the spool or of the uplink is named for them.
/// `docs/agent.md` has the table of all.
struct TrapTests {
    private static let modulus = CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: 65_712_999_613)

    private func begin(_ host: FixtureHost, energy: Int64, at clock: ClockReading = .at(10)) throws -> Sampling {
        try host.addPackage(energy: energy)
        var sampling = try host.sampling(clock: clock)
        sampling.sample(.all, at: clock)
        return sampling
    }

    // MARK: Wrap or reset

    @Test func aFallThatTheZonesPowerExplainsIsAWrap() throws {
        let host = try FixtureHost()
        var sampling = try begin(host, energy: Self.modulus - 5_000_000)
        try host.setEnergy(10_000_000)
        sampling.sample(.fast, at: .at(10.1))
        let sealable = sampling.take()
        #expect(sealable.gaps.isEmpty)
        #expect(sealable.tail(package0)?.value == 15_000_000)
    }

    @Test func aFallThatNoPowerExplainsIsAResetAndNoWrap() throws {
        let host = try FixtureHost()
        // A driver that was loaded anew between two readings: taken for a wrap it were 45.7 kJ in a tenth of a second.
        var sampling = try begin(host, energy: 20_000_000_000)
        try host.setEnergy(3_000)
        sampling.sample(.fast, at: .at(10.1))
        try host.setEnergy(2_003_000)
        sampling.sample(.fast, at: .at(10.2))
        let sealable = sampling.take()
        let gap = try #require(sealable.gaps(package0).first)
        #expect(gap.cause == "reset" && gap.low == 0 && gap.high == 20_000_000, "200 W for 0.1 s at most")
        #expect(sealable.tail(package0)?.value == 2_000_000, "counted to the µJ from the reset on")
    }

    @Test func aResetWhileTheAgentWasAwayIsNoWrapEither() throws {
        let host = try FixtureHost()
        var first = try begin(host, energy: 20_000_000_000)
        try host.setEnergy(500)
        var second = try host.sampling(resuming: first.take().state, clock: .at(15))
        second.sample(.all, at: .at(15))
        let sealable = second.take()
        #expect(sealable.gaps(package0).map(\.cause) == ["reset"])
        #expect(sealable.tail(package0)?.value == 0)
    }

    @Test func countersThatWrapApartAreUnwrappedBeforeTheyAreSummed() throws {
        let host = try FixtureHost()
        try host.addPackage(0, energy: Self.modulus - 1_000_000)
        try host.addPackage(1, energy: Self.modulus - 9_000_000)
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        var used: [Int64] = [0, 0]
        for step in 1...20 {
            used[0] += 1_300_001
            used[1] += 900_007
            try host.setEnergy((Self.modulus - 1_000_000 + used[0]) % Self.modulus, of: 0)
            try host.setEnergy((Self.modulus - 9_000_000 + used[1]) % Self.modulus, of: 1)
            sampling.sample(.fast, at: .at(10 + Double(step) / 10))
        }
        #expect(sampling.snapshot(at: .at(12.001)).cover == used[0] + used[1])
        #expect(sampling.take().gaps.isEmpty)
    }

    // MARK: Readings that cannot be

    @Test(arguments: ["18446744073709551615", "18446744073709550616", "-1", "65712999999999", ""])
    func anUnderflowOf18446744073709551615IsNoEnergy(content: String) throws {
        let host = try FixtureHost()
        var sampling = try begin(host, energy: 1_000_000)
        try host.write("/sys/class/powercap/intel-rapl:0/energy_uj", content)
        sampling.sample(.fast, at: .at(10.1))
        #expect(sampling.take().tail(package0)?.value == 0)
        try host.setEnergy(4_000_000)
        sampling.sample(.fast, at: .at(10.2))
        let sealable = sampling.take()
        #expect(sealable.tail(package0)?.value == 3_000_000)
        #expect(sealable.gaps.isEmpty, "a counter knows what flowed while it could not be read")
    }

    @Test func aSpikeWithinTheRegisterIsTwoGapsAndNoEnergy() throws {
        let host = try FixtureHost()
        var sampling = try begin(host, energy: 1_000_000)
        for (second, raw) in [(11.0, 11_000_000), (12, 60_000_000_000), (13, 13_000_000), (14, 23_000_000)] as [(Double, Int64)] {
            try host.setEnergy(raw)
            sampling.sample(.fast, at: .at(second))
        }
        let sealable = sampling.take()
        #expect(sealable.gaps(package0).map(\.cause) == ["reset", "reset"])
        #expect(sealable.tail(package0)?.value == 20_000_000)
    }

    /// An open zone that answers with an error while `isFailing`.
    private struct FailingZone: Meter {
        var meter: any Meter
        let number: Int32
        let path: String

        var place: MeterPlace { meter.place }
        var sensor: String { meter.sensor }
        var counting: MeterCounting { meter.counting }
        var cadence: MeterCadence { meter.cadence }
        var maximumPower: Power { meter.maximumPower }
        var idlePower: UtilisationModel.Point? { meter.idlePower }
        var boundRatios: (low: Double, high: Double) { meter.boundRatios }
        var basis: String { meter.basis }

        mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading {
            guard access(path, F_OK) != 0 else { throw SensorFault(path: path, errno: number) }
            return try meter.read(at: time)
        }
    }

    @Test(arguments: [EACCES, EINVAL, ENODATA, EIO])
    func aZoneThatAnswersWithAnErrorForAWhileLosesNothing(number: Int32) throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 0)
        try host.addPackage(1, energy: 0)
        let sign = host.root + "/is-failing"
        var sensors = try host.findSensors()
        sensors.meters = sensors.meters.map {
            $0.place.name == package0 ? FailingZone(meter: $0, number: number, path: sign) as any Meter : $0
        }
        var sampling = try host.sampling(sensors: sensors, clock: .at(10))
        sampling.sample(.all, at: .at(10))
        try host.write("/is-failing", "")
        try host.setEnergy(5_000_000, of: 1)
        for step in 1...20 { sampling.sample(.fast, at: .at(10 + Double(step) / 10)) }
        let news = sampling.takeNews()
        #expect(
            news.count == 1 && news.first?.contains(SensorFault(path: "", errno: number).remedy ?? "?") == true,
            "said once, with what to do"
        )
        try FileManager.default.removeItem(atPath: sign)
        try host.setEnergy(9_000_000)
        sampling.sample(.fast, at: .at(12.1))
        let sealable = sampling.take()
        #expect(sealable.tail(package0)?.value == 9_000_000)
        #expect(sealable.tail("powercap/intel-rapl:1")?.value == 5_000_000)
        #expect(sealable.gaps.isEmpty)
    }

    // MARK: Clocks

    /// Seconds by which the wall clock is stepped.
    @Test(arguments: [3_600.0, -3_600, 1e9, -1e9])
    func aClockThatIsSteppedWhileTheAgentSamplesMovesNoTime(step: Double) throws {
        let host = try FixtureHost()
        var sampling = try begin(host, energy: 0)
        var times: [Timestamp] = []
        for second in 11...20 {
            try host.setEnergy(Int64(second) * 1_000_000)
            times.append(sampling.sample(.all, at: .at(Double(second), start: second < 15 ? 0 : step)))
        }
        for (a, b) in zip(times, times.dropFirst()) { #expect(b - a == .seconds(1)) }
        let sealable = sampling.take()
        #expect(sealable.gaps.isEmpty && sealable.tail(package0)?.value == 20_000_000)
        #expect(sealable.tail(package0)?.tUs == times.last?.microseconds)
    }

    /// A board without a battery: its clock stands in 1970 at each boot until somebody tells it the time.
    private func in1970(_ seconds: Double, isSet: Bool = false) -> ClockReading {
        var clock = ClockReading.at(seconds)
        if !isSet { clock.wall = Timestamp(microseconds: 0) + clock.boottime }
        return clock
    }

    @Test func aBoardThatBootsIn1970KeepsItsLineWhenItGetsTheTimeAndTheOffsetTellsIt() throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 0)
        var sampling = try host.sampling(clock: in1970(10))
        let base = sampling.timeBase
        let first = sampling.sample(.all, at: in1970(10))
        try host.setEnergy(30_000_000)
        let second = sampling.sample(.all, at: in1970(40, isSet: true))
        #expect(second - first == .seconds(30), "no jump of decades within a curve, no time counted twice")
        let sealable = sampling.take()
        #expect(sealable.gaps.isEmpty && sealable.tail(package0)?.value == 30_000_000)
        // The collector's clock against the curves' times, however the host's own clock is set.
        let offset = ClockOffset()
        let now = in1970(40, isSet: true)
        offset.note(sent: base.time(of: now), answered: now.wall, received: base.time(of: now), boottime: now.boottime)
        #expect(second + (try #require(offset.best)) == now.wall)
    }

    @Test func anAgentThatIsRestartedAfterTheClockWasSetKeepsTheLineOfItsBoot() throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 0)
        var first = try host.sampling(clock: in1970(10))
        let before = first.sample(.all, at: in1970(10))
        let state = try AgentState(decoding: try first.take().state.encoded())
        try host.setEnergy(5_000_000)
        var second = try host.sampling(resuming: state, clock: in1970(20, isSet: true))
        let after = second.sample(.all, at: in1970(20, isSet: true))
        #expect(after - before == .seconds(10))
        #expect(second.take().gaps.isEmpty)
    }

    @Test func aBootIn1970AfterOneWithTheRightTimeGoesOnBehindIt() throws {
        let host = try FixtureHost()
        var first = try begin(host, energy: 0, at: .at(100))
        let before = first.sample(.all, at: .at(200))
        try host.setEnergy(0)
        var second = try host.sampling(boot: "boot-b", resuming: first.take().state, clock: in1970(5))
        let after = second.sample(.all, at: in1970(5))
        #expect(after > before)
        let sealable = second.take()
        #expect(sealable.gaps(package0).map(\.cause) == ["reboot"])
        #expect(sealable.knots(package0).map(\.time) == sealable.knots(package0).map(\.time).sorted())
    }

    /// A board's clocks, which tests move: 10 s after a boot in 1970.
    private final class BoardClock: Sendable {
        private let reading = Mutex(
            ClockReading(boottime: .seconds(10), monotonic: .seconds(10), wall: Timestamp(microseconds: 10_000_000))
        )

        var now: ClockReading { reading.withLock { $0 } }

        func advance(_ time: Microseconds) {
            reading.withLock {
                $0.boottime = $0.boottime + time
                $0.monotonic = $0.monotonic + time
                $0.wall = $0.wall + time
            }
        }

        func set(_ wall: Timestamp) { reading.withLock { $0.wall = wall } }
    }

    /// Lets a sealer run on a board's clocks for twelve seconds of them, tells the time, and gives it more; what it sealed by then.
    private func sealed(
        on board: BoardClock,
        telling tell: (BoardClock, ClockOffset) -> Void
    ) async throws -> (batches: [WireReadingsBatch], hasState: Bool) {
        let host = try FixtureHost()
        try host.addPackage(energy: 0)
        let spool = Spool(directory: host.root + "/spool", host: "h", bootID: "boot-a")
        _ = try await spool.open()
        let sampling = SharedSampling(try host.sampling(clock: board.now))
        let offset = ClockOffset()
        let sealNow = Doorbell()
        let stateFile = StateFile(path: host.root + "/state.json")
        var sealer = BatchSealer(
            sampling: sampling,
            spool: spool,
            stateFile: stateFile,
            pace: SealingPace(),
            facts: CurrentFacts(WireHostFacts()),
            clockOffset: offset,
            sealNow: sealNow,
            batchSpooled: Doorbell(),
            log: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        sealer.clock = { board.now }
        let service = sealer
        sampling.withLock { _ = $0.sample(.all, at: board.now) }
        var hasState = false
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await service.run() }
            for round in 1...12 {
                board.advance(.seconds(1))
                try host.setEnergy(Int64(round) * 5_000_000)
                sampling.withLock { _ = $0.sample(.all, at: board.now) }
                sealNow.ring()
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(await spool.pending == nil, "nothing is sealed while nobody knows the time")
            hasState = try stateFile.read() != nil
            tell(board, offset)
            board.advance(.seconds(1))
            sealNow.ring()
            for _ in 0..<500 where await spool.pending == nil { try await Task.sleep(for: .milliseconds(10)) }
            group.cancelAll()
        }
        let pending = try #require(await spool.pending)
        var batches: [WireReadingsBatch] = []
        for seq in pending.firstUnacknowledged...pending.last {
            batches.append(try WireReadingsBatch(serializedBytes: try await spool.body(pending.stream, seq: seq)))
        }
        return (batches, hasState)
    }

    private static let trueTime = Timestamp(microseconds: 1_788_253_200_000_000)

    @Test func aBoardIn1970SealsNothingUntilTheCollectorHasToldTheTime() async throws {
        let (batches, hasState) = try await sealed(on: BoardClock()) { board, offset in
            let now = Timestamp(microseconds: 0) + board.now.boottime
            offset.note(sent: now, answered: Self.trueTime, received: now, boottime: board.now.boottime)
        }
        #expect(hasState, "the counts are safe all the while")
        let first = try #require(batches.first)
        #expect(first.seq == 1)
        #expect(first.clockOffsetUs == Self.trueTime.microseconds - 22_000_000)
        #expect(first.tails.contains { $0.value == 60_000_000 }, "what was gathered before is in it")
        #expect(first.knots.contains { $0.tDeltaUs.first == 10_000_000 }, "from the first reading on")
    }

    @Test func aBoardIn1970WhoseClockIsSetKnowsItsOffsetWithoutTheCollector() async throws {
        let (batches, _) = try await sealed(on: BoardClock()) { board, _ in board.set(Self.trueTime) }
        #expect(batches.first?.clockOffsetUs == Self.trueTime.microseconds - 22_000_000)
    }

    @Test func aBoardIn1970ThatIsStoppedBeforeItKnowsTheTimeKeepsItsCountsAndSendsNothing() async throws {
        let board = BoardClock()
        let host = try FixtureHost()
        try host.addPackage(energy: 7_000_000)
        let spool = Spool(directory: host.root + "/spool", host: "h", bootID: "boot-a")
        _ = try await spool.open()
        let stateFile = StateFile(path: host.root + "/state.json")
        var sealer = BatchSealer(
            sampling: SharedSampling(try host.sampling(clock: board.now)),
            spool: spool,
            stateFile: stateFile,
            pace: SealingPace(),
            facts: CurrentFacts(WireHostFacts()),
            clockOffset: ClockOffset(),
            sealNow: Doorbell(),
            batchSpooled: Doorbell(),
            log: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        sealer.clock = { board.now }
        let service = sealer
        await withTaskGroup { group in
            group.addTask { do { try await service.run() } catch { Issue.record("\(error)") } }
            group.cancelAll()
        }
        #expect(await spool.pending == nil)
        #expect(try stateFile.read()?.curves.contains { $0.raw == 7_000_000 } == true)
    }

    @Test func theOffsetToTheCollectorsClockTravelsWithEveryBatch() async throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 0)
        let spool = Spool(directory: host.root + "/spool", host: "h", bootID: "boot-a")
        _ = try await spool.open()
        let sampling = SharedSampling(try host.sampling(clock: .now()))
        let offset = ClockOffset()
        let now = sampling.withLock { $0.timeBase.time(of: .now()) }
        offset.note(sent: now, answered: now + .seconds(7), received: now, boottime: .zero)
        let sealer = BatchSealer(
            sampling: sampling,
            spool: spool,
            stateFile: StateFile(path: host.root + "/state.json"),
            pace: SealingPace(),
            facts: CurrentFacts(WireHostFacts()),
            clockOffset: offset,
            sealNow: Doorbell(),
            batchSpooled: Doorbell(),
            log: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        await withTaskGroup { group in
            group.addTask { do { try await sealer.run() } catch { Issue.record("\(error)") } }
            group.cancelAll()
        }
        let pending = try #require(await spool.pending)
        for seq in pending.firstUnacknowledged...pending.last {
            let batch = try WireReadingsBatch(serializedBytes: try await spool.body(pending.stream, seq: seq))
            #expect(batch.clockOffsetUs == 7_000_000)
            #expect(batch.boottimeUs > 0 && batch.wallUs >= now.microseconds)
        }
    }

    // MARK: Reboot and suspend

    @Test func aStateOlderThanTheBootIsNoBaseForADifference() throws {
        let host = try FixtureHost()
        var first = try begin(host, energy: 5_000_000_000, at: .at(100_000))
        try host.setEnergy(6_000_000_000)
        first.sample(.all, at: .at(100_060))
        // More than before, but of another boot.
        try host.setEnergy(6_500_000_000)
        var second = try host.sampling(boot: "boot-b", resuming: first.take().state, clock: .at(60, start: 100_100))
        second.sample(.all, at: .at(60, start: 100_100))
        let sealable = second.take()
        let gap = try #require(sealable.gaps(package0).first)
        #expect(gap.cause == "reboot" && gap.high == 100 * 200_000_000)
        #expect(sealable.tail(package0)?.value == 1_000_000_000)
    }

    @Test func aSuspendWhileTheAgentWasAwayIsAGapToo() throws {
        let host = try FixtureHost()
        var first = try begin(host, energy: 9_000_000)
        let state = try AgentState(decoding: try first.take().state.encoded())
        // The register lost its count in the deep sleep, and has counted since then.
        try host.setEnergy(40_000_000)
        var second = try host.sampling(resuming: state, clock: .at(100, suspended: 80))
        second.sample(.all, at: .at(100, suspended: 80))
        try host.setEnergy(41_000_000)
        second.sample(.all, at: .at(101, suspended: 80))
        let sealable = second.take()
        #expect(sealable.gaps(package0).map(\.cause) == ["suspend"])
        #expect(sealable.tail(package0)?.value == 1_000_000)
    }

    @Test func everySuspendOfALaptopIsOneGapAndTheRestIsCounted() throws {
        let host = try FixtureHost()
        var sampling = try begin(host, energy: 0)
        var raw: Int64 = 0
        var clock = 10.0
        var suspended = 0.0
        for nap in 1...5 {
            for _ in 0..<10 {
                clock += 0.1
                raw += 1_000_000
                try host.setEnergy(raw)
                sampling.sample(.fast, at: .at(clock, suspended: suspended))
            }
            clock += 3_600
            suspended += 3_600
            // Some processors keep their count, some lose it.
            if nap % 2 == 0 { raw = 0 } else { raw += 77 }
            try host.setEnergy(raw)
            sampling.sample(.fast, at: .at(clock, suspended: suspended))
        }
        let sealable = sampling.take()
        #expect(sealable.gaps(package0).map(\.cause) == Array(repeating: "suspend", count: 5))
        #expect(sealable.tail(package0)?.value == 50_000_000)
    }

    // MARK: What is counted

    @Test func aPlatformZoneIsSaidAndNeverAddedToWhatItContains() throws {
        let host = try FixtureHost()
        try host.addPackage(0, energy: 0)
        try host.write("/sys/class/powercap/intel-rapl:1/name", "psys")
        try host.write("/sys/class/powercap/intel-rapl:1/max_energy_range_uj", "262143328850")
        try host.setEnergy(0, of: 1)
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        try host.setEnergy(50_000_000)
        try host.setEnergy(80_000_000, of: 1)
        sampling.sample(.all, at: .at(11))
        let snapshot = sampling.snapshot(at: .at(11.001))
        #expect(snapshot.cover == 50_000_000)
        #expect(snapshot.meters.contains { $0.name == "powercap/intel-rapl:1" && $0.energy == 80_000_000 })
        let sealable = sampling.take()
        #expect(sealable.announcement("beside/powercap/intel-rapl:1")?.inCover == false)
    }

    @Test func anIdleFloorIsSaidBesideTheCurveAndNeverLearnedOrTakenOff() throws {
        let host = try FixtureHost()
        var sampling = try begin(host, energy: 0)
        let announced = sampling.take().announcement(package0)?.pIdleUw
        // Quieter than any idle power that was ever seen, then busy: a floor that learns would follow.
        for second in 1...60 {
            try host.setEnergy(Int64(second) * (second < 30 ? 10 : 100_000_000))
            sampling.sample(.all, at: .at(10 + Double(second)))
        }
        sampling.announceAll()
        let sealable = sampling.take()
        #expect(announced == sealable.announcement(package0)?.pIdleUw)
        #expect(sealable.tail(package0)?.value == 6_000_000_000)
    }

    @Test func aTailOfThreeSecondsIsMeasuredFromItsFirstInstantToItsLast() throws {
        let host = try FixtureHost()
        var sampling = try begin(host, energy: 0)
        // Edges fall between samples; the last one 3 ms before the next sample is due.
        try host.setEnergy(7_000_000)
        let start = try sampling.edge(SpanRequest(phase: .start, key: "k", cgroup: nil, directory: nil), at: .at(10.0421))
        for step in 1...29 {
            try host.setEnergy(7_000_000 + Int64(step) * 10_000_000)
            sampling.sample(.fast, at: .at(10 + Double(step) * 0.1 + 0.1))
        }
        try host.setEnergy(300_000_321)
        let finish = try sampling.edge(SpanRequest(phase: .finish, key: "k", cgroup: nil, directory: nil), at: .at(13.097))
        sampling.sample(.fast, at: .at(13.1))
        sampling.forceTails()
        let curve = Curve(knots: sampling.take().knots(package0))
        #expect(curve.value(at: start.time) == 7_000_000)
        #expect(curve.value(at: finish.time) == 300_000_321)
        #expect(finish.cover - start.cover == 293_000_321)
    }

    @Test func theAgentsOwnCPUTimeIsACurveSoThatItsCostCanBeBilled() throws {
        let host = try FixtureHost()
        try host.addPackage()
        let used = Counter()
        var sampling = try host.sampling(clock: .at(10), ownCPU: { used.value })
        sampling.sample(.all, at: .at(10))
        used.value = .milliseconds(120)
        sampling.sample(.all, at: .at(20))
        let sealable = sampling.take()
        #expect(sealable.announcement("agent/cpu")?.kind == .agentCpu)
        #expect(sealable.tail("agent/cpu")?.value == 120_000)
        #expect(ClockReading.processCPUTime() > .zero, "the real one is this process's")
    }

    /// `@unchecked Sendable`: used by one test on one thread.
    private final class Counter: @unchecked Sendable {
        var value = Microseconds.zero
    }

    @Test func anEnergyFilterIsARemark() throws {
        let machine = try #require(try MachineArchive.all(in: machinesOfTheCorpus).first { $0.name == "msr-sapphire-rapids" })
        let sensors = try UnpackedMachine(machine).find()
        #expect(sensors.remarks.contains { $0.contains("energy filter") })
        #expect(DetectReport(sensors).table.contains("energy filter"))
    }

    @Test func everyTestThatTheDocumentNamesIsThere() throws {
        let tests = "/\(#filePath.split(separator: "/").dropLast(2).joined(separator: "/"))"
        let document = try String(contentsOfFile: "\(tests)/../docs/agent.md", encoding: .utf8)
        var functions: Set<Substring> = []
        for file in try FileManager.default.subpathsOfDirectory(atPath: tests) where file.hasSuffix(".swift") {
            let source = try String(contentsOfFile: "\(tests)/\(file)", encoding: .utf8)
            functions.formUnion(source.matches(of: /func (\w+)/).map(\.1))
        }
        let section = try #require(document.split(separator: "\n## ").first { $0.hasPrefix("Traps") })
        let rows = section.split(separator: "\n").filter { $0.hasPrefix("| ") }
        #expect(rows.count > 30)
        for row in rows {
            let named = row.split(separator: "|").last?.matches(of: /`(\w+)`/).map(\.1) ?? []
            for name in named { #expect(functions.contains(name), "\(row)") }
        }
    }
}
