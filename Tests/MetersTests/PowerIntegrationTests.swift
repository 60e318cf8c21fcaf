import Energy
import Glibc
import Synchronization
import Testing

@testable import Meters

struct PowerIntegrationTests {
    static let node = PowerIntegrator.Limits(
        maximum: Power(watts: 1_000),
        isZeroPossible: false,
        longestStep: .seconds(5),
        longestRepeat: .seconds(600)
    )

    private func at(_ milliseconds: Int64) -> Timestamp { Timestamp(microseconds: 1_700_000_000_000_000 + milliseconds * 1_000) }

    // MARK: The integral

    @Test func sampledPowerIsNotEnergyUntilItIsMultipliedByTheTimeThatReallyPassed() {
        var integrator = PowerIntegrator(Self.node)
        #expect(integrator.take(microwatts: 100_000_000, at: at(0)) == .first)
        // A nominal second that took 1.3 s, and one that took 0.4 s.
        #expect(integrator.take(microwatts: 200_000_000, at: at(1_300)) == .counted)
        #expect(integrator.take(microwatts: 200_000_000, at: at(1_700)) == .counted)
        #expect(integrator.microjoules == 195_000_000 + 80_000_000)
    }

    @Test func noRoundingDriftsOverAMillionUnevenSamples() {
        var integrator = PowerIntegrator(Self.node)
        var exact: Int128 = 0
        var time = at(0)
        var power: Int64 = 1_000_003
        _ = integrator.take(microwatts: power, at: time)
        for i in 1...1_000_000 {
            let step = Microseconds(Int64(i % 7) * 143 + 1)
            let next = 1_000_003 + Int64(i % 11) * 1_001
            time = time + step
            _ = integrator.take(microwatts: next, at: time)
            exact += Int128(power + next) * Int128(step.count)
            power = next
        }
        #expect(Int128(integrator.microjoules) == exact / 2_000_000)
    }

    @Test func aMegawattOverAWeekDoesNotOverflow() {
        var limits = Self.node
        limits.maximum = Power(watts: 1e6)
        limits.longestStep = .day
        limits.longestRepeat = nil
        var integrator = PowerIntegrator(limits)
        for day in Int64(0)...7 { _ = integrator.take(microwatts: 1_000_000_000_000, at: at(day * 86_400_000)) }
        #expect(integrator.microjoules == 7 * 86_400 * 1_000_000_000_000)
    }

