/// Where this process stands in a cgroup hierarchy that counts CPU time.
struct CgroupPlace: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        /// The v2 hierarchy, alone or beside v1 (hybrid).
        case unified
        /// v1's `cpuacct`.
        case cpuacct
    }

    var kind: Kind
    /// Directory of the hierarchy's mount.
    var mount: String
    /// The process' own cgroup below the mount: `/`, `/system.slice/runner.service`.
    var own: String

    /// The places that can be reached, v2 first.
    ///
    /// - Parameters:
    ///   - mountInfo: text of `/proc/self/mountinfo`.
    ///   - membership: text of `/proc/self/cgroup`.
    static func find(mountInfo: String, membership: String) -> [CgroupPlace] {
        var unified: [CgroupPlace] = []
        var cpuacct: [CgroupPlace] = []
        for line in mountInfo.split(separator: "\n") {
            guard let mount = Mount(line) else { continue }
            if mount.type == "cgroup2", let path = ownPath(membership, controller: nil), let own = below(mount.root, path) {
                unified.append(CgroupPlace(kind: .unified, mount: mount.point, own: own))
            } else if mount.type == "cgroup", mount.options.contains("cpuacct"), let path = ownPath(membership, controller: "cpuacct"),
                let own = below(mount.root, path)
            {
                cpuacct.append(CgroupPlace(kind: .cpuacct, mount: mount.point, own: own))
            }
        }
        return unified + cpuacct
    }

    private struct Mount {
        var root: String
        var point: String
        var type: Substring
        var options: [Substring]

        init?(_ line: Substring) {
            let fields = line.split(separator: " ")
            // Optional fields stand between the sixth and a lone hyphen.
            guard let hyphen = fields.firstIndex(of: "-"), hyphen >= 6, fields.count > hyphen + 3 else { return nil }
            root = Mount.unescaped(fields[3])
            point = Mount.unescaped(fields[4])
            type = fields[hyphen + 1]
            options = fields[hyphen + 3].split(separator: ",")
        }

        /// Blanks are written as `\040` and the like.
        static func unescaped(_ text: Substring) -> String {
            guard text.contains("\\") else { return String(text) }
            var bytes: [UInt8] = []
            var rest = Array(text.utf8)[...]
            while let byte = rest.first {
                if byte == UInt8(ascii: "\\"), rest.count >= 4,
                    let code = UInt8(String(decoding: rest.dropFirst().prefix(3), as: UTF8.self), radix: 8)
                {
                    bytes.append(code)
                    rest = rest.dropFirst(4)
                } else {
                    bytes.append(byte)
                    rest = rest.dropFirst()
                }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// The path of the line of a v1 controller, or of v2 (`0::`) for nil.
    static func ownPath(_ membership: String, controller: String?) -> String? {
        for line in membership.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let isWanted =
                controller.map { wanted in fields[1].split(separator: ",").contains { $0 == wanted } }
                ?? (fields[0] == "0" && fields[1].isEmpty)
            if isWanted { return String(fields[2]) }
        }
        return nil
    }

    /// A cgroup's path as seen below a mount that shows only `root` and what is under it.
    private static func below(_ root: String, _ path: String) -> String? {
        // A cgroup outside of the namespace is written with `..`: not reachable.
        guard path.hasPrefix("/"), !path.hasPrefix("/..") else { return nil }
        if root == "/" || root.hasPrefix("/..") { return path }
        if path == root { return "/" }
        guard path.hasPrefix(root + "/") else { return nil }
        return String(path.dropFirst(root.count))
    }
}

extension CgroupPlace {
    /// Where this process stands in the hierarchies that are mounted.
    static func mounted() -> [CgroupPlace] {
        find(mountInfo: SmallFile.read("/proc/self/mountinfo") ?? "", membership: SmallFile.read("/proc/self/cgroup") ?? "")
    }
}
