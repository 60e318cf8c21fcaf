import Energy
import FoundationEssentials
import Glibc
import Meters
import Testing
import Wire

@testable import Agent

/// Laws of following cgroups that plain directories show.
struct WorkloadTestsOfTrees {
    private func workloads(
        _ cgroups: FixtureCgroups,
        _ settings: WorkloadSettings = WorkloadSettings(),
        resuming state: AgentState? = nil,
        isSameBoot: Bool = true,
        from time: Timestamp = .at(0)
    ) -> Workloads {
        var workloads = Workloads(
            hierarchies: [cgroups.hierarchy],
            settings: settings,
            cpus: 2,
            resumed: state?.workloads ?? [],
            isSameBoot: isSameBoot
        )
        workloads.takeEvents(at: time)
        return workloads
    }

    @Test func residentsHaveACurveFromWhereTheyFirstMoveAndNoneBefore() throws {
        let cgroups = try FixtureCgroups()
        try cgroups.set("", 0)
        try cgroups.set("/a", 700)
        try cgroups.set("/idle", 700)
        var workloads = workloads(cgroups)
        var gathered = Gathered()
        workloads.read(at: .at(1))
        _ = gathered.take(&workloads)
        #expect(gathered.changes.isEmpty)
        try cgroups.set("/a", 5_700)
        workloads.read(at: .at(2))
        _ = gathered.take(&workloads)
        #expect(gathered.changes.values.map(\.cgroup) == ["/a"])
        let a = try #require(gathered.of("/a").first)
        #expect(gathered.value(a) == 5_000)
        #expect(a.bornUs == Timestamp.at(1).microseconds)
    }

