/// What a cgroup is, as far as its path tells: how systemd, container runtimes and Kubernetes name theirs.
struct WorkloadIdentity: Hashable, Sendable {
    /// The systemd unit that it is: a service, a scope or a slice. Empty for none, and for a container's scope.
    var unit = ""
    /// The container that it is: the runtime's full id of 64 hex digits. Empty for none.
    var containerID = ""
    /// The Kubernetes pod that it is or is in, with hyphens. Empty for none.
    var podUID = ""
    /// Whether it is a pod itself.
    var isPod = false

    init() {}

    /// - Parameter cgroup: the path below the mount.
    init(cgroup: String) {
        let parts = cgroup.split(separator: "/")
        guard let last = parts.last else { return }
        for (i, part) in parts.enumerated() {
            guard let uid = Self.podUID(part) else { continue }
            podUID = uid
            isPod = i == parts.count - 1
        }
        if let id = Self.containerID(last) {
            containerID = id
        } else {
            unit = Self.unit(last) ?? ""
        }
    }

    /// The innermost cgroup, the path itself or one above it, that holds one CI job at a time: a container, or the unit of a runner of
    /// GitHub's. Nil where there is none: what holds other work too is no job's.
    static func jobCgroup(above cgroup: String) -> String? {
        var path = cgroup[...]
        while !path.isEmpty {
            let identity = WorkloadIdentity(cgroup: String(path))
            if !identity.containerID.isEmpty || (identity.unit.hasPrefix("actions.runner.") && identity.unit.hasSuffix(".service")) {
                return String(path)
            }
            path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
        }
        return nil
    }

    /// Whether it has a curve of its own though there are cgroups below it.
    var isWhole: Bool { !containerID.isEmpty || isPod || unit.hasSuffix(".service") || unit.hasSuffix(".scope") }

    /// `docker-<id>.scope`, `libpod-<id>.scope`, `cri-containerd-<id>.scope`, `crio-<id>.scope`, `nerdctl-<id>.scope`,
    /// `<slice>:cri-containerd:<id>`, and `<id>` alone below `/docker`, `/kubepods`, `/actions_job`... Not the monitor that podman
    /// and CRI-O run beside each container in a scope of its own.
    private static func containerID(_ part: Substring) -> String? {
        let name = part.hasSuffix(".scope") ? part.dropLast(6) : part
        let id = name.suffix(64)
        guard id.utf8.count == 64, id.utf8.allSatisfy(isHexDigit) else { return nil }
        let before = name.dropLast(64)
        guard before.isEmpty || before.hasSuffix("-") || before.hasSuffix(":"), !before.contains("conmon") else { return nil }
        return String(id)
    }

    /// `pod<uid>`, `kubepods-burstable-pod<uid with _>.slice`. The uid is a UUID, or 32 hex digits for a pod from a file.
    private static func podUID(_ part: Substring) -> String? {
        let name = part.hasSuffix(".slice") ? part.dropLast(6) : part
        for length in [36, 32] {
            let uid = name.suffix(length)
            let before = name.dropLast(length)
            guard uid.utf8.count == length, before == "pod" || before.hasSuffix("-pod") else { continue }
            let isWellFormed = uid.utf8.enumerated().allSatisfy { i, byte in
                length == 36 && [8, 13, 18, 23].contains(i) ? byte == 0x2D || byte == 0x5F : isHexDigit(byte)
            }
            if isWellFormed { return String(uid.map { $0 == "_" ? "-" : $0 }) }
        }
        return nil
    }

    private static func unit(_ part: Substring) -> String? {
        // systemd puts an underscore before names that the kernel could take for a file of its own.
        let name = part.hasPrefix("_") ? part.dropFirst() : part
        if name.hasSuffix(".service") || name.hasSuffix(".scope") { return name.utf8.count <= 512 ? String(name) : nil }
        guard name.hasSuffix(".slice"), name.utf8.count <= 512 else { return nil }
        return unescaped(name)
    }

    /// `\x2d` in a slice's name is a hyphen that does not part it from its parent's.
    private static func unescaped(_ name: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = name.utf8[...]
        while let byte = rest.first {
            if byte == 0x5C, rest.count >= 4, rest.dropFirst().first == 0x78,
                let code = UInt8(String(decoding: rest.dropFirst(2).prefix(2), as: UTF8.self), radix: 16), code >= 0x20
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

    private static func isHexDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) }
}
