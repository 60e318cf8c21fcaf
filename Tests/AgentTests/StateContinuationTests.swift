import Energy
import Meters
import Testing
import Wire

@testable import Agent

struct StateContinuationTests {
    private func firstRun(_ host: FixtureHost) throws -> Sealable {
        try host.addPackage(energy: 1_000_000)
        var sampling = try host.sampling(clock: .at(100))
        sampling.sample(.all, at: .at(100))
        try host.setEnergy(6_000_000)
        try host.setBusy(ticks: 100)
        sampling.sample(.all, at: .at(110))
        return sampling.take()
    }

    @Test func onTheSameBootTheCountGoesOnByTheRawDifference() throws {
        let host = try FixtureHost()
        let before = try firstRun(host)
        let state = try AgentState(decoding: try before.state.encoded())
        #expect(state == before.state)
        try host.setEnergy(9_000_000)
        try host.setBusy(ticks: 150)
        var second = try host.sampling(resuming: state, clock: .at(140, start: 3))
        second.sample(.all, at: .at(140, start: 3))
        let after = second.take()
        #expect(after.announcement(package0)?.origin == before.announcement(package0)?.origin)
        #expect(after.ref(package0) == before.ref(package0))
        #expect(after.gaps.isEmpty)
        #expect(after.tail(package0)?.value == 8_000_000)
        #expect(after.tail("cpu/busy")?.value == 1_500_000)
        // The wall clock was stepped by 3 s in between; the curve's times were not.
        #expect((after.tail(package0)?.tUs ?? 0) - (before.tail(package0)?.tUs ?? 0) == 30_000_000)
        // The stretch without readings begins and ends in knots that say so.
        #expect(after.knots(package0).map(\.value) == [5_000_000, 8_000_000])
        #expect(after.knots(package0).last?.flags == .gapEdge)
    }

    @Test func aTailThatWasSentAsAKnotIsNotSentAgain() throws {
        let host = try FixtureHost()
        try host.addPackage()
        var first = try host.sampling(clock: .at(100))
        first.sample(.all, at: .at(100))
        try host.setEnergy(5)
        first.sample(.all, at: .at(101))
        first.forceTails()
        let before = first.take()
        var second = try host.sampling(resuming: before.state, clock: .at(102))
        second.sample(.all, at: .at(102))
        let times = (before.knots(package0) + second.take().knots(package0)).map(\.time)
        #expect(Set(times).count == times.count && times == times.sorted())
    }

    @Test func aLongAbsenceOnTheSameBootIsAGapWhereTheCounterMayHaveTurned() throws {
        let host = try FixtureHost()
        let before = try firstRun(host)
        var second = try host.sampling(resuming: before.state, clock: .at(2_000))
        second.sample(.all, at: .at(2_000))
        let after = second.take()
        #expect(after.gaps(package0).map(\.cause) == ["wrap"])
        // /proc/stat does not turn.
        #expect(after.gaps("cpu/busy").isEmpty)
    }

    @Test func onAnotherBootThereIsAGapAndTheCountGoesOn() throws {
        let host = try FixtureHost()
        let before = try firstRun(host)
        try host.setEnergy(42)
        try host.setBusy(ticks: 7)
        var second = try host.sampling(boot: "boot-b", resuming: before.state, clock: .at(5, start: 200))
        second.sample(.all, at: .at(5, start: 200))
        try host.setEnergy(142)
        second.sample(.all, at: .at(6, start: 200))
        let after = second.take()
        #expect(after.gaps(package0).map(\.cause) == ["reboot"])
        #expect(after.gaps(package0).first?.low == 0)
        #expect(after.gaps(package0).first?.high == 19_000_000_000)
        #expect(after.tail(package0)?.value == 5_000_100)
        #expect(after.announcement(package0)?.origin == before.announcement(package0)?.origin)
        #expect(after.gaps("cpu/busy").map(\.cause) == ["reboot"])
        // A new boot is a new stream: numbers of curves begin anew.
        #expect(after.announcements.map(\.ref).min() == 1)
    }

    @Test func timesGoForwardEvenWhereTheClockOfANewBootIsBehind() throws {
        let host = try FixtureHost()
        let before = try firstRun(host)
        var second = try host.sampling(boot: "boot-b", resuming: before.state, clock: .at(5, start: -1_000_000))
        second.sample(.all, at: .at(6, start: -1_000_000))
        let after = second.take()
        #expect((after.tail(package0)?.tUs ?? 0) > (before.tail(package0)?.tUs ?? .max))
    }