    @Test func anInnerDirectoryHasNoCurveUnlessItIsSomethingWhole() throws {
        let cgroups = try FixtureCgroups()
        for path in ["/x.slice", "/x.slice/a.service", "/x.slice/a.service/part", "/x.slice/b.slice", "/x.slice/b.slice/leaf"] {
            try cgroups.set(path, 10)
        }
        var workloads = workloads(cgroups)
        for path in ["/x.slice", "/x.slice/a.service", "/x.slice/a.service/part", "/x.slice/b.slice", "/x.slice/b.slice/leaf"] {
            try cgroups.set(path, 20)
        }
        workloads.read(at: .at(1))
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        #expect(
            Set(gathered.changes.values.map(\.cgroup)) == ["/x.slice/a.service", "/x.slice/a.service/part", "/x.slice/b.slice/leaf"]
        )
        let service = try #require(gathered.of("/x.slice/a.service").first)
        #expect(gathered.of("/x.slice/a.service/part").first?.parentRef == service.ref)
        #expect(service.parentRef == 0)
    }

    @Test func anIdleCgroupIsReadLessOftenAndLosesNothing() throws {
        let cgroups = try FixtureCgroups()
        try cgroups.set("/a", 10)
        var workloads = workloads(cgroups)
        try cgroups.set("/a", 20)
        for i in 1...100 { workloads.read(at: .at(Double(i))) }
        try cgroups.set("/a", 1_000)
        var seen: Int?
        for i in 101...104 where seen == nil {
            workloads.read(at: .at(Double(i)))
            if workloads.slots.first?.curve.tail?.value == 990 { seen = i }
        }
        #expect(seen != nil)
        // At a span's edge it is read whatever the period.
        for i in 105...300 { workloads.read(at: .at(Double(i))) }
        try cgroups.set("/a", 2_000)
        workloads.read(at: .at(300.5), flags: .edge)
        #expect(workloads.slots.first?.curve.tail?.value == 1_990)
    }

    @Test func aCurveThatStandsStillHasATailAfterItsLastMoveAndThenEveryTenSeconds() throws {
        let cgroups = try FixtureCgroups()
        try cgroups.set("/a", 10)
        var workloads = workloads(cgroups)
        try cgroups.set("/a", 20)
        var sent: [Int] = []
        for i in 1...150 {
            workloads.read(at: .at(Double(i)))
            guard i % 5 == 0 else { continue }
            var gathered = Gathered()
            if !gathered.take(&workloads).tails.isEmpty { sent.append(i) }
            #expect(gathered.state?.workloads.count == 1)
        }
        #expect(sent.prefix(2) == [5, 10])
        #expect(zip(sent.dropFirst(), sent.dropFirst(2)).allSatisfy { (10...15).contains($1 - $0) }, "\(sent)")
        _ = workloads.start(try workloads.admit(SpanRequest(phase: .start, key: "k", cgroup: "/a", directory: nil)), at: .at(151))
        for i in 152...155 {
            workloads.read(at: .at(Double(i)))
            var gathered = Gathered()
            let sealable = gathered.take(&workloads)
            #expect(!sealable.tails.isEmpty)
        }
    }

    @Test func whatIsBeyondTheLimitsIsCountedAndSaidOnce() throws {
        let cgroups = try FixtureCgroups()
        for i in 0..<20 { try cgroups.set("/c\(i)", 1) }
        try cgroups.set("/c0/1/2/3", 1)
        var settings = WorkloadSettings()
        settings.maximumDirectories = 12
        settings.maximumDepth = 2
        settings.maximumCurves = 4
        var workloads = workloads(cgroups, settings)
        for i in 0..<20 { try cgroups.set("/c\(i)", 100) }
        workloads.read(at: .at(1))
        for i in 0..<20 { try cgroups.set("/c\(i)", 200) }
        workloads.read(at: .at(2))
        #expect(workloads.counts.directories == 12)
        // A quarter of the room is kept for those that are born.
        #expect(workloads.counts.curves == 3)
        #expect(workloads.unfollowed > 8)
        let news = workloads.takeNews()
        #expect(news.count { $0.contains("12 directories") } == 1)
        #expect(news.count { $0.contains("4 curves") } == 1)
        // A span has its curve whatever the limits, below a directory that is not followed as well.
        for i in 0..<20 {
            let entry = try workloads.admit(SpanRequest(phase: .start, key: "\(i)", cgroup: "/c\(i)", directory: nil))
            #expect(workloads.start(entry, at: .at(3)) == 200)
        }
        for i in 0..<20 {
            _ = workloads.finish(try workloads.admit(SpanRequest(phase: .finish, key: "\(i)", cgroup: nil, directory: nil)), at: .at(4))
        }
        #expect(workloads.nodes.count { $0.isDetached } == 0)
    }

    @Test func afterTheKernelHasDroppedEventsEverythingIsLookedAtAnew() throws {
        let cgroups = try FixtureCgroups()
        try cgroups.set("/old", 1)
        var workloads = workloads(cgroups)
        for i in 0..<20_000 {
            mkdir("\(cgroups.root)/x\(i)", 0o755)
            rmdir("\(cgroups.root)/x\(i)")
        }
        try cgroups.remove("/old")
        try cgroups.set("/new", 50)
        workloads.takeEvents(at: .at(1))
        workloads.read(at: .at(2))
        #expect(workloads.takeNews().contains { $0.contains("dropped events") })
        #expect(workloads.byDirectory.keys.sorted() == [cgroups.root, cgroups.root + "/new"])
        #expect(workloads.byWatch.count == 2)
    }

    @Test func memoryIsIntegratedInByteSeconds() throws {
        let cgroups = try FixtureCgroups()
        try cgroups.set("/a", 10, memory: 1_000)
        var workloads = workloads(cgroups)
        try cgroups.set("/a", 20, memory: 1_000)
        workloads.read(at: .at(1))
        try cgroups.set("/a", 20, memory: 3_000)
        for i in 2...10 { workloads.read(at: .at(Double(i))) }
        try cgroups.set("/a", 20, memory: 500)
        for i in 11...20 { workloads.read(at: .at(Double(i))) }
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        let a = try #require(gathered.of("/a").first)
        #expect(gathered.curves[a.memoryRef]?.kind == .workloadMemory)
        // The first reading at 1 s, the others at 10 s and 20 s: (1000 + 3000) / 2 * 9 + (3000 + 500) / 2 * 10.
        #expect(gathered.values[a.memoryRef].map { abs($0 - (18_000 + 17_500)) <= 3_000 } == true, "\(gathered.values)")
        #expect(a.memoryMaxBytes == 3_000)
    }

    @Test func aWorkloadGoesOnAfterARestartAndOneThatWentEndsAtItsLastReading() throws {
        let cgroups = try FixtureCgroups()
        for path in ["/stays", "/goes", "/again"] { try cgroups.set(path, 10, memory: 1_000) }
        var first = workloads(cgroups)
        for path in ["/stays", "/goes", "/again"] { try cgroups.set(path, 110) }
        first.read(at: .at(1))
        _ = first.start(try first.admit(SpanRequest(phase: .start, key: "k", cgroup: "/stays", directory: nil)), at: .at(1))
        first.read(at: .at(2))
        var gathered = Gathered()
        _ = gathered.take(&first)
        let goes = try #require(gathered.of("/goes").first)
        try cgroups.set("/stays", 500)
        try cgroups.remove("/goes")
        // A later one of the same name has used less.
        try cgroups.set("/again", 3)

        var second = workloads(cgroups, resuming: gathered.state, from: .at(60))
        #expect(second.isSpanRunning)
        #expect(second.nextRef >= first.nextRef)
        second.read(at: .at(61))
        _ = second.finish(try second.admit(SpanRequest(phase: .finish, key: "k", cgroup: nil, directory: nil)), at: .at(62))
        var after = Gathered()
        _ = after.take(&second)
        let stays = try #require(after.changes.values.first { $0.spanKey == "k" })
        #expect(after.value(stays) == 390)
        #expect(after.values[goes.ref] == 100)
        #expect(after.changes[goes.ref]?.ending == "last")
        #expect(after.changes[goes.ref]?.diedUs == Timestamp.at(2).microseconds)
        #expect(after.closed.isSuperset(of: [goes.ref, goes.memoryRef]))
        #expect(after.of("/again").first?.ending == "last" && after.of("/again").first.map { after.value($0) } == 100)

        var rebooted = workloads(cgroups, resuming: gathered.state, isSameBoot: false, from: .at(60))
        #expect(!rebooted.isSpanRunning)
        var ended = Gathered()
        _ = ended.take(&rebooted)
        #expect(ended.changes.values.allSatisfy { $0.ending == "last" && ended.closed.contains($0.ref) })
        #expect(ended.state?.workloads.isEmpty == true)
    }

    @Test func coarserCurvesAreAnnounced() throws {
        let cgroups = try FixtureCgroups()
        try cgroups.set("/a", 10)
        var workloads = workloads(cgroups)
        try cgroups.set("/a", 20)
        workloads.read(at: .at(1))
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        workloads.setCoarseness(8)
        workloads.read(at: .at(2))
        _ = gathered.take(&workloads)
        #expect(gathered.curves.values.first { $0.kind == .workloadCpu }?.epsilon == 800_000)
        workloads.announceAll()
        let again = gathered.take(&workloads)
        #expect(again.announcements.count == 1)
    }

    @Test(arguments: ["/../etc", "etc", "/a/./b", "/a//b"])
    func aClientCannotMakeTheAgentReadElsewhere(path: String) throws {
        let cgroups = try FixtureCgroups()
        let workloads = workloads(cgroups)
        #expect(throws: SpanFault.self) { try workloads.admit(SpanRequest(phase: .start, key: "k", cgroup: path, directory: nil)) }
        #expect(throws: SpanFault.self) {
            try workloads.admit(SpanRequest(phase: .start, key: "k", cgroup: nil, directory: cgroups.root + path))
        }
        #expect {
            try workloads.admit(SpanRequest(phase: .start, key: "k", cgroup: nil, directory: "/tmp"))
        } throws: { "\($0)".contains("below a cgroup mount") }
    }
}
