import Energy
import FoundationEssentials
import Glibc
import Testing

@testable import Meters

/// A copy of the fake library, built for one test, and the GPUs that it shows. It is opened by the same `dlopen` as the real one.
private final class FakeNVML {
    let host: FixtureHost
    let library: String

    static let source = String(#filePath.prefix(upTo: #filePath.lastIndex(of: "/") ?? #filePath.startIndex)) + "/FakeNVML/fake_nvml.c"

    init(_ state: [String: String]) throws {
        host = try FixtureHost()
        try host.addProcessor()
        library = host.root + "/libnvidia-ml-fake.so"
        var status: Int32 = -1
        for compiler in ["cc", "gcc", "clang"] where status != 0 {
            status = system("\(compiler) -shared -fPIC -o '\(library)' '\(Self.source)' -ldl -lpthread 2>/dev/null")
        }
        try #require(status == 0, "expected a C compiler (cc, gcc or clang) to build the fake library with; install one")
        try set(state)
        print("NVML: the fake library ran, not a real GPU")
    }

    static let counter = [
        "gpus": "1", "driver": "1", "0.uuid": "GPU-8f7e21a3-0000-1111-2222-333344445555", "0.name": "NVIDIA Test", "0.energy_mj": "5000",
        "0.limit_max_mw": "700000", "0.limit_mw": "500000",
    ]
    static let power = counter.merging(["0.power_mw": "100000"]) { $1 }.filter { $0.key != "0.energy_mj" }

    private(set) var state: [String: String] = [:]

    /// Changes the GPUs all at once; an empty text takes a key away.
    func set(_ changes: [String: String]) throws {
        state.merge(changes) { $1 }
        state = state.filter { !$0.value.isEmpty }
        try host.write("/state.new", state.map { "\($0.key) \($0.value)\n" }.sorted().joined())
        try #require(rename(host.root + "/state.new", library + ".state") == 0)
    }

    func find(_ options: [String: String] = [:]) throws -> SensorFindings {
        var sensorHost = try host.sensorHost(options: ["nvml.library": library].merging(options) { $1 })
        sensorHost.clock = { now() }
        return NVMLSensor.find(on: sensorHost)
    }

    func meter() throws -> NVMLMeter {
        let found = try find()
        #expect(found.unused == [])
        return try #require(found.meters.first as? NVMLMeter)
    }

    /// How many have the library open and initialised.
    var openings: Int32 {
        guard let handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD), let symbol = dlsym(handle, "fake_nvml_openings") else { return 0 }
        defer { dlclose(handle) }
        return unsafeBitCast(symbol, to: (@convention(c) () -> Int32).self)()
    }
}

private func now() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
}

/// Reads until a result is as wanted; the thread of the meter needs a moment. Fails after 20 s.
private func reading(
    of meter: inout NVMLMeter,
    _ isWanted: (Result<MeterReading, SensorFault>) -> Bool
) throws -> Result<MeterReading, SensorFault> {
    let end = now() + .seconds(20)
    while true {
        let result: Result<MeterReading, SensorFault>
        do throws(SensorFault) { result = .success(try meter.read(at: now())) } catch { result = .failure(error) }
        if isWanted(result) { return result }
        try #require(now() < end, "expected another reading within 20 s, found \(result)")
        usleep(5_000)
    }
}

private func counts(_ count: Int64) -> (Result<MeterReading, SensorFault>) -> Bool {
    { result in
        guard case .success(let reading) = result else { return false }
        return reading.count == count
    }
}

private func isFault(_ result: Result<MeterReading, SensorFault>) -> Bool {
    guard case .failure = result else { return false }
    return true
}

private func isVanished(_ result: Result<MeterReading, SensorFault>) -> Bool {
    guard case .failure(let fault) = result else { return false }
    return fault.isVanished
}

@Suite(.serialized)
struct NVMLTests {
    // MARK: Finding

