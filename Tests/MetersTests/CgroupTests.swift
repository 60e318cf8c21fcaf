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

    /// Real cgroups, where this process may make one.
    @Test func aRemovedCgroupIsToldFromAnIdleOne() throws {
        guard let mount = try CgroupHierarchy.find(roots: HostRoots()).first(where: { $0.kind == .unified })?.mount else { return }
        let directory = "\(mount)/wattle-test-\(UInt64.random(in: 0 ... .max))"
        guard mkdir(directory, 0o755) == 0 else { return }
        let time = try CgroupCPUTime(directory: directory, kind: .unified)
        #expect(try time.read() == .zero)
        #expect(rmdir(directory) == 0)
        #expect { try time.read() } throws: { ($0 as? SensorFault)?.isVanished == true }
    }
}
