import Energy
import Glibc
import Meters
import Testing
import Wire

@testable import Agent

/// Laws of jobs that put their work into cgroups of their own, and of parents that lose the sight of their children for a while.
@Suite(.serialized) struct WorkloadTestsOfWholes {
    private func workloads(_ cgroups: RealCgroups, settings: WorkloadSettings = WorkloadSettings()) -> Workloads {
        var workloads = Workloads(
            hierarchies: [cgroups.hierarchy],
            settings: settings,
            cpus: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        )
        workloads.takeEvents(at: .now)
        return workloads
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)), arguments: [false, true], [false, true])
    func aJobHasAllThatItsStepsUse(isStepFirst: Bool, isRemoved: Bool) throws {
        let cgroups = try RealCgroups()
        var workloads = workloads(cgroups)
        var gathered = Gathered()
        try cgroups.make("/J")
        workloads.takeEvents(at: .now)
        if !isStepFirst {
            RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: "/J"))
            workloads.read(at: .now)
        }
        // The supervisor stays in the job, and its step's work is below.
        let supervisor = try cgroups.start("exec sleep 60", in: "/J")
        defer { RealCgroups.wait(supervisor) }
        for i in 0..<3 {
            try cgroups.make("/J/step\(i)")
            if i != 1 { workloads.takeEvents(at: .now) }
            RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: "/J/step\(i)"))
            workloads.read(at: .now)
            _ = gathered.take(&workloads)
            if isRemoved {
                try cgroups.remove("/J/step\(i)")
                workloads.takeEvents(at: .now)
            }
        }
        kill(supervisor, SIGKILL)
        for _ in 0..<2_000 where CgroupDirectory.hasProcesses(cgroups.root + "/J") { usleep(500) }
        workloads.read(at: .now)
        _ = gathered.take(&workloads)
        let used = try cgroups.used("/J")
        let job = try #require(gathered.of("/J").first)
        #expect(gathered.of("/J").count == 1)
        #expect(gathered.value(job) == used)
        let steps = (0..<3).flatMap { gathered.of("/J/step\($0)") }
        #expect(steps.count == 3 && steps.allSatisfy { gathered.value($0) > 0 && $0.parentRef == job.ref })
        #expect(steps.map { gathered.value($0) }.reduce(0, +) <= used)
        if !isRemoved { for i in 0..<3 { try cgroups.remove("/J/step\(i)") } }
        try cgroups.remove("/J")
        workloads.takeEvents(at: .now)
        workloads.read(at: .now)
        _ = gathered.take(&workloads)
        let ended = try #require(gathered.of("/J").first)
        #expect(ended.diedUs > 0 && gathered.value(ended) == used && gathered.closed.contains(ended.ref))
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)))
    func aDirectoryThatWasThereBeforeTheAgentIsNoJobThoughItsCgroupsAre() throws {
        let cgroups = try RealCgroups()
        try cgroups.make("/some")
        try cgroups.make("/some/old")
        var workloads = workloads(cgroups)
        try cgroups.make("/some/new")
        workloads.takeEvents(at: .now)
        for path in ["/some/old", "/some/new"] { RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: path)) }
        workloads.read(at: .now)
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        #expect(gathered.changes.values.map(\.cgroup).sorted() == ["/some/new", "/some/old"])
        #expect(gathered.changes.values.allSatisfy { $0.parentRef == 0 })
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)))
    func aJobGoesOnAfterARestartThoughItHasSteps() throws {
        let cgroups = try RealCgroups()
        var first = workloads(cgroups)
        try cgroups.make("/J")
        try cgroups.make("/J/step")
        RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: "/J/step"))
        first.read(at: .now)
        var gathered = Gathered()
        _ = gathered.take(&first)
        RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: "/J/step"))
        var second = Workloads(hierarchies: [cgroups.hierarchy], cpus: 2, resumed: gathered.state?.workloads ?? [])
        second.takeEvents(at: .now)
        RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: "/J/step"))
        second.read(at: .now)
        _ = gathered.take(&second)
        #expect(gathered.of("/J").count == 1)
        #expect(gathered.of("/J").first.map { gathered.value($0) } == (try cgroups.used("/J")))
        #expect(gathered.of("/J/step").first.map { gathered.value($0) } == (try cgroups.used("/J/step")))
    }

    @Test func whereRoomIsShortTheOuterOnesHaveIt() throws {
        let cgroups = try FixtureCgroups()
        try cgroups.set("/a", 0)
        var settings = WorkloadSettings()
        settings.maximumCurves = 4
        var workloads = Workloads(hierarchies: [cgroups.hierarchy], settings: settings, cpus: 2)
        workloads.takeEvents(at: .at(0))
        for path in ["/j", "/j/1", "/j/2", "/j/3", "/j/4"] { try cgroups.set(path, 100) }
        workloads.takeEvents(at: .at(1))
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        #expect(gathered.of("/j").first.map { gathered.value($0) } == 100)
        #expect(gathered.changes.count == 4)
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)), arguments: [false, true])
    func aParentWhoseBurstBeyondALimitIsOverSettlesAgain(isFollowedInTheEnd: Bool) throws {
        let cgroups = try RealCgroups()
        try cgroups.make("/ci")
        var settings = WorkloadSettings()
        settings.maximumDirectories = 6
        var workloads = workloads(cgroups, settings: settings)
        for i in 0..<10 { try cgroups.make("/ci/\(i)") }
        workloads.read(at: .now)
        #expect(workloads.counts.directories == 6)
        let ci = try #require(workloads.byDirectory[cgroups.root + "/ci"])
        #expect(workloads.nodes[ci].hasStrangers)
        let strangers = (0..<10).map { "/ci/\($0)" }.filter { workloads.byDirectory[cgroups.root + $0] == nil }
        #expect(strangers.count == 5)
        // A stranger runs something meanwhile: that is nobody's who dies later.
        RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: strangers[0]))
        let kept = isFollowedInTheEnd ? strangers.prefix(2) : []
        for path in (0..<10).map({ "/ci/\($0)" }) where !kept.contains(path) { try cgroups.remove(path) }
        workloads.read(at: .now)
        workloads.read(at: .now)
        #expect(!workloads.nodes[ci].hasStrangers && !workloads.nodes[ci].isBaseStale)
        #expect(workloads.counts.directories == 1 + kept.count)
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        gathered = Gathered()
        let before = try cgroups.used("/ci")
        for i in 20..<24 {
            try cgroups.make("/ci/\(i)")
            RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: "/ci/\(i)"))
            try cgroups.remove("/ci/\(i)")
        }
        workloads.read(at: .now)
        _ = gathered.take(&workloads)
        #expect(gathered.changes.count == 4 && gathered.changes.values.allSatisfy { $0.ending == "settled" })
        let settled = gathered.changes.values.map { gathered.value($0) }.reduce(0, +)
        let used = try cgroups.used("/ci") - before
        #expect(settled == used, "\(gathered.values)")
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)), arguments: ["", "/held"])
    func anEmptyCgroupIsNobodysWork(parent: String) throws {
        let cgroups = try RealCgroups()
        try cgroups.make("/held")
        let holder = try cgroups.start("exec sleep 60", in: "/held")
        defer {
            kill(holder, SIGKILL)
            RealCgroups.wait(holder)
        }
        // Until then it still starts.
        usleep(50_000)
        var workloads = workloads(cgroups)
        for i in 0..<5 {
            try cgroups.make("\(parent)/seen\(i)")
            workloads.takeEvents(at: .now)
            try cgroups.remove("\(parent)/seen\(i)")
            workloads.takeEvents(at: .now)
        }
        workloads.read(at: .now)
        try cgroups.make("\(parent)/used")
        workloads.takeEvents(at: .now)
        RealCgroups.wait(try cgroups.start("true", in: "\(parent)/used"))
        for _ in 0..<2_000 where CgroupDirectory.isPopulated(cgroups.root + "\(parent)/used") == true { usleep(500) }
        try cgroups.remove("\(parent)/used")
        workloads.takeEvents(at: .now)
        workloads.read(at: .now)
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        #expect(gathered.changes.values.map(\.cgroup).filter { $0 != "/held" } == ["\(parent)/used"])
    }
}
