import Energy
import FoundationEssentials
import Glibc
import Testing

@testable import Meters

struct CgroupTests {
    @Test func onHybridMachinesTheUnifiedHierarchyIsPreferred() {
        let mounts = """
            tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
            cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0
            cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0
            """
        #expect(
            CgroupHierarchy.parse(mounts: mounts) == [
                CgroupHierarchy(kind: .unified, mount: "/sys/fs/cgroup/unified"),
                CgroupHierarchy(kind: .cpuacct, mount: "/sys/fs/cgroup/cpu,cpuacct"),
            ]
        )
    }

    @Test func aMountWithABlankIsUnescaped() {
        #expect(CgroupHierarchy.parse(mounts: "cgroup2 /mnt/my\\040cg cgroup2 rw 0 0\n").first?.mount == "/mnt/my cg")
    }

    @Test func cpuTimeIsReadFromBothKinds() throws {
        let host = try FixtureHost()
        try host.write("/v2/job/cpu.stat", "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\n")
        try host.write("/v1/job/cpuacct.usage", "1234567890\n")
        #expect(try CgroupCPUTime(directory: host.root + "/v2/job", kind: .unified).read() == Microseconds(1_234_567))
        #expect(try CgroupCPUTime(directory: host.root + "/v1/job", kind: .cpuacct).read() == Microseconds(1_234_567))
    }

    @Test func aCgroupThatIsNotThereIsVanished() {
        do {
            _ = try CgroupCPUTime(directory: "/nonexistent/job", kind: .unified)
            Issue.record("expected a fault")
        } catch {
            #expect(error.isVanished)
        }
    }

    @Test func aConfiguredRootIsOfTheKindThatItHolds() throws {
        let host = try FixtureHost()
        try host.write("/v1/cpuacct.usage", "0\n")
        try host.write("/v2/cpu.stat", "usage_usec 0\n")
        #expect(try CgroupHierarchy.find(roots: HostRoots(cgroup: host.root + "/v1"))[0].kind == .cpuacct)
        #expect(
            try CgroupHierarchy.find(roots: HostRoots(cgroup: host.root + "/v2/"))[0]
                == CgroupHierarchy(kind: .unified, mount: host.root + "/v2")
        )
    }

    @Test(arguments: ["", "job", "/a/../b", "/a//b", "/./a", "/a/", "/a\u{0}b"])
    func onlyPlainPathsAreTaken(path: String) { #expect(!CgroupHierarchy.isPlain(path)) }

    private static let mount: String? = {
        do {
            guard let mount = try CgroupHierarchy.find(roots: HostRoots()).first(where: { $0.kind == .unified })?.mount else { return nil }
            return access(mount, W_OK) == 0 ? mount : nil
        } catch {
            return nil
        }
    }()

    @Test func theMemoryHierarchyOfV1IsFound() {
        let mounts = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,nosuid,memory 0 0\n"
        #expect(CgroupHierarchy.memoryMount(mounts: mounts) == "/sys/fs/cgroup/memory")
        #expect(CgroupHierarchy.memoryMount(mounts: "cgroup2 /sys/fs/cgroup cgroup2 rw,memory_recursiveprot 0 0\n") == nil)
    }

    @Test func memoryIsReadFromBothKindsAndAbsentWhereItIsNotCounted() throws {
        let host = try FixtureHost()
        try host.write("/v2/job/memory.current", "4096\n")
        try host.write("/v1/job/memory.usage_in_bytes", "8192\n")
        try host.write("/v1/job/memory.max_usage_in_bytes", "12288\n")
        try host.write("/v2/other/cpu.stat", "usage_usec 0\n")
        let unified = CgroupMemory(directory: host.root + "/v2/job", inMemoryHierarchy: nil)
        #expect(unified?.currentBytes() == 4_096 && unified?.peakBytes() == nil)
        let old = CgroupMemory(directory: host.root + "/v2/other", inMemoryHierarchy: host.root + "/v1/job")
        #expect(old?.currentBytes() == 8_192 && old?.peakBytes() == 12_288)
        #expect(CgroupMemory(directory: host.root + "/v2/other", inMemoryHierarchy: nil) == nil)
    }

    @Test func whoRunsInACgroupIsToldOrTakenForSomebody() throws {
        let host = try FixtureHost()
        try host.write("/a/cgroup.events", "populated 1\nfrozen 0\n")
        try host.write("/b/cgroup.events", "frozen 0\npopulated 0\n")
        #expect(CgroupDirectory.isPopulated(host.root + "/a") == true)
        #expect(CgroupDirectory.isPopulated(host.root + "/b") == false)
        #expect(CgroupDirectory.isPopulated(host.root + "/c") == nil)
        #expect(CgroupDirectory.hasProcesses(host.root + "/c"))
        #expect(try CgroupDirectory.children(of: host.root).sorted().filter { $0 != "proc" && $0 != "sys" } == ["a", "b"])
    }

    @Test(.enabled(if: mount != nil, "needs the right to make cgroups in a v2 mount"))
    func birthsAndDeathsAndWhoRunsThereAreTold() throws {
        let directory = "\(try #require(Self.mount))/wattle-test-\(UInt64.random(in: 0 ... .max))"
        try #require(mkdir(directory, 0o755) == 0)
        defer { rmdir(directory) }
        let watch = try CgroupWatch()
        let number = try watch.watchDirectory(directory)
        try #require(mkdir(directory + "/a", 0o755) == 0)
        #expect(CgroupDirectory.hasProcesses(directory + "/a") == false)
        #expect(CgroupDirectory.isPopulated(directory + "/a") == false)
        let first = CgroupDirectory.identity(of: directory + "/a")
        rmdir(directory + "/a")
        try #require(mkdir(directory + "/a", 0o755) == 0)
        #expect(CgroupDirectory.identity(of: directory + "/a")?.inode != first?.inode)
        rmdir(directory + "/a")
        var events: [CgroupWatch.Event] = []
        #expect(watch.takeEvents { events.append($0) })
        let (born, died) = (CgroupWatch.Event.born(watch: number, name: "a"), CgroupWatch.Event.died(watch: number, name: "a"))
        #expect(events == [born, died, born, died])
        #expect { try watch.watchDirectory(directory + "/a") } throws: { ($0 as? SensorFault)?.isVanished == true }
    }

    @Test(.enabled(if: mount != nil, "needs the right to make cgroups in a v2 mount"))
    func aRemovedCgroupIsToldFromAnIdleOne() throws {
        let directory = "\(try #require(Self.mount))/wattle-test-\(UInt64.random(in: 0 ... .max))"
        try #require(mkdir(directory, 0o755) == 0)
        let time = try CgroupCPUTime(directory: directory, kind: .unified)
        #expect(try time.read() == .zero)
        #expect(rmdir(directory) == 0)
        #expect { try time.read() } throws: { ($0 as? SensorFault)?.isVanished == true }
    }
}
