import Energy
import Meters
import Testing

@testable import Agent

struct SelfTestTests {
    private final class Load {
        var isOn = false
    }

    /// A counter of 10 W at rest and of `loadWatts` under load, which may jump as when its driver is loaded anew.
    private struct JumpingMeter: Meter {
        let place = MeterPlace(name: "test/package", zone: .package, package: 0, quality: .measured)
        let sensor = "test"
        let cadence = MeterCadence.fast
        let idlePower: UtilisationModel.Point? = nil
        let boundRatios = (low: 1.0, high: 1.0)
        let counting = MeterCounting.hardware(modulus: nil)
        let maximumPower = Power(watts: 200)
        let basis = "a test"
        let jump: Int64
        let load: Load
        let loadWatts: Int64
        var readings: Int64 = 0
        var count: Int64 = 0

        /// A second passes between two readings.
        mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading {
            readings += 1
            count += (load.isOn ? loadWatts : 10) * 1_000_000
            return MeterReading(count + (readings > 3 ? jump : 0))
        }
    }

    private func test(jump: Int64, loadWatts: Int64 = 20) throws -> SelfTest.MeterResult {
        let load = Load()
        let sensors = HostSensors(
            meters: [JumpingMeter(jump: jump, load: load, loadWatts: loadWatts)],
            cover: ["test/package"],
            unused: [],
            remarks: [],
            cpu: CPUInfo(model: "", vendor: .other, packages: 1, cpus: 1)
        )
        var seconds: Int64 = 0
        return try #require(
            SelfTest.run(
                sensors,
                rest: .milliseconds(20),
                load: .milliseconds(20),
                pause: .milliseconds(1),
                clock: {
                    seconds += 1
                    return Timestamp(microseconds: seconds * 1_000_000)
                },
                withLoad: { body in
                    load.isOn = true
                    body()
                }
            ).meters.first
        )
    }

    @Test func aCounterThatJumpsBeyondItsPowerIsSaidToAndItsJumpIsNoPower() throws {
        let steady = try test(jump: 0)
        #expect(steady.complaint == nil)
        #expect(steady.restWatts == 10 && steady.loadWatts == 20)
        let jumping = try test(jump: 1_000_000_000_000)
        #expect(jumping.complaint?.contains("limit of 200 W") == true)
        #expect(jumping.restWatts == 10 && jumping.loadWatts == 20)
    }

    @Test func aMeterThatDoesNotRespondToLoadIsSaidTo() throws {
        #expect(try test(jump: 0, loadWatts: 10).complaint?.contains("does not respond to load") == true)
    }
}
