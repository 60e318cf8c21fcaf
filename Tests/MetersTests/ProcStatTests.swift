import Energy
import Testing

@testable import Meters

struct ProcStatTests {
    private func parse(_ text: String, hertz: Int64 = 100) -> ProcStat? {
        Array(text.utf8).withUnsafeBytes { ProcStat.parse($0, ticksPerSecond: hertz)?.stat }
    }

    @Test func guestIsWithinUserAndWaitingIdleAndStealAreNotBusy() {
        //                       user nice system idle iowait irq softirq steal guest guest_nice
        let stat = parse("cpu  100 20 30 4000 500 6 7 888 90 10\ncpu0 1 0 0 0 0 0 0 0 0 0\ncpu1 1 0 0 0 0 0 0 0 0 0\nintr 0\n")
        #expect(stat?.busy == .milliseconds((100 + 20 + 30 + 6 + 7) * 10))
        #expect(stat?.cpus == 2)
    }

    @Test func onlyCPUsThatAreOnlineCount() {
        #expect(parse("cpu  1 0 0 0 0 0 0\ncpu0 1 0 0 0\ncpu7 1 0 0 0\nintr 0\n")?.cpus == 2)
    }

    @Test func theOldShortLineIsUnderstood() {
        #expect(parse("cpu  5 5 5 100\ncpu0 5 5 5 100\nintr 0\n")?.busy == .milliseconds(150))
    }

    @Test(arguments: ["", "cpu", "cpu  a b c", "cpu0 1 2 3 4\n", "cpu  1 2\n", "cpu  99999999999999999999 0 0 0\n"])
    func anythingElseIsNotGuessedAt(text: String) {
        #expect(parse(text) == nil)
    }

    @Test func aHostOfManyCPUsOutgrowsTheBuffer() throws {
        let host = try FixtureHost()
        try host.setBusy(ticks: 40, cpus: 700)
        var reader = try ProcStatReader(roots: host.roots)
        #expect(try reader.read() == ProcStat(busy: .milliseconds(400), cpus: 700))
    }

    @Test func busyTimeNeverFalls() throws {
        let host = try FixtureHost()
        try host.setBusy(ticks: 40)
        var reader = try ProcStatReader(roots: host.roots)
        #expect(try reader.read().busy == .milliseconds(400))
        try host.setBusy(ticks: 39)
        #expect(try reader.read().busy == .milliseconds(400))
        try host.setBusy(ticks: 41)
        #expect(try reader.read().busy == .milliseconds(410))
    }

    @Test func aSumThatFallsByMoreThanRoundingBeginsAnewAndCountsOn() throws {
        let host = try FixtureHost()
        try host.setBusy(ticks: 90_000, cpus: 4)
        var reader = try ProcStatReader(roots: host.roots)
        #expect(try reader.read().busy == .seconds(900))
        // Two CPUs were unplugged and took their sums with them: what is counted from here on counts.
        try host.setBusy(ticks: 50_000)
        #expect(try reader.read() == ProcStat(busy: .seconds(900), cpus: 2))
        try host.setBusy(ticks: 50_700)
        #expect(try reader.read().busy == .seconds(907))
        // Plugged in again, with their sums: the kernel's whole count is no use of this moment, but nothing falls.
        try host.setBusy(ticks: 50_699, cpus: 4)
        #expect(try reader.read() == ProcStat(busy: .seconds(907), cpus: 4))
    }

    @Test func waitingForADiskAndTimeTakenByTheHypervisorNeverCount() {
        let before = parse("cpu  100 0 0 0 0 0 0 0 0 0\ncpu0 1 0 0\n")
        let after = parse("cpu  100 0 0 9 99999 0 0 88888 0 0\ncpu0 1 0 0\n")
        #expect(before?.busy == after?.busy)
        // A guest's time is within user and nice: the two last columns are not added to them.
        #expect(parse("cpu  100 50 0 0 0 0 0 0 100 50\ncpu0 1 0 0\n")?.busy == .milliseconds(1_500))
    }

    @Test func thisMachineCanBeRead() throws {
        let roots = HostRoots()
        var reader = try ProcStatReader(roots: roots)
        #expect(try reader.read().busy > .zero)
        #expect(try CPUInfo(roots: roots).cpus >= 1)
        #expect(try HostIdentity.memoryBytes(roots: roots) > 1 << 20)
        #expect(try HostIdentity.bootID(roots: roots).count == 36)
    }
}
