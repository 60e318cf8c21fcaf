import Energy
import Testing

@testable import Tracker

@Suite struct CgroupPlaceTests {
    private let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n"

    @Test func `a pure v2 machine has one place`() {
        let places = CgroupPlace.find(mountInfo: v2, membership: "0::/user.slice/user-1000.slice/session-2.scope\n")
        #expect(places == [CgroupPlace(kind: .unified, mount: "/sys/fs/cgroup", own: "/user.slice/user-1000.slice/session-2.scope")])
    }

    @Test func `a hybrid machine has v2 first, then cpuacct`() {
        let mounts = """
            35 34 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
            36 34 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
            37 34 0:32 / /sys/fs/cgroup/unified rw,relatime shared:10 master:1 - cgroup2 cgroup2 rw
            """
        let membership = "9:name=systemd:/x\n4:memory:/process/1\n2:cpu,cpuacct:/ci/job\n0::/\n"
        #expect(
            CgroupPlace.find(mountInfo: mounts, membership: membership) == [
                CgroupPlace(kind: .unified, mount: "/sys/fs/cgroup/unified", own: "/"),
                CgroupPlace(kind: .cpuacct, mount: "/sys/fs/cgroup/cpu,cpuacct", own: "/ci/job"),
            ]
        )
    }

    @Test func `a container that sees part of the hierarchy counts from the root it sees`() {
        let mounts = "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
        #expect(CgroupPlace.find(mountInfo: mounts, membership: "0::/docker/abc/sub\n").first?.own == "/sub")
        #expect(CgroupPlace.find(mountInfo: mounts, membership: "0::/docker/abc\n").first?.own == "/")
        #expect(CgroupPlace.find(mountInfo: mounts, membership: "0::/docker/abcdef\n").isEmpty)
        #expect(CgroupPlace.find(mountInfo: v2, membership: "0::/../elsewhere\n").isEmpty)
    }

    @Test func `blanks in mount points are escaped in the kernel's file`() {
        let mounts = "30 23 0:26 / /mnt/my\\040groups rw - cgroup2 cgroup2 rw\n"
        #expect(CgroupPlace.find(mountInfo: mounts, membership: "0::/\n").first?.mount == "/mnt/my groups")
    }

    @Test func `nonsense gives no place`() {
        #expect(CgroupPlace.find(mountInfo: "", membership: "").isEmpty)
        #expect(CgroupPlace.find(mountInfo: "a b c - cgroup2\n - \n\\", membership: "::::\n0:\n").isEmpty)
    }

    @Test func `cpu.stat's first line is the CPU time`() {
        #expect(RunCgroup.usage(inCPUStat: "usage_usec 81234\nuser_usec 80000\n")?.count == 81_234)
        #expect(RunCgroup.usage(inCPUStat: "user_usec 80000\n") == nil)
    }
}
