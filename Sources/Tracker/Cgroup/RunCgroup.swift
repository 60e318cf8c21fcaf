import Energy
import Glibc

/// The cgroup made for one command: it counts the CPU time of everything the command starts, however short-lived.
struct RunCgroup: Sendable {
    let kind: CgroupPlace.Kind
    /// Its directory.
    let directory: String
    /// Its path below the hierarchy's mount: what agents and collectors know it by.
    let path: String

    /// Makes one below the caller's own cgroup, in the first hierarchy that allows it.
    ///
    /// - Returns: nil with the reason where none may be made, as for ordinary users.
    static func make(in places: [CgroupPlace], name: String) -> (cgroup: RunCgroup?, refusal: String?) {
        var refusal = "no cgroup hierarchy is mounted"
        for place in places {
            let path = (place.own == "/" ? "" : place.own) + "/" + name
            let directory = place.mount + path
            if mkdir(directory, 0o755) == 0 { return (RunCgroup(kind: place.kind, directory: directory, path: path), nil) }
            refusal = "\(place.mount + place.own): \(ErrorNumber(errno).text)"
        }
        return (nil, refusal)
    }

    /// CPU time of all its processes since it was made, ended ones included; nil where the kernel does not tell.
    func cpuTime() -> Microseconds? {
        switch kind {
        case .unified:
            guard let text = SmallFile.read(directory + "/cpu.stat") else { return nil }
            return RunCgroup.usage(inCPUStat: text)
        case .cpuacct:
            guard let text = SmallFile.read(directory + "/cpuacct.usage"),
                let nanoseconds = Int64(text.filter { !$0.isWhitespace })
            else { return nil }
            return Microseconds(nanoseconds / 1_000)
        }
    }

    static func usage(inCPUStat text: String) -> Microseconds? {
        for line in text.split(separator: "\n") where line.hasPrefix("usage_usec ") {
            return Int64(line.dropFirst("usage_usec ".count)).map { Microseconds($0) }
        }
        return nil
    }

    /// The most memory it held at a time, in bytes; nil where the memory controller is not on.
    func memoryPeakBytes() -> Int64? {
        guard kind == .unified, let text = SmallFile.read(directory + "/memory.peak") else { return nil }
        return Int64(text.filter { !$0.isWhitespace })
    }

    /// Processes that are still in it.
    func processes() -> [Int32] {
        (SmallFile.read(directory + "/cgroup.procs") ?? "").split(separator: "\n").compactMap { Int32($0) }
    }

    /// Removes it; false while processes or cgroups of theirs are in it.
    func remove() -> Bool {
        // Processes that are just ending hold it for a moment: up to 20 ms.
        for attempt in 0..<10 {
            if attempt > 0 { usleep(2_000) }
            if rmdir(directory) == 0 || errno == ENOENT { return true }
            guard errno == EBUSY else { return false }
        }
        return false
    }
}
