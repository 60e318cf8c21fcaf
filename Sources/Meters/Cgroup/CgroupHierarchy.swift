import Glibc

/// A mounted cgroup hierarchy that counts CPU time.
public struct CgroupHierarchy: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// v2: `cpu.stat`, in µs. Counts without any controller enabled.
        case unified
        /// v1's `cpuacct`: `cpuacct.usage`, in ns.
        case cpuacct
    }

    public var kind: Kind
    /// The directory of the mount.
    public var mount: String

    public init(kind: Kind, mount: String) {
        self.kind = kind
        self.mount = mount
    }

    /// The hierarchies of a machine, v2 first, wherever they are mounted (`/sys/fs/cgroup/unified` on hybrid ones). A configured
    /// root is one by itself: v1 where it holds `cpuacct.usage`.
    public static func find(roots: HostRoots) throws(SensorFault) -> [CgroupHierarchy] {
        if let root = roots.cgroup {
            var status = stat()
            let isAccounting = stat("\(root)/cpuacct.usage", &status) == 0
            return [CgroupHierarchy(kind: isAccounting ? .cpuacct : .unified, mount: root)]
        }
        return parse(mounts: try SensorText.read("\(roots.proc)/mounts"))
    }

    /// The mount of v1's `memory` hierarchy; nil where it is not mounted, as on machines with v2 only.
    public static func memoryMount(roots: HostRoots) throws(SensorFault) -> String? {
        guard roots.cgroup == nil else { return nil }
        return memoryMount(mounts: try SensorText.read("\(roots.proc)/mounts"))
    }

    static func memoryMount(mounts: String) -> String? {
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count >= 4, fields[2] == "cgroup", fields[3].split(separator: ",").contains("memory") else { continue }
            return unescaped(fields[1])
        }
        return nil
    }

    static func parse(mounts: String) -> [CgroupHierarchy] {
        var unified: [CgroupHierarchy] = []
        var accounting: [CgroupHierarchy] = []
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count >= 4 else { continue }
            let mount = unescaped(fields[1])
            if fields[2] == "cgroup2" {
                unified.append(CgroupHierarchy(kind: .unified, mount: mount))
            } else if fields[2] == "cgroup", fields[3].split(separator: ",").contains("cpuacct") {
                accounting.append(CgroupHierarchy(kind: .cpuacct, mount: mount))
            }
        }
        return unified + accounting
    }

    /// Blanks in a path are written as `\040` there.
    private static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.first {
            if byte == 0x5C, rest.count >= 4, let code = UInt8(String(decoding: rest.dropFirst().prefix(3), as: UTF8.self), radix: 8) {
                bytes.append(code)
                rest = rest.dropFirst(4)
            } else {
                bytes.append(byte)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The directory of a cgroup given by its path below the mount.
    public func directory(of cgroup: String) -> String { cgroup == "/" ? mount : mount + cgroup }

    /// Whether a directory, as a client names it, lies in this hierarchy. Only plain paths do: nothing may climb out of the mount.
    public func contains(directory: String) -> Bool { directory == mount || directory.hasPrefix(mount + "/") }

    /// A path that starts with `/` and has no empty, `.` or `..` part.
    public static func isPlain(_ path: String) -> Bool {
        guard path.hasPrefix("/"), path.utf8.count <= 4_096, !path.utf8.contains(0) else { return false }
        return path == "/"
            || path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).allSatisfy { $0 != "" && $0 != "." && $0 != ".." }
    }
}