    @Test func aStaleValueIsNeitherCountedNorRepeated() {
        var integrator = PowerIntegrator(Self.node)
        _ = integrator.take(microwatts: 100_000_000, at: at(0))
        for _ in 0..<5 { #expect(integrator.take(microwatts: 100_000_000, at: at(0)) == .old) }
        #expect(integrator.take(microwatts: 100_000_000, at: at(-10)) == .old)
        // It comes back after more than the longest step: nothing is known of the time in between.
        #expect(integrator.take(microwatts: 100_000_000, at: at(9_000)) == .afterGap)
        #expect(integrator.microjoules == 0)
        #expect(integrator.take(microwatts: 100_000_000, at: at(10_000)) == .counted)
        #expect(integrator.microjoules == 100_000_000)
    }

    @Test func aValueThatStandsStillForTenMinutesIsNotRepeatedWithoutLimit() {
        var integrator = PowerIntegrator(Self.node)
        for second in 0...600 { _ = integrator.take(microwatts: 250_000_000, at: at(Int64(second) * 1_000)) }
        #expect(integrator.microjoules == 600 * 250_000_000)
        for second in 601...900 {
            #expect(integrator.take(microwatts: 250_000_000, at: at(Int64(second) * 1_000)) == .standsStill)
        }
        #expect(integrator.take(microwatts: 251_000_000, at: at(901_000)) == .afterGap)
        #expect(integrator.microjoules == 600 * 250_000_000)
    }

    @Test(arguments: [-1, 0, 1_000_000_001, Int64.max])
    func whatCannotBeIsAGapAndNotEnergy(power: Int64) {
        var integrator = PowerIntegrator(Self.node)
        _ = integrator.take(microwatts: 100_000_000, at: at(0))
        #expect(integrator.take(microwatts: power, at: at(1_000)) == .impossible)
        #expect(integrator.take(microwatts: 100_000_000, at: at(2_000)) == .afterGap)
        #expect(integrator.microjoules == 0)
    }

    @Test func zeroWattsArePossibleForAPartThatSleeps() {
        var limits = Self.node
        limits.isZeroPossible = true
        var integrator = PowerIntegrator(limits)
        _ = integrator.take(microwatts: 0, at: at(0))
        #expect(integrator.take(microwatts: 10_000_000, at: at(1_000)) == .counted)
        #expect(integrator.microjoules == 5_000_000)
    }

    @Test func aCounterIsExactOverAnyTimeAndAGapWhereItFell() {
        var integrator = PowerIntegrator(Self.node)
        #expect(integrator.take(microjoules: 5_000_000, at: at(0)) == .first)
        #expect(integrator.take(microjoules: 45_000_007, at: at(3_600_000)) == .counted)
        #expect(integrator.microjoules == 40_000_007)
        #expect(integrator.take(microjoules: 9, at: at(3_601_000)) == .afterGap)
        #expect(integrator.take(microjoules: 19, at: at(3_602_000)) == .counted)
        // 18446744073709 J in a second: an underflow, not energy.
        #expect(integrator.take(microjoules: Int64.max, at: at(3_603_000)) == .afterGap)
        #expect(integrator.microjoules == 40_000_017)
    }

    // MARK: Between the thread and the meter

    private func energy(_ limits: PowerIntegrator.Limits = node) -> SampledEnergy { SampledEnergy(name: "test/node", limits: limits) }

    @Test func readingsBeforeAndAfterAGapComeSingly() throws {
        let energy = energy()
        for second in 0...2 { energy.take(microwatts: 100_000_000, at: at(Int64(second) * 1_000)) }
        energy.take(microwatts: 0, at: at(3_000))
        for second in 4...6 { energy.take(microwatts: 100_000_000, at: at(Int64(second) * 1_000)) }
        var seen: [String] = []
        for _ in 0..<5 {
            guard case .reading(let count, let time, let isAfterGap) = energy.news(by: at(10_000)) else { break }
            seen.append("\((time - at(0)).count / 1_000_000) s \(count / 1_000_000) J\(isAfterGap ? " gap" : "")")
        }
        #expect(seen == ["0 s 0 J gap", "2 s 200 J", "4 s 200 J gap", "6 s 400 J"])
    }

    @Test func samplesOfAfterTheCallAreLeftForTheNext() {
        let energy = energy()
        energy.take(microwatts: 100_000_000, at: at(0))
        _ = energy.news(by: at(0))
        energy.take(microwatts: 100_000_000, at: at(1_000))
        guard case .none(let last) = energy.news(by: at(999)) else {
            Issue.record("a sample of the future was given out")
            return
        }
        #expect(last?.time == at(0))
        guard case .reading(100_000_000, _, false) = energy.news(by: at(1_000)) else {
            Issue.record("the sample was lost")
            return
        }
    }

    @Test func whatNobodyFetchesIsBoundedAndLosesNoEnergyAndNoGap() {
        let energy = energy()
        energy.take(microwatts: 100_000_000, at: at(0))
        _ = energy.news(by: at(0))
        energy.take(microwatts: 0, at: at(500))
        for second in 1...1_000 { energy.take(microwatts: 100_000_000 + Int64(second % 2), at: at(Int64(second) * 1_000)) }
        var readings: [(Int64, Bool)] = []
        while case .reading(let count, _, let isAfterGap) = energy.news(by: at(2_000_000)) { readings.append((count, isAfterGap)) }
        #expect(readings.count <= SampledEnergy.capacity)
        #expect(readings.first?.1 == true)
        #expect(readings.last.map { $0.0 / 1_000_000 } == 99_900)
    }

    // MARK: The thread

    /// Reads a byte of a pipe for each answer, as a driver waits for its mailbox: it hangs in the kernel until one comes.
    private final class HangingSource: PolledPower.Source {
        let descriptor: Int32
        let ended: Flag
        init(_ descriptor: Int32, _ ended: Flag) {
            self.descriptor = descriptor
            self.ended = ended
        }
        deinit { ended.set() }
        func ask(_ give: (_ channel: Int, PolledPower.Answer) -> Void) {
            var byte: UInt8 = 0
            guard read(descriptor, &byte, 1) == 1 else {
                give(0, .fault(SensorFault(path: "pipe", errno: EIO)))
                return
            }
            give(0, .power(microwatts: Int64(byte) * 1_000_000, taken: nil))
        }
    }

    private final class Flag: Sendable {
        private let value = Atomic(false)
        var isSet: Bool { value.load(ordering: .sequentiallyConsistent) }
        func set() { value.store(true, ordering: .sequentiallyConsistent) }
    }

    private func meter(_ descriptor: Int32, ended: Flag, step: Microseconds = .seconds(5)) -> SampledMeter {
        var limits = Self.node
        limits.longestStep = step
        let energy = energy(limits)
        let polled = PolledPower("test", channels: [energy], period: .milliseconds(100), clock: { SensorThread.now() }) {
            HangingSource(descriptor, ended)
        }
        let place = MeterPlace(name: "test/node", zone: .node, package: nil, quality: .sampled)
        return SampledMeter(place: place, sensor: "test", basis: "a pipe", energy: energy, sampling: polled)
    }

    private func eventually(_ isTrue: () throws -> Bool) async throws {
        for _ in 0..<500 {
            if try isTrue() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("expected it within 5 s")
    }

    @Test func aSensorThatHangsHoldsUpNeitherReadingsNorTheEndAndIsAGapWhenItAnswersAgain() async throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { close(ends[1]) }
        let ended = Flag()
        let answers = [UInt8](repeating: 100, count: 2)
        do {
            var meter = meter(ends[0], ended: ended, step: .milliseconds(400))
            #expect(try meter.read(at: SensorThread.now()) == MeterReading(0))
            try #require(write(ends[1], answers, 2) == 2)
            var last = MeterReading(0)
            try await eventually {
                last = try meter.read(at: SensorThread.now())
                return last.count > 0
            }
            // It hangs now. Readings go on, and say that nothing new came once the longest step is over.
            let began = SensorThread.now()
            try await eventually {
                do throws(SensorFault) {
                    let reading = try meter.read(at: SensorThread.now())
                    #expect(reading == MeterReading(last.count, time: last.time))
                    return false
                } catch {
                    return "\(error)".contains("expected a new value")
                }
            }
            #expect(SensorThread.now() - began < .seconds(3))
            try #require(write(ends[1], answers, 1) == 1)
            try await eventually {
                do throws(SensorFault) {
                    let reading = try meter.read(at: SensorThread.now())
                    guard reading.time != last.time else { return false }
                    #expect(reading.gap == .unreadable)
                    #expect(reading.count == last.count)
                    return true
                } catch {
                    return false
                }
            }
            // Until it hangs once more.
            try await Task.sleep(for: .milliseconds(300))
            let releasing = SensorThread.now()
            _ = consume meter
            #expect(SensorThread.now() - releasing < .milliseconds(100))
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(!ended.isSet)
        // Only when the driver lets it go does the thread come to its end.
        try #require(write(ends[1], answers, 1) == 1)
        try await eventually { ended.isSet }
        close(ends[0])
    }

    @Test func aThreadThatWaitsEndsWithItsMeter() async throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer {
            close(ends[0])
            close(ends[1])
        }
        let ended = Flag()
        let answers = [UInt8](repeating: 100, count: 64)
        try #require(write(ends[1], answers, 64) == 64)
        var meter = meter(ends[0], ended: ended)
        _ = try meter.read(at: SensorThread.now())
        let copy = meter
        _ = consume meter
        try await Task.sleep(for: .milliseconds(150))
        #expect(!ended.isSet)
        _ = consume copy
        try await eventually { ended.isSet }
    }

    @Test func aMeterThatIsNeverReadStartsNoThread() async throws {
        let ended = Flag()
        do { _ = meter(-1, ended: ended) }
        try await Task.sleep(for: .milliseconds(50))
        #expect(!ended.isSet)
    }
}
