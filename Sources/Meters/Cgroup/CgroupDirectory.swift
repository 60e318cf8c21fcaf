import Glibc

/// What a cgroup's directory tells beside its CPU time.
public enum CgroupDirectory {
    /// Tells one cgroup from a later one of the same name.
    public struct Identity: Hashable, Sendable {
        public var inode: UInt64
        /// Whether there may be cgroups below it: the kernel counts them as links.
        public var mayHaveChildren: Bool
    }

    /// Nil where there is no such directory.
    public static func identity(of directory: String) -> Identity? {
        var status = stat()
        guard lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
        return Identity(inode: UInt64(status.st_ino), mayHaveChildren: status.st_nlink != 2)
    }

    /// Names of the cgroups directly below.
    ///
    /// - Throws: `SensorFault`; `isVanished` where there is no such cgroup.
    public static func children(of directory: String) throws(SensorFault) -> [String] {
        guard let stream = opendir(directory) else { throw SensorFault(path: directory, errno: errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            guard entry.pointee.d_type == UInt8(DT_DIR) || entry.pointee.d_type == UInt8(DT_UNKNOWN) else { continue }
            let isUnknown = entry.pointee.d_type == UInt8(DT_UNKNOWN)
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            guard name != ".", name != ".." else { continue }
            if isUnknown, identity(of: "\(directory)/\(name)") == nil { continue }
            names.append(name)
        }
        return names
    }

    /// Whether any process runs in the cgroup or below it, from `cgroup.events`; nil where that is not told (v1, v2's root).
    public static func isPopulated(_ directory: String) -> Bool? {
        withFile("\(directory)/cgroup.events") { bytes in
            var line = 0
            while line < bytes.count {
                if let end = DecimalText.end(of: "populated ", in: bytes, at: line), end < bytes.count { return bytes[end] != 0x30 }
                line = DecimalText.nextLine(in: bytes, after: line)
            }
            return nil
        }
    }

    /// Whether processes run in the cgroup itself. True also where that cannot be told: what is measured must not be taken for
    /// somebody else's.
    public static func hasProcesses(_ directory: String) -> Bool { withFile("\(directory)/cgroup.procs") { !$0.isEmpty } ?? true }

    /// The first bytes of a small file; nil where it cannot be read.
    static func withFile<R>(_ path: String, _ body: (UnsafeRawBufferPointer) -> R?) -> R? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: 256, alignment: 16) { buffer in
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            guard count >= 0 else { return nil }
            return body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }
}