    @Test func withoutDeviceAndLibraryThereIsNothingAndNothingIsSaid() throws {
        let host = try FixtureHost()
        try host.addProcessor()
        let found = NVMLSensor.find(on: try host.sensorHost())
        #expect(found.meters.isEmpty && found.unused == [] && found.remarks == [])
    }

    @Test(arguments: ["/proc/driver/nvidia/version", "/dev/nvidia0"])
    func aDeviceWhoseLibraryCannotBeOpenedIsNamedWithItsRemedy(path: String) throws {
        let host = try FixtureHost()
        try host.addProcessor()
        try host.write(path, "")
        let found = NVMLSensor.find(on: try host.sensorHost(options: ["nvml.library": host.root + "/none.so"]))
        #expect(found.meters.isEmpty)
        let unused = try #require(found.unused.first)
        #expect(found.unused.count == 1 && unused.name == "nvml" && unused.reason.contains("none.so"))
        #expect(unused.remedy?.contains("nvml.library") == true)
    }

    @Test func switchedOffNothingIsOpened() throws {
        let fake = try FakeNVML(FakeNVML.counter)
        let found = try fake.find(["nvml.enabled": "no"])
        #expect(found.meters.isEmpty && found.unused == [] && fake.openings == 0)
    }

    @Test func anOptionThatIsNotUnderstoodIsNamed() throws {
        let fake = try FakeNVML(FakeNVML.counter)
        #expect(try fake.find(["nvml.enabled": "perhaps"]).unused.first?.name == "nvml.enabled")
        #expect(try fake.find(["nvml.wait_s": "soon"]).unused.first?.name == "nvml.wait_s")
    }

    @Test func aDriverWithoutGPUsHasNoMeters() throws {
        let found = try FakeNVML(["gpus": "0"]).find()
        #expect(found.meters.isEmpty && found.unused == [])
    }

    @Test(arguments: [
        (["driver": "0"], "DRIVER_NOT_LOADED", "load the driver"), (["init": "18"], "LIB_RM_VERSION_MISMATCH", "reboot"),
        (["init": "4"], "NO_PERMISSION", "/dev/nvidiactl"), (["0.handle_status": "15"], "GPU_IS_LOST", "Xid"),
        (["0.energy_status": "4"], "NO_PERMISSION", "/dev/nvidiactl"), (["0.energy_status": "999"], "error 999", "nvidia-smi"),
    ])
    func whatKeepsAGPUFromBeingMeasuredIsSaidWithItsRemedy(change: [String: String], reason: String, remedy: String) throws {
        let found = try FakeNVML(FakeNVML.counter.merging(change) { $1 }).find()
        #expect(found.meters.isEmpty)
        #expect(found.unused.first?.reason.contains(reason) == true, "\(found.unused)")
        #expect(found.unused.first?.remedy?.contains(remedy) == true, "\(found.unused)")
    }

    @Test func aGPUWithNeitherEnergyNorPowerIsLeftOutAndTheOthersAreNot() throws {
        let found = try FakeNVML(FakeNVML.counter.merging(["gpus": "2", "1.uuid": "GPU-11111111-2"]) { $1 }).find()
        #expect(found.meters.map(\.place.name) == ["nvml/GPU-8f7e21a3"])
        #expect(found.unused == [UnusedSensor(name: "nvml/1", reason: "the GPU tells neither its energy nor its power")])
    }

