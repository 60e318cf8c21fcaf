public import Energy
import Glibc

/// A cgroup made for a CI job that runs already: the job's process is moved into it, and what it starts from then on is born there.
public struct JobCgroup: Sendable, Hashable {
    /// Its path below the hierarchy's mount.
    public let path: String
    public let directory: String
    /// Where the process was before, and goes back to.
    let home: String

    private static let prefix = "wattle-job-"

    public init?(path: String, directory: String) {
        guard let slash = directory.lastIndex(of: "/"), directory[slash...].dropFirst().hasPrefix(Self.prefix) else { return nil }
        self.path = path
        self.directory = directory
        home = String(directory[..<slash])
    }

    /// Makes one below the cgroup of the process and moves it there. Those that earlier jobs left empty are removed.
    ///
    /// - Returns: nil where this may not be done, as for ordinary users whose cgroup is not their own.
    public static func make(for process: Int32, name: String) -> JobCgroup? {
        let places = CgroupPlace.find(
            mountInfo: SmallFile.read("/proc/self/mountinfo") ?? "",
            membership: SmallFile.read("/proc/\(process)/cgroup") ?? ""
        )
        for place in places {
            // A job of before that never said its end may have left the process in its own.
            var own = place.own == "/" ? "" : place.own
            if let slash = own.lastIndex(of: "/"), own[slash...].dropFirst().hasPrefix(prefix) { own = String(own[..<slash]) }
            let cgroup = JobCgroup(path: "\(own)/\(prefix)\(name)", directory: "\(place.mount)\(own)/\(prefix)\(name)")
            guard let cgroup else { continue }
            cgroup.removeOthers()
            guard mkdir(cgroup.directory, 0o755) == 0 else { continue }
            if move(process, to: cgroup.directory) { return cgroup }
            rmdir(cgroup.directory)
        }
        return nil
    }

    /// Moves the process back and removes the cgroup; false while others of the job are in it, who then are counted to it until they end.
    @discardableResult
    public func end(_ process: Int32) -> Bool {
        // It may have ended.
        _ = Self.move(process, to: home)
        return rmdir(directory) == 0 || errno == ENOENT
    }

    /// CPU time of all that ran in it; nil where the kernel does not tell.
    public func cpuTime() -> Microseconds? {
        if let text = SmallFile.read(directory + "/cpu.stat"), let usage = RunCgroup.usage(inCPUStat: text) { return usage }
        guard let text = SmallFile.read(directory + "/cpuacct.usage"), let nanoseconds = Int64(text.filter { !$0.isWhitespace }) else {
            return nil
        }
        return Microseconds(nanoseconds / 1_000)
    }

    private static func move(_ process: Int32, to directory: String) -> Bool {
        let descriptor = open("\(directory)/cgroup.procs", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let text = Array("\(process)".utf8)
        return write(descriptor, text, text.count) == text.count
    }

    /// The kernel refuses to remove one that is in use.
    private func removeOthers() {
        guard let listing = opendir(home) else { return }
        defer { closedir(listing) }
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name.hasPrefix(Self.prefix) { rmdir("\(home)/\(name)") }
        }
    }
}
