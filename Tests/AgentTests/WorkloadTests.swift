import Energy
import Glibc
import Meters
import Testing
import Wire

@testable import Agent

@Suite(.serialized) struct WorkloadTests {
    private func workloads(_ cgroups: RealCgroups..., settings: WorkloadSettings = WorkloadSettings()) -> Workloads {
        var workloads = Workloads(
            hierarchies: cgroups.map(\.hierarchy),
            settings: settings,
            cpus: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        )
        workloads.takeEvents(at: .now)
        return workloads
    }

    /// Calls `takeEvents` as the sampler does, for as long as something happens.
    private func look(_ workloads: inout Workloads, for milliseconds: Int32 = 50) {
        while let descriptor = workloads.descriptor {
            var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&polled, 1, milliseconds) > 0 else { return }
            workloads.takeEvents(at: .now)
        }
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)), arguments: [false, true])
    func aHundredCgroupsOf30MillisecondsRemovedAtOnceLoseNoneOfTheirCPUTime(isWatched: Bool) throws {
        let cgroups = try RealCgroups()
        try cgroups.make("/jobs")
        try cgroups.make("/jobs/survivor")
        var workloads = workloads(cgroups)
        let before = try cgroups.used("/jobs")
        var own: Int64 = 0
        let survivor = try cgroups.start(RealCgroups.busy(3), in: "/jobs/survivor")
        var processes: [Int32] = []
        for i in 0..<100 {
            try cgroups.make("/jobs/\(i)")
            processes.append(try cgroups.start(RealCgroups.busy(), in: "/jobs/\(i)"))
            // Seen alive, and read in the midst of it.
            if isWatched { workloads.takeEvents(at: .now) }
            if isWatched, i % 10 == 9 { workloads.read(at: .now) }
        }
        for process in processes { own += RealCgroups.wait(process) }
        for i in 0..<100 { try cgroups.remove("/jobs/\(i)") }
        own += RealCgroups.wait(survivor)
        workloads.read(at: .now)
        workloads.read(at: .now)
        var gathered = Gathered()
        _ = gathered.take(&workloads)

        let parent = try cgroups.used("/jobs") - before
        #expect(gathered.values.values.reduce(0, +) == parent)
        #expect(abs(parent - own) <= own / 25, "\(parent) of \(own)")
        let dead = gathered.changes.values.filter { $0.cgroup != "/jobs/survivor" }
        #expect(dead.count == 100)
        #expect(dead.allSatisfy { $0.diedUs > $0.bornUs && gathered.closed.contains($0.ref) && ["settled", "read"].contains($0.ending) })
        #expect(dead.allSatisfy { gathered.value($0) > 0 })
        let settled = Set(dead.filter { $0.ending == "settled" }.map(\.ref))
        #expect(settled.allSatisfy { gathered.knots[$0]?.contains { $0.flags.contains(.settled) } ?? false })
        if !isWatched { #expect(settled.count == 100) }
        let left = try #require(gathered.of("/jobs/survivor").first)
        #expect(gathered.value(left) == (try cgroups.used("/jobs/survivor")))
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)))
    func fiveThousandCgroupsComeAndGoWithoutGrowth() throws {
        let cgroups = try RealCgroups()
        try cgroups.make("/jobs")
        var workloads = workloads(cgroups)
        var gathered = Gathered()
        // Once through everything, so that what is kept for good is there.
        for i in 0..<20 {
            try cgroups.make("/jobs/\(i)")
            if i % 2 == 0 { workloads.takeEvents(at: .now) }
            try cgroups.remove("/jobs/\(i)")
        }
        workloads.read(at: .now)
        _ = gathered.take(&workloads)
        let before = (descriptors(), watches(workloads), workloads.nodes.count - workloads.freeNodes.count, workloads.byDirectory.count)
        var places = 0
        for i in 0..<5_000 {
            try cgroups.make("/jobs/\(i)")
            // Some are seen alive, some only when they have gone.
            if i % 3 != 0 { workloads.takeEvents(at: .now) }
            try cgroups.remove("/jobs/\(i)")
            if i % 50 == 49 {
                workloads.read(at: .now)
                gathered = Gathered()
                let sealable = gathered.take(&workloads)
                #expect(sealable.state.workloads.isEmpty && workloads.slots.isEmpty)
                if i == 999 { places = workloads.nodes.count }
            }
        }
        workloads.read(at: .now)
        #expect(workloads.nodes.count <= places)
        let after = (descriptors(), watches(workloads), workloads.nodes.count - workloads.freeNodes.count, workloads.byDirectory.count)
        #expect(after == before)
        #expect(workloads.counts.directories == 1 && workloads.byWatch.count == 2 && workloads.byPopulationWatch.count == 1)
        #expect(workloads.unsettled.isEmpty)
    }

    private func descriptors() -> Int {
        do { return try Disk.names(in: "/proc/self/fd").count } catch { return -1 }
    }

    /// Watches that the kernel holds.
    private func watches(_ workloads: Workloads) -> Int {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        let file = open("/proc/self/fdinfo/\(workloads.descriptor ?? -1)", O_RDONLY)
        defer { close(file) }
        var text = ""
        while case let count = read(file, &buffer, buffer.count), count > 0 { text += String(decoding: buffer[..<count], as: UTF8.self) }
        return text.split(separator: "\n").count { $0.hasPrefix("inotify wd:") }
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)))
    func whatHasEmptiedIsReadBeforeItIsRemovedAndExitedChildrenCount() throws {
        let cgroups = try RealCgroups()
        try cgroups.make("/job")
        var workloads = workloads(cgroups)
        let process = try cgroups.start("(\(RealCgroups.busy(2))) ; (\(RealCgroups.busy(2)))", in: "/job")
        let own = RealCgroups.wait(process)
        look(&workloads)
        let used = try cgroups.used("/job")
        try cgroups.remove("/job")
        look(&workloads)
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        let job = try #require(gathered.of("/job").first)
        #expect(gathered.of("/job").count == 1)
        #expect(job.ending == "read" && job.diedUs > 0)
        #expect(gathered.value(job) == used)
        #expect(abs(used - own) <= max(own / 20, 4_000))
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)))
    func whereTheParentRunsProcessesItselfNobodyIsChargedWithThem() throws {
        let cgroups = try RealCgroups()
        try cgroups.make("/jobs")
        let own = try cgroups.start("while :; do :; done", in: "/jobs")
        defer {
            kill(own, SIGKILL)
            RealCgroups.wait(own)
        }
        var workloads = workloads(cgroups)
        try cgroups.make("/jobs/short")
        RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: "/jobs/short"))
        try cgroups.remove("/jobs/short")
        workloads.takeEvents(at: .now)
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        let short = try #require(gathered.of("/jobs/short").first)
        #expect(short.ending == "last")
        #expect(gathered.value(short) == 0)
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)))
    func aWholeTreeThatVanishesIsSettledFromTheTop() throws {
        let cgroups = try RealCgroups()
        try cgroups.make("/pods")
        var workloads = workloads(cgroups)
        try cgroups.make("/pods/a")
        try cgroups.make("/pods/a/x")
        try cgroups.make("/pods/a/y")
        workloads.takeEvents(at: .now)
        let processes = [try cgroups.start(RealCgroups.busy(2), in: "/pods/a/x"), try cgroups.start(RealCgroups.busy(2), in: "/pods/a/y")]
        for process in processes { RealCgroups.wait(process) }
        for path in ["/pods/a/x", "/pods/a/y", "/pods/a"] { try cgroups.remove(path) }
        look(&workloads)
        workloads.read(at: .now)
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        #expect(gathered.changes.values.map(\.cgroup).sorted() == ["/pods/a", "/pods/a/x", "/pods/a/y"])
        let whole = try #require(gathered.of("/pods/a").first)
        let parts = gathered.of("/pods/a/x") + gathered.of("/pods/a/y")
        #expect(gathered.value(whole) == (try cgroups.used("/pods")))
        #expect(parts.map { gathered.value($0) }.reduce(0, +) == gathered.value(whole))
        #expect(whole.parentRef == 0 && parts.allSatisfy { $0.parentRef == whole.ref })
    }

    @Test(
        .enabled(
            if: RealCgroups.isPossible && RealCgroups.isPossible(.cpuacct),
            "needs the right to make cgroups in a v2 and in a v1 cpuacct mount"
        )
    )
    func aPathInBothHierarchiesIsOneWorkload() throws {
        let name = "wattle-test-\(UInt32.random(in: 0 ... .max))"
        let unified = try RealCgroups(.unified, name: name)
        let old = try RealCgroups(.cpuacct, name: name)
        var workloads = workloads(unified, old)
        for cgroups in [old, unified] {
            try cgroups.make("/both")
            try cgroups.make("/one")
        }
        workloads.takeEvents(at: .now)
        let both = try unified.start(RealCgroups.busy(2), in: "/both", and: [old])
        let one = try old.start(RealCgroups.busy(2), in: "/one")
        for process in [both, one] { RealCgroups.wait(process) }
        look(&workloads)
        workloads.read(at: .now)
        for cgroups in [old, unified] {
            try cgroups.remove("/both")
            try cgroups.remove("/one")
        }
        look(&workloads)
        workloads.read(at: .now)
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        // Of the hierarchy that has the processes.
        #expect(gathered.of("/both").count == 1 && gathered.of("/both").first?.ending == "read")
        #expect(gathered.of("/one").count { gathered.value($0) > 0 } == 1)
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)))
    func aNameThatIsUsedAgainAtOnceIsTwoWorkloads() throws {
        let cgroups = try RealCgroups()
        try cgroups.make("/jobs")
        var workloads = workloads(cgroups)
        try cgroups.make("/jobs/a")
        RealCgroups.wait(try cgroups.start(RealCgroups.busy(2), in: "/jobs/a"))
        try cgroups.remove("/jobs/a")
        try cgroups.make("/jobs/a")
        RealCgroups.wait(try cgroups.start(RealCgroups.busy(1), in: "/jobs/a"))
        // Of the first one nothing was heard until the second was there under its name.
        look(&workloads)
        workloads.read(at: .now)
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        let both = gathered.of("/jobs/a")
        #expect(both.count == 2)
        #expect(both.count { $0.diedUs > 0 } == 1)
        #expect(Set(gathered.curves.values.map(\.name)).count == gathered.curves.count)
        let second = try #require(both.first { $0.diedUs == 0 })
        #expect(gathered.value(second) == (try cgroups.used("/jobs/a")))
        #expect(both.map { gathered.value($0) }.reduce(0, +) == (try cgroups.used("/jobs")))
    }

    @Test func theCgroupsOfThisMachineAreFollowed() throws {
        let roots = HostRoots()
        var workloads = Workloads(
            hierarchies: try CgroupHierarchy.find(roots: roots),
            memoryMount: try CgroupHierarchy.memoryMount(roots: roots),
            cpus: 1
        )
        for _ in 0..<3 { workloads.read(at: .now) }
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        #expect(gathered.values.values.allSatisfy { $0 >= 0 })
        #expect(workloads.counts.directories <= workloads.settings.maximumDirectories)
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)))
    func theLifeOfACgroupIsPartedAtItsSpansEdges() throws {
        let cgroups = try RealCgroups()
        try cgroups.make("/runner.service")
        var workloads = workloads(cgroups)
        func work() throws { RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: "/runner.service")) }
        try work()
        let start = try workloads.admit(SpanRequest(phase: .start, key: "k", cgroup: "/runner.service", directory: nil))
        let from = Timestamp.now
        let startUsed = workloads.start(start, at: .now)
        let fromUsed = try #require(startUsed)
        #expect(workloads.isSpanRunning)
        try work()
        let finish = try workloads.admit(SpanRequest(phase: .finish, key: "k", cgroup: nil, directory: nil))
        let finishUsed = workloads.finish(finish, at: .now)
        let toUsed = try #require(finishUsed)
        #expect(!workloads.isSpanRunning)
        try work()
        workloads.read(at: .now)
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        let parts = gathered.of("/runner.service")
        #expect(parts.map(\.spanKey) == ["", "k", ""])
        #expect(parts.allSatisfy { $0.unit == "runner.service" })
        #expect(parts.map(\.ending) == ["read", "read", ""])
        #expect(parts.map { gathered.value($0) }.reduce(0, +) == (try cgroups.used("/runner.service")))
        let span = try #require(parts.first { $0.spanKey == "k" })
        #expect(gathered.value(span) == toUsed - fromUsed)
        #expect(abs(span.bornUs - from.microseconds) < 100_000)
        #expect(gathered.knots[span.ref]?.map { $0.flags.contains(.edge) } == [true, true])
    }

    @Test(.enabled(if: RealCgroups.isPossible, Comment(rawValue: RealCgroups.absence)))
    func aCgroupThatIsMadeFilledAndNestedBeforeTheWatchIsSetIsFound() throws {
        let cgroups = try RealCgroups()
        var workloads = workloads(cgroups)
        try cgroups.make("/a")
        try cgroups.make("/a/b")
        try cgroups.make("/a/b/c")
        RealCgroups.wait(try cgroups.start(RealCgroups.busy(), in: "/a/b/c"))
        look(&workloads)
        var gathered = Gathered()
        _ = gathered.take(&workloads)
        // All of it, from its birth on, and with it what is around it.
        var around: UInt32 = 0
        for path in ["/a", "/a/b", "/a/b/c"] {
            let found = try #require(gathered.of(path).first)
            #expect(gathered.value(found) == (try cgroups.used("/a/b/c")))
            #expect(found.parentRef == around)
            around = found.ref
        }
        #expect(gathered.changes.count == 3)
    }
}