    @Test func gpusAreNamedByWhatStaysTheSameOverReboots() {
        func gpu(_ index: Int, _ uuid: String?) -> NVMLGPU {
            NVMLGPU(index: index, device: 0, uuid: uuid, model: "", limit: nil, isPartitioned: false, source: .power)
        }
        #expect(
            NVMLSensor.names(of: [gpu(0, "GPU-aaaaaaaa-1"), gpu(1, "GPU-bbbbbbbb-1"), gpu(2, "GPU-bbbbbbbb-2"), gpu(3, nil)])
                == [0: "nvml/GPU-aaaaaaaa", 1: "nvml/GPU-bbbbbbbb-1", 2: "nvml/GPU-bbbbbbbb-2"]
        )
    }

    @Test func aPartitionedGPUIsMeteredAsAWholeAndSaysSo() throws {
        let meter = try FakeNVML(FakeNVML.counter.merging(["0.mig": "1"]) { $1 }).meter()
        #expect(meter.basis.contains("MIG") && meter.basis.contains("whole GPU"))
        #expect(!(try FakeNVML(FakeNVML.counter.merging(["0.mig": "0"]) { $1 }).meter().basis.contains("MIG")))
    }

    @Test func aLibraryThatHangsIsNotWaitedForAndFoundLater() throws {
        let fake = try FakeNVML(FakeNVML.counter.merging(["0.hang_ms": "700"]) { $1 })
        let begin = now()
        let found = try fake.find(["nvml.wait_s": "0.1"])
        #expect(found.meters.isEmpty && found.unused.first?.reason.contains("has not answered within 0.1 s") == true)
        // Asked again meanwhile it does not wait at all, nor begin beside itself.
        #expect(try fake.find().meters.isEmpty)
        #expect(now() - begin < .milliseconds(600))
        #expect(fake.openings == 1)
        let end = now() + .seconds(20)
        var meters = 0
        while meters == 0, now() < end {
            usleep(20_000)
            meters = try fake.find().meters.count
        }
        #expect(meters == 1)
    }

    // MARK: The counter

    @Test func theTotalEnergyCounterIsReadInMillijoules() throws {
        let fake = try FakeNVML(FakeNVML.counter)
        var meter = try fake.meter()
        #expect(
            meter.place == MeterPlace(name: "nvml/GPU-8f7e21a3", zone: .gpu, package: nil, die: 0, quality: .measured)
        )
        #expect(meter.counting == .hardware(modulus: nil) && meter.cadence == .fast && meter.sensor == "nvml")
        #expect(meter.maximumPower == Power(watts: 700))
        let begin = now()
        let first = try meter.read(at: now())
        #expect(first.count == 5_000_000 && first.gap == nil)
        try fake.set(["0.energy_mj": "5123"])
        let later = try reading(of: &meter, counts(5_123_000)).get()
        #expect(later.gap == nil)
        let time = try #require(later.time)
        #expect(time > begin && time <= now())
    }

    @Test func theTimeOfAReadingIsThatOfItsSampleAndNeverLaterThanTheCall() throws {
        let fake = try FakeNVML(FakeNVML.counter)
        var meter = try fake.meter()
        _ = try meter.read(at: now())
        var last = Timestamp(microseconds: 0)
        for _ in 0..<60 {
            let call = now()
            let time = try #require(try meter.read(at: call).time)
            #expect(time <= call && time >= last)
            last = time
            usleep(5_000)
        }
    }

    @Test func aLibraryThatHangsDoesNotHoldUpTheReader() throws {
        let fake = try FakeNVML(FakeNVML.counter)
        var meter = try fake.meter()
        _ = try meter.read(at: now())
        try fake.set(["0.hang_ms": "1500"])
        usleep(150_000)
        var longest = Microseconds.zero
        for _ in 0..<50 {
            let before = now()
            _ = try meter.read(at: before)
            longest = max(longest, now() - before)
            usleep(10_000)
        }
        #expect(longest < .milliseconds(500))
        // What was used meanwhile is in the counter.
        try fake.set(["0.hang_ms": "", "0.energy_mj": "5900"])
        #expect(try reading(of: &meter, counts(5_900_000)).get().gap == nil)
    }

    @Test func aLibraryThatIsSilentForLongIsReported() throws {
        let fake = try FakeNVML(FakeNVML.counter)
        var meter = try fake.meter()
        _ = try meter.read(at: now())
        let fault = #expect(throws: SensorFault.self) { try meter.read(at: now() + .seconds(60)) }
        #expect(fault?.isVanished == false && fault?.description.contains("within 5 s") == true)
    }

    @Test func aCounterThatFellAfterADriverReloadIsAGap() throws {
        let fake = try FakeNVML(FakeNVML.counter)
        var meter = try fake.meter()
        #expect(try meter.read(at: now()).count == 5_000_000)
        try fake.set(["0.energy_mj": "7"])
        let after = try reading(of: &meter, counts(7_000)).get()
        #expect(after.gap == .reset)
        // Said once, and nothing of the fall is energy.
        #expect(try meter.read(at: now()).gap == nil)
        try fake.set(["0.energy_mj": "107"])
        #expect(try reading(of: &meter, counts(107_000)).get().gap == nil)
    }

    @Test func aDriverReloadIsSeenByOpeningTheLibraryAnew() throws {
        let fake = try FakeNVML(FakeNVML.counter)
        var meter = try fake.meter()
        _ = try meter.read(at: now())
        try fake.set(["driver": "2", "0.energy_mj": "3"])
        // What was opened before the reload has no more use: the GPU counts as gone, and the library is let go of.
        _ = try reading(of: &meter, isVanished)
        let end = now() + .seconds(20)
        while fake.openings > 0, now() < end { usleep(5_000) }
        #expect(fake.openings == 0)
        var found = try fake.meter()
        #expect(found.place.name == meter.place.name)
        #expect(try found.read(at: now()).count == 3_000)
    }

    @Test(arguments: ["18446744073709551615", "18446744073709551000", "9223372036854775808", "9223372036854776"])
    func anUnderflowOf1e19IsMalformedAndNeverEnergy(value: String) throws {
        let fake = try FakeNVML(FakeNVML.counter)
        var meter = try fake.meter()
        _ = try meter.read(at: now())
        try fake.set(["0.energy_mj": value])
        let result = try reading(of: &meter, isFault)
        guard case .failure(let fault) = result, case .malformed(_, let found) = fault.kind else {
            Issue.record("expected a malformed value, found \(result)")
            return
        }
        #expect(found == value && !fault.isVanished)
        try fake.set(["0.energy_mj": "5200"])
        #expect(try reading(of: &meter, counts(5_200_000)).get().gap == nil)
        // Nor as the first value.
        try fake.set(["0.energy_mj": value])
        let unused = try fake.find().unused
        #expect(unused.first?.reason.contains(value) == true)
    }

    @Test func anUnderflowOf32BitsIsMoreThanTheGPUCanDrawAndNeverEnergy() throws {
        let fake = try FakeNVML(FakeNVML.counter)
        var meter = try fake.meter()
        _ = try meter.read(at: now())
        var check = NVMLCounterCheck(maximum: Power(watts: 700), microjoules: 5_000_000, time: Timestamp(microseconds: 0))
        #expect(check.take(microjoules: 4_294_967_295_000, at: Timestamp(microseconds: 100_000)) == .impossible)
        #expect(check.take(microjoules: 5_070_000, at: Timestamp(microseconds: 200_000)) == .counted)
        // One that is confirmed is where the count goes on.
        #expect(check.take(microjoules: 4_294_967_295_000, at: Timestamp(microseconds: 300_000)) == .impossible)
        #expect(check.take(microjoules: 4_294_967_300_000, at: Timestamp(microseconds: 400_000)) == .begunAnew)
        #expect(check.take(microjoules: 4_294_967_370_000, at: Timestamp(microseconds: 500_000)) == .counted)
        #expect(check.take(microjoules: 0, at: Timestamp(microseconds: 600_000)) == .begunAnew)
        try fake.set(["0.energy_mj": "4294967295"])
        #expect(try reading(of: &meter, counts(4_294_967_295_000)).get().gap == .reset)
    }

    @Test(arguments: [15, 16, 1, 9])
    func aLostGPUHasVanishedAndItsLibraryIsLetGoOf(status: Int) throws {
        let fake = try FakeNVML(FakeNVML.counter.merging(["gpus": "2", "1.uuid": "GPU-other", "1.energy_mj": "9"]) { $1 })
        var meters = try fake.find().meters.compactMap { $0 as? NVMLMeter }
        try #require(meters.count == 2)
        for i in meters.indices { _ = try meters[i].read(at: now()) }
        try fake.set(["0.energy_status": "\(status)", "1.energy_mj": "10"])
        _ = try reading(of: &meters[0], isVanished)
        // It stays so, and the other one goes on.
        try fake.set(["0.energy_status": ""])
        usleep(250_000)
        #expect(throws: SensorFault.self) { try meters[0].read(at: now()) }
        #expect(throws: SensorFault.self) { try meters[0].gpuProcesses() }
        #expect(try reading(of: &meters[1], counts(10_000)).get().gap == nil)
        #expect(fake.openings == 1)
        meters = []
        let end = now() + .seconds(20)
        while fake.openings > 0, now() < end { usleep(5_000) }
        #expect(fake.openings == 0)
    }

    @Test func aCallThatFailsOnceIsAFaultAndLosesNothing() throws {
        let fake = try FakeNVML(FakeNVML.counter)
        var meter = try fake.meter()
        _ = try meter.read(at: now())
        try fake.set(["0.energy_status": "999"])
        _ = try reading(of: &meter, isFault)
        try fake.set(["0.energy_status": "", "0.energy_mj": "5300"])
        #expect(try reading(of: &meter, counts(5_300_000)).get().gap == nil)
    }

    // MARK: Power

    @Test func whatWasMadeBeforeVoltaIsIntegratedByTrapezoidOverTheTimeThatReallyPassed() throws {
        let fake = try FakeNVML(FakeNVML.power)
        var meter = try fake.meter()
        #expect(meter.place.quality == .sampled && meter.counting == .program)
        #expect(try meter.read(at: now()).count == 0)
        var readings: [MeterReading] = []
        func watch(for duration: Microseconds) throws {
            let end = now() + duration
            while now() < end {
                let reading = try meter.read(at: now())
                if reading.time != readings.last?.time { readings.append(reading) }
                usleep(10_000)
            }
        }
        try watch(for: .milliseconds(700))
        try fake.set(["0.power_mw": "300000"])
        // Slow answers: a rectangle of the period's length would count a third of the energy.
        try fake.set(["0.hang_ms": "300"])
        try watch(for: .milliseconds(1_500))
        try #require(readings.count > 4)
        let steps = zip(readings.dropFirst(), readings.dropFirst(2)).map { old, new in
            (energy: Double(new.count - old.count), time: Double(((new.time ?? now()) - (old.time ?? now())).count))
        }
        for step in steps {
            let watts = step.energy / step.time
            #expect(
                [100.0, 200.0, 300.0].contains { abs(watts - $0) < 0.01 } || (step.time > 200_000 && watts > 99 && watts < 301),
                "\(watts) W over \(step.time) µs"
            )
        }
        #expect(steps.contains { abs($0.energy / $0.time - 100) < 0.01 })
        #expect(steps.contains { $0.time > 300_000 && abs($0.energy / $0.time - 300) < 0.01 })
    }

    @Test func aPowerOfAllOnesIsNoEnergy() throws {
        let fake = try FakeNVML(FakeNVML.power)
        var meter = try fake.meter()
        _ = try meter.read(at: now())
        _ = try reading(of: &meter) { if case .success(let reading) = $0 { reading.count > 10_000_000 } else { false } }
        try fake.set(["0.power_mw": "4294967295"])
        usleep(400_000)
        try fake.set(["0.power_mw": "100000"])
        let end = now() + .seconds(20)
        var hasGap = false
        while !hasGap, now() < end {
            let reading = try meter.read(at: now())
            hasGap = reading.gap == .unreadable
            #expect(reading.count < 10_000_000_000)
            usleep(5_000)
        }
        #expect(hasGap)
    }

    @Test func aLostGPUOfPowerHasVanished() throws {
        let fake = try FakeNVML(FakeNVML.power)
        var meter = try fake.meter()
        _ = try meter.read(at: now())
        try fake.set(["0.power_status": "15"])
        _ = try reading(of: &meter, isVanished)
    }

    // MARK: Processes

    @Test func processUtilisationIsReadByPidWithMemory() throws {
        let fake = try FakeNVML(
            FakeNVML.counter.merging([
                "0.use": "12:60:1700000001000000,13:20:1700000002000000,14:100000:1700000003000000,0:5:1700000003000000",
                "0.running": "12:4096,15:max",
            ]) { $1 }
        )
        let meter = try fake.meter()
        let use = try meter.gpuProcesses()
        #expect(
            use.processes == [
                .init(pid: 12, smPercent: 60, memoryBytes: 4_096, time: Timestamp(microseconds: 1_700_000_001_000_000)),
                .init(pid: 13, smPercent: 20, time: Timestamp(microseconds: 1_700_000_002_000_000)),
                .init(pid: 15),
            ]
        )
        // More than 100 % and no process at all: memory that the driver never wrote.
        #expect(use.malformed == 2)
        #expect(use.seen == 1_700_000_002_000_000)
        let later = try meter.gpuProcesses(after: use.seen)
        #expect(later.seen == use.seen && later.processes.allSatisfy { $0.smPercent == nil })
    }

    @Test func useIsSplitAmongTheOwnersOfProcesses() throws {
        let use = NVMLProcessUse(processes: [
            .init(pid: 1, smPercent: 60), .init(pid: 2, smPercent: 15), .init(pid: 3, smPercent: 20), .init(pid: 4, smPercent: 5),
            .init(pid: 5, memoryBytes: 1 << 40),
        ])
        let shares = try #require(use.shares { [1: "/a", 2: "/b", 3: "/b", 5: "/c"][$0] })
        #expect(shares.byOwner.keys.sorted() == ["/a", "/b"])
        #expect(abs(shares.byOwner["/a", default: 0] - 0.6) < 1e-12 && abs(shares.byOwner["/b", default: 0] - 0.35) < 1e-12)
        #expect(abs(shares.unowned - 0.05) < 1e-12)
        // Memory alone says nothing of energy.
        #expect(NVMLProcessUse(processes: [.init(pid: 5, memoryBytes: 1 << 40)]).shares { _ in "/c" } == nil)
    }

    @Test func aPartitionedGPUTellsNoUseButItsProcesses() throws {
        let fake = try FakeNVML(FakeNVML.counter.merging(["0.mig": "1", "0.running": "12:4096,12:100"]) { $1 })
        let use = try fake.meter().gpuProcesses()
        #expect(use.processes == [.init(pid: 12, memoryBytes: 4_196)])
    }

    // MARK: The real library

    @Test(.enabled(if: RealNVML.isThere, "libnvidia-ml.so.1 is not here: only the fake library ran"))
    func aRealGPUAnswers() throws {
        var host = try FixtureHost().sensorHostOfThisMachine()
        host.options = ["nvml.wait_s": "60"]
        let found = NVMLSensor.find(on: host)
        print("NVML: the real library ran: \(found.meters.map(\.basis)) \(found.unused)")
        for meter in found.meters {
            var meter = meter
            let first = try meter.read(at: now())
            usleep(1_500_000)
            let second = try meter.read(at: now())
            #expect(second.count > first.count)
            print("NVML: \(meter.place.name) used \(second.count - first.count) µJ in 1.5 s")
        }
    }
}

private enum RealNVML {
    /// The library opens, and there is a driver beneath it.
    static let isThere: Bool = {
        guard access("/proc/driver/nvidia", F_OK) == 0 || access("/dev/nvidia0", F_OK) == 0 else { return false }
        guard let handle = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL) else { return false }
        dlclose(handle)
        return true
    }()
}

extension FixtureHost {
    fileprivate func sensorHostOfThisMachine() throws -> SensorHost {
        try SensorHost(roots: HostRoots(), clock: { now() }, powerTable: try CPUPowerTable.builtIn())
    }
}
