import Energy
import Meters
import SwiftProtobuf
import Testing
import Wire

@testable import Agent

struct SamplingTests {
    @Test func everyMicrojouleOfTheCounterIsInTheCurveThroughAWrap() throws {
        let host = try FixtureHost()
        let modulus = CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: 65_712_999_613)
        try host.addPackage(energy: modulus - 40_000_000)
        var sampling = try host.sampling(clock: .at(10))
        var fed: Int64 = 0
        for step in 1...100 {
            sampling.sample(.all, at: .at(10 + Double(step) * 0.1))
            fed += 1_000_000 + Int64(step)
            try host.setEnergy((modulus - 40_000_000 + fed) % modulus)
        }
        sampling.sample(.all, at: .at(30))
        sampling.forceTails()
        let sealable = sampling.take()
        #expect(sealable.knots(package0).last?.value == fed)
        #expect(sealable.tail(package0)?.value == fed)
        #expect(sealable.gaps.isEmpty)
    }

    @Test func aTimeInWhichTheCounterMayHaveTurnedIsAGapWithLimits() throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 1_000)
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        try host.setEnergy(5_000)
        // 65.7 kJ at 200 W are 329 s.
        sampling.sample(.all, at: .at(10 + 700))
        let sealable = sampling.take()
        let gap = try #require(sealable.gaps(package0).first)
        #expect(gap.cause == "wrap")
        #expect(gap.low == 4_000)
        #expect(gap.high == 4_000 + 2 * CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: 65_712_999_613))
        #expect(sealable.tail(package0)?.value == 0)
    }

    @Test func aSuspendIsAGapForEnergyAndNoneForBusyTime() throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 9_000_000)
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        // The register lost its count in the deep sleep: taken for a wrap it would be 65 kJ.
        try host.setEnergy(10)
        try host.setBusy(ticks: 5)
        sampling.sample(.fast, at: .at(100, suspended: 80))
        let sealable = sampling.take()
        #expect(sealable.gaps.map(\.cause) == ["suspend"])
        #expect(sealable.gaps(package0).first?.high == 18_000_000_000)
        #expect(sealable.tail(package0)?.value == 0)
        #expect(sealable.tail("cpu/busy")?.value == 50_000)
    }

    @Test func aSensorThatFailsForAWhileLosesNoEnergyAndStopsNothing() throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 0)
        try host.addPackage(1, energy: 0)
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        try host.write("/sys/class/powercap/intel-rapl:0/energy_uj", "garbage-garbage-garbage")
        try host.setEnergy(100, of: 1)
        for i in 1...50 { sampling.sample(.all, at: .at(10 + Double(i) * 0.1)) }
        #expect(sampling.takeNews().count == 1)
        try host.setEnergy(7_777)
        sampling.sample(.all, at: .at(20))
        let sealable = sampling.take()
        #expect(sealable.tail(package0)?.value == 7_777)
        #expect(sealable.tail("powercap/intel-rapl:1")?.value == 100)
        #expect(sealable.gaps.isEmpty)
    }

    @Test func aSpansEdgesAreReadingsOfThatInstantOnEveryCurve() throws {
        let host = try FixtureHost()
        try host.addPackage(energy: 0)
        try host.setCgroup("/wattle/run-1", usage: 500)
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        try host.setEnergy(1_000_000)
        try host.setBusy(ticks: 3)
        let request = SpanRequest(phase: .start, key: "k", cgroup: "/wattle/run-1", directory: nil)
        let start = try sampling.edge(request, at: .at(10.35))
        #expect(start.cover == 1_000_000)
        #expect(start.cpuTime == 500)
        #expect(start.busy == 30_000)
        #expect(sampling.isSpanRunning)
        try host.setEnergy(3_000_000)
        try host.setCgroup("/wattle/run-1", usage: 90_500)
        let finish = try sampling.edge(SpanRequest(phase: .finish, key: "k", cgroup: nil, directory: nil), at: .at(10.85))
        #expect(finish.cover - start.cover == 2_000_000)
        #expect(finish.cpuTime == 90_500)
        #expect(!sampling.isSpanRunning)

        let sealable = sampling.take()
        let edges = [start.time, finish.time]
        for name in [package0, "cpu/busy", "agent/cpu"] {
            #expect(sealable.knots(name).filter { $0.flags.contains(.edge) }.map(\.time) == edges, "\(name)")
        }
        let name = "cgroup/wattle/run-1#\(start.time.microseconds)"
        #expect(sealable.knots(name).map(\.value) == [0, 90_000])
        #expect(sealable.knots(name).map(\.time) == edges)
        #expect(sealable.tail(name)?.closed == true)
        let change = try #require(sealable.workloads.first)
        #expect(change.cgroup == "/wattle/run-1" && change.spanKey == "k")
        #expect(change.bornUs == start.time.microseconds && change.diedUs == finish.time.microseconds)
        #expect(sampling.take().workloads.isEmpty)
    }

    @Test func aSpanWithoutACgroupMakesKnotsOnly() throws {
        let host = try FixtureHost()
        try host.addPackage()
        var sampling = try host.sampling(clock: .at(10))
        let snapshot = try sampling.edge(SpanRequest(phase: .start, key: "k", cgroup: nil, directory: nil), at: .at(11))
        #expect(snapshot.cpuTime == nil)
        #expect(sampling.take().knots(package0).map(\.flags) == [.edge])
    }

    @Test func aCgroupThatVanishesEndsWithItsLastReading() throws {
        let host = try FixtureHost()
        try host.addPackage()
        try host.setCgroup("/job", usage: 0)
        var sampling = try host.sampling(clock: .at(10))
        let born = try sampling.edge(SpanRequest(phase: .start, key: "k", cgroup: "/job", directory: nil), at: .at(11)).time
        try host.setCgroup("/job", usage: 400)
        sampling.sample(.all, at: .at(12))
        // A fixture's descriptor survives its file, unlike a cgroup's: content that is none stands for the kernel's ENODEV.
        try host.write("/cgroup/job/cpu.stat", "gone gone gone gone")
        sampling.sample(.all, at: .at(13))
        let sealable = sampling.take()
        let name = "cgroup/job#\(born.microseconds)"
        #expect(sealable.tail(name)?.closed == true)
        #expect(sealable.tail(name)?.value == 400)
        #expect(sealable.workloads.last?.diedUs == sealable.tail(name)?.tUs)
    }

    @Test(arguments: ["/../etc", "etc", "/a/./b", "/a//b"])
    func aClientCannotMakeTheAgentReadElsewhere(cgroup: String) throws {
        let host = try FixtureHost()
        try host.addPackage()
        var sampling = try host.sampling(clock: .at(10))
        #expect(throws: SpanFault.self) {
            try sampling.edge(SpanRequest(phase: .start, key: "k", cgroup: cgroup, directory: nil), at: .at(11))
        }
        // Readable and of the right form, but in no cgroup mount.
        try host.write("/elsewhere/cpu.stat", "usage_usec 5")
        for directory in ["/elsewhere", "/cgroup/../elsewhere"] {
            #expect {
                try sampling.edge(SpanRequest(phase: .start, key: "k", cgroup: nil, directory: host.root + directory), at: .at(11))
            } throws: {
                "\($0)".contains("below a cgroup mount")
            }
        }
    }

    @Test func workloadsAreBoundedAndTheErrorSaysSo() throws {
        let host = try FixtureHost()
        try host.addPackage()
        var sampling = try host.sampling(clock: .at(10), settings: SamplingSettings(maximumWorkloads: 2))
        for i in 0..<2 {
            _ = try sampling.edge(SpanRequest(phase: .start, key: "\(i)", cgroup: nil, directory: nil), at: .at(11 + Double(i)))
        }
        #expect { try sampling.edge(SpanRequest(phase: .start, key: "more", cgroup: nil, directory: nil), at: .at(14)) } throws: {
            "\($0)".contains("at most 2 spans")
        }
        _ = try sampling.edge(SpanRequest(phase: .finish, key: "0", cgroup: nil, directory: nil), at: .at(15))
        _ = try sampling.edge(SpanRequest(phase: .start, key: "more", cgroup: nil, directory: nil), at: .at(16))
    }

    @Test func fiveThousandCgroupsComeAndGoWithoutGrowth() throws {
        let host = try FixtureHost()
        try host.addPackage()
        var sampling = try host.sampling(clock: .at(10))
        try host.setCgroup("/job", usage: 0)
        for i in 0..<5_000 {
            let t = 11 + Double(i) * 0.7
            _ = try sampling.edge(SpanRequest(phase: .start, key: "k\(i)", cgroup: "/job", directory: nil), at: .at(t))
            _ = try sampling.edge(SpanRequest(phase: .finish, key: "k\(i)", cgroup: "/job", directory: nil), at: .at(t + 0.1))
            if i % 10 == 9 {
                let sealable = sampling.take()
                #expect(sealable.workloads.count == 10)
                #expect(sealable.state.workloads.isEmpty)
                #expect(sealable.live.count == 3)
            }
        }
    }

    @Test func tailsAndCompletenessTravelWithEveryBatchAndAnnouncementsOnce() throws {
        let host = try FixtureHost()
        try host.addPackage()
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        #expect(Set(sampling.take().announcements.map(\.name)) == [package0, "cpu/busy", "agent/cpu"])
        sampling.sample(.all, at: .at(11))
        let second = sampling.take()
        #expect(second.announcements.isEmpty)
        #expect(second.tails.count == 3)
        #expect(second.tails.allSatisfy { $0.completeUntilUs == $0.tUs && !$0.closed })
        sampling.announceAll()
        #expect(sampling.take().announcements.count == 3)
    }

    @Test func columnsReadBackAreTheCurve() throws {
        let host = try FixtureHost()
        try host.addPackage()
        var sampling = try host.sampling(clock: .at(10), settings: SamplingSettings(energyEpsilon: Energy(microjoules: 10_000)))
        var samples: [(Timestamp, Int64)] = []
        var energy: Int64 = 0
        for i in 0..<500 {
            samples.append((sampling.sample(.fast, at: .at(10 + Double(i) * 0.1)), energy))
            energy += Int64.random(in: 0...2_000_000)
            try host.setEnergy(energy)
        }
        sampling.forceTails()
        let sealable = sampling.take()
        let ref = sealable.ref(package0)
        // Split into batches of 7 knots, over the wire, and together again.
        let batches = try sealable.batches(knotsEach: 7).map { try WireReadingsBatch(serializedBytes: try $0.serializedBytes() as [UInt8]) }
        #expect(batches.count > 1)
        #expect(batches.last?.tails.count == 1)
        let curve = Curve(knots: try batches.flatMap { try $0.knots.filter { $0.ref == ref }.flatMap { try $0.knots() } })
        for (time, value) in samples {
            #expect(abs((curve.value(at: time) ?? .infinity) - Double(value)) <= 10_000)
        }
    }

    @Test func aCoarserPaceIsAnnounced() throws {
        let host = try FixtureHost()
        try host.addPackage()
        var sampling = try host.sampling(clock: .at(10))
        sampling.sample(.all, at: .at(10))
        _ = sampling.take()
        sampling.setCoarseness(64)
        sampling.sample(.all, at: .at(11))
        #expect(sampling.take().announcement(package0)?.epsilon == 128_000_000)
        sampling.setCoarseness(1)
        sampling.sample(.all, at: .at(12))
        #expect(sampling.take().announcement(package0)?.epsilon == 1_000_000)
    }
}
