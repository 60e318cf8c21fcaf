import Energy
import FoundationEssentials
import Glibc
import Meters
import Testing
import Wire

@testable import Agent

/// A powercap zone whose open file answers ENODEV once its directory is gone, as the kernel's does and a plain file does not.
private struct Unpluggable: Meter {
    var meter: any Meter
    let directory: String

    var place: MeterPlace { meter.place }
    var sensor: String { meter.sensor }
    var counting: MeterCounting { meter.counting }
    var cadence: MeterCadence { meter.cadence }
    var maximumPower: Power { meter.maximumPower }
    var idlePower: UtilisationModel.Point? { meter.idlePower }
    var boundRatios: (low: Double, high: Double) { meter.boundRatios }
    var basis: String { meter.basis }

    mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading {
        guard FileManager.default.fileExists(atPath: directory) else { throw SensorFault(path: directory, errno: ENODEV) }
        return try meter.read(at: time)
    }
}

extension FixtureHost {
    fileprivate func findUnpluggable() throws -> HostSensors {
        var sensors = try findSensors()
        sensors.meters = sensors.meters.map { meter in
            let zone = meter.place.name.split(separator: "/").last.map(String.init) ?? ""
            return Unpluggable(meter: meter, directory: "\(root)/sys/class/powercap/\(zone)")
        }
        return sensors
    }
}

struct MeterBankTests {
    @Test func aZoneThatVanishesStopsNothingAndItsReturnIsAGap() throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 1_000)
        try host.addPackage(1, energy: 0)
        var sampling = try host.sampling(sensors: try host.findUnpluggable(), clock: .at(10))
        sampling.sample(.all, at: .at(10))
        try host.setEnergy(5_001_000)
        try host.setEnergy(5_000_000, of: 1)
        sampling.sample(.all, at: .at(11))
        try host.vanish(0)
        for second in 12...20 { sampling.sample(.all, at: .at(Double(second))) }
        let without = sampling.take()
        #expect(without.tail(package0)?.closed == true, "nobody waits for a meter that is gone")
        #expect(without.tail("powercap/intel-rapl:1")?.value == 5_000_000)
        #expect(sampling.meters.isMissingDevice)

        // The driver is loaded anew, its count at 0.
        try host.addPackage(energy: 7)
        sampling.adopt(try host.findSensors(), at: .at(30))
        sampling.sample(.all, at: .at(30))
        try host.setEnergy(2_000_007)
        sampling.sample(.all, at: .at(31))
        let with = sampling.take()
        let gap = try #require(with.gaps(package0).first)
        #expect(gap.cause == "reset" && gap.low == 0 && gap.high == 19 * 200_000_000)
        #expect(with.tail(package0)?.value == 7_000_000, "what flowed in the gap is not known, the rest is counted to the µJ")
        #expect(with.tail(package0)?.closed == false)
        #expect(!sampling.meters.isMissingDevice)
    }

    @Test func aSensorThatFailsForLongIsNotWaitedForAndLosesNothing() throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 0)
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        try host.write("/sys/class/powercap/intel-rapl:0/energy_uj", "garbage-garbage-garbage")
        sampling.sample(.all, at: .at(20))
        let first = sampling.take()
        let ref = first.ref(package0)
        #expect(first.tail(package0)?.closed == false)
        for second in 21...60 { sampling.sample(.all, at: .at(Double(second))) }
        #expect(sampling.take().tails.contains { $0.ref == ref && $0.closed })
        sampling.sample(.all, at: .at(61))
        #expect(!sampling.take().tails.contains { $0.ref == ref }, "said once")
        try host.setEnergy(9_000_000)
        sampling.sample(.all, at: .at(90))
        let after = sampling.take()
        #expect(after.tail(package0)?.value == 9_000_000)
        #expect(after.gaps.isEmpty)
    }

    @Test func aZoneThatIsPluggedInWhileTheAgentRunsIsMeasuredFromThenOn() throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 0)
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        _ = sampling.take()
        try host.addPackage(1, energy: 1_000_000)
        sampling.adopt(try host.findSensors(), at: .at(11))
        sampling.sample(.all, at: .at(12))
        try host.setEnergy(4_000_000, of: 1)
        sampling.sample(.all, at: .at(13))
        let sealable = sampling.take()
        #expect(sealable.tail("powercap/intel-rapl:1")?.value == 3_000_000)
        #expect(sealable.announcement("powercap/intel-rapl:1")?.inCover == true)
        #expect(sealable.ref("powercap/intel-rapl:1") != sealable.ref(package0))
        // Looking again finds the same meters: nothing changes.
        sampling.adopt(try host.findSensors(), at: .at(14))
        sampling.sample(.all, at: .at(15))
        let again = sampling.take()
        #expect(again.announcements.isEmpty && again.gaps.isEmpty)
    }

    @Test func aModelThatASensorReplacesEndsInTheCoverOfItsTime() throws {
        let host = try FixtureHost()
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        sampling.sample(.all, at: .at(11))
        let modelled = sampling.take()
        #expect(modelled.announcement("model/cpu")?.inCover == true)
        try host.addPackage(energy: 0)
        sampling.adopt(try host.findSensors(), at: .at(12))
        sampling.sample(.all, at: .at(12))
        let sealable = sampling.take()
        #expect(sealable.announcement(package0)?.inCover == true)
        #expect(sealable.tails.contains { $0.ref == modelled.ref("model/cpu") && $0.closed })
        #expect(!sealable.live.contains { $0.name == "model/cpu" })
    }

    @Test func theSamplingRateFollowsTheQuickestWrap() throws {
        let host = try FixtureHost()
        // 1 kJ at 200 W turns in 5 s.
        try host.addPackage(energy: 0, range: 1_000_000_000)
        let slow = SamplingSettings(rate: 1)
        #expect(try host.sampling(clock: .at(10), settings: slow).fastPeriod == .seconds(1))
        try host.addPackage(1, energy: 0, range: 100_000_000)
        let period = try host.sampling(clock: .at(10), settings: slow).fastPeriod
        #expect(period <= .milliseconds(125) && period > .milliseconds(120))
    }
}
