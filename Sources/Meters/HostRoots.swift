/// Where a machine's kernel files are: the real places, a container's view of its host, or a fixture.
public struct HostRoots: Hashable, Sendable {
    /// Prefix of `/sys/class`, `/sys/devices` and `/dev`; empty for the machine itself.
    public var root: String
    /// Stands for `/proc`.
    public var proc: String
    /// Stands for the cgroup mount; nil to find it in `proc/mounts`.
    public var cgroup: String?

    public init(root: String = "", proc: String = "/proc", cgroup: String? = nil) {
        func withoutEnd(_ path: String) -> String {
            var path = path[...]
            while path.last == "/" { path.removeLast() }
            return String(path)
        }
        self.root = withoutEnd(root)
        self.proc = withoutEnd(proc)
        self.cgroup = cgroup.map(withoutEnd)
    }

    /// A path such as `/sys/class/powercap` below the root.
    func path(_ absolute: String) -> String { root + absolute }
}