    @Test func withoutItsStateACountBeginsAnewUnderANewName() throws {
        let host = try FixtureHost()
        let before = try firstRun(host)
        var second = try host.sampling(clock: .at(120))
        second.sample(.all, at: .at(120))
        let after = second.take()
        #expect(after.tail(package0)?.value == 0)
        #expect(after.announcement(package0)?.origin != before.announcement(package0)?.origin)
    }

    @Test func aModelKnowsNothingOfItsAbsence() throws {
        let host = try FixtureHost()
        var first = try host.sampling(clock: .at(100))
        first.sample(.all, at: .at(100))
        first.sample(.all, at: .at(110))
        let before = first.take()
        let counted = try #require(before.tail("model/cpu")?.value)
        #expect(counted > 0)
        var second = try host.sampling(resuming: before.state, clock: .at(400))
        second.sample(.all, at: .at(400))
        second.sample(.all, at: .at(410))
        let after = second.take()
        let gap = try #require(after.gaps("model/cpu").first)
        #expect(gap.cause == "absence" && gap.low == 0)
        #expect(gap.toUs - gap.fromUs == 290_000_000)
        #expect(gap.high == Int64((Double(after.announcement("model/cpu")?.pMaxUw ?? 0) / 1e6 * 290e6).rounded(.down)))
        #expect(abs((after.tail("model/cpu")?.value ?? 0) - 2 * counted) <= 2)
    }

    @Test func theAgentUsedNothingWhileItDidNotRun() throws {
        let host = try FixtureHost()
        try host.addPackage()
        var first = try host.sampling(clock: .at(100), ownCPU: { Microseconds(70) })
        first.sample(.all, at: .at(100))
        first.sample(.all, at: .at(101))
        let before = first.take()
        // Its process's own count begins at 0 again; what the first had used before its first reading is not known to its curve.
        var second = try host.sampling(resuming: before.state, clock: .at(200), ownCPU: { Microseconds(30) })
        second.sample(.all, at: .at(200))
        let after = second.take()
        #expect(after.gaps("agent/cpu").isEmpty)
        #expect((after.tail("agent/cpu")?.value ?? 0) - (before.tail("agent/cpu")?.value ?? 0) == 30)
    }

    @Test func aWorkloadGoesOnAcrossARestartAndEndsAtAReboot() throws {
        let host = try FixtureHost()
        try host.addPackage()
        try host.setCgroup("/job", usage: 100)
        var first = try host.sampling(clock: .at(100))
        _ = try first.edge(SpanRequest(phase: .start, key: "k", cgroup: "/job", directory: nil), at: .at(100))
        let before = first.take()
        let name = try #require(before.announcements.first { $0.kind == .workloadCpu }?.name)
        try host.setCgroup("/job", usage: 900)

        var restarted = try host.sampling(resuming: before.state, clock: .at(105))
        let finish = try restarted.edge(SpanRequest(phase: .finish, key: "k", cgroup: nil, directory: nil), at: .at(106))
        #expect(finish.cpuTime == 900)
        #expect(restarted.take().tail(name)?.value == 800)

        var rebooted = try host.sampling(boot: "boot-b", resuming: before.state, clock: .at(5, start: 200))
        rebooted.sample(.all, at: .at(5, start: 200))
        let after = rebooted.take()
        #expect(after.tail(name)?.closed == true)
        #expect(after.tail(name)?.value == 0)
        #expect(after.state.workloads.isEmpty)
    }

    @Test func aMeterThatIsNotThereAnyMoreKeepsItsCountAndIsWaitedForNoMore() throws {
        let host = try FixtureHost()
        try host.addPackage(1)
        let before = try firstRun(host)
        try host.write("/sys/class/powercap/intel-rapl:0/max_energy_range_uj", "none-none-none-none")
        var second = try host.sampling(resuming: before.state, clock: .at(120))
        second.sample(.all, at: .at(120))
        let after = second.take()
        let announcement = try #require(after.announcements.first { $0.name == package0 })
        // As what it was: what it measured stays in the cover of its time.
        #expect(announcement.zone == "package" && announcement.inCover && announcement.pMaxUw > 0)
        #expect(after.tails.first { $0.ref == announcement.ref }?.closed == true)
        #expect(after.state.curves.contains { $0.name == package0 && $0.value == 5_000_000 })
    }

    @Test func aDamagedStateFileIsSaidAndNotTrusted() throws {
        let host = try FixtureHost()
        let before = try firstRun(host)
        let file = StateFile(path: host.root + "/state.json")
        #expect(try file.read() == nil)
        try file.write(try before.state.encoded())
        #expect(try file.read() == before.state)
        var bytes = try #require(try Disk.read(file.path))
        bytes[bytes.count / 2] ^= 0x20
        try Disk.replace(file.path, with: bytes)
        #expect(throws: DiskFault.self) { try file.read() }
    }
}
