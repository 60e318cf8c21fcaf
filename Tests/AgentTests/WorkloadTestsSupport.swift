import CLinux
import Energy
import FoundationEssentials
import Glibc
import Meters
import Wire

@testable import Agent

/// Real cgroups below a directory of their own, which stands for a mount; removed with the object.
final class RealCgroups: Sendable {
    let kind: CgroupHierarchy.Kind
    /// The directory that stands for the mount.
    let root: String

    static let absence = "needs the right to make cgroups in a cgroup v2 mount"
    static var isPossible: Bool { isPossible(.unified) }

    static func isPossible(_ kind: CgroupHierarchy.Kind) -> Bool {
        guard let mount = mount(kind) else { return false }
        let directory = "\(mount)/wattle-test-\(UInt32.random(in: 0 ... .max))"
        guard mkdir(directory, 0o755) == 0 else { return false }
        defer { rmdir(directory) }
        return access("\(directory)/cgroup.procs", W_OK) == 0
            && access(directory + (kind == .unified ? "/cpu.stat" : "/cpuacct.usage"), R_OK) == 0
    }

    private static func mount(_ kind: CgroupHierarchy.Kind) -> String? {
        do { return try CgroupHierarchy.find(roots: HostRoots()).first { $0.kind == kind }?.mount } catch { return nil }
    }

    init(_ kind: CgroupHierarchy.Kind = .unified, name: String = "wattle-test-\(UInt32.random(in: 0 ... .max))") throws {
        guard let mount = Self.mount(kind) else { throw Fault(description: "no mount of \(kind)") }
        self.kind = kind
        root = "\(mount)/\(name)"
        guard mkdir(root, 0o755) == 0 else { throw Fault(description: "cannot make \(root): \(errno)") }
    }

    deinit {
        // Deepest first.
        func remove(_ directory: String) {
            do throws(SensorFault) {
                for name in try CgroupDirectory.children(of: directory) { remove("\(directory)/\(name)") }
            } catch {}
            if rmdir(directory) != 0 { print("left behind: \(directory): \(errno)") }
        }
        remove(root)
    }

    struct Fault: Error, CustomStringConvertible { let description: String }

    var hierarchy: CgroupHierarchy { CgroupHierarchy(kind: kind, mount: root) }

    func make(_ path: String) throws {
        guard mkdir(root + path, 0o755) == 0 else { throw Fault(description: "cannot make \(root + path): \(errno)") }
    }

    func remove(_ path: String) throws {
        // The last process may have been waited for a moment before the kernel lets go of it.
        for _ in 0..<2_000 {
            if rmdir(root + path) == 0 { return }
            guard errno == EBUSY else { break }
            usleep(500)
        }
        throw Fault(description: "cannot remove \(root + path): \(errno)")
    }

    func used(_ path: String) throws -> Int64 { try CgroupCPUTime(directory: root + path, kind: kind).read().count }

    /// Starts a shell command as a process of a cgroup from its first instruction on.
    func start(_ command: String, in path: String, and others: [RealCgroups] = []) throws -> Int32 {
        var request = wattle_spawn_request()
        request.cgroup_directory = -1
        var opened: [Int32] = []
        defer { for descriptor in opened { close(descriptor) } }
        var procs: [Int32] = []
        for place in [self] + others {
            if place.kind == .unified {
                request.cgroup_directory = wattle_open(place.root + path, O_RDONLY | O_DIRECTORY)
                opened.append(request.cgroup_directory)
            } else {
                procs.append(wattle_open(place.root + path + "/cgroup.procs", O_WRONLY))
            }
        }
        opened += procs
        guard opened.allSatisfy({ $0 >= 0 }) else { throw Fault(description: "cannot open \(path): \(opened)") }
        var result = wattle_spawn_result()
        var inExec = false
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("/bin/sh"), strdup("-c"), strdup(command), nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/bin:/bin"), nil]
        defer { for pointer in arguments + environment { Glibc.free(pointer) } }
        let number = arguments.withUnsafeMutableBufferPointer { arguments in
            environment.withUnsafeMutableBufferPointer { environment in
                procs.withUnsafeBufferPointer { procs in
                    request.arguments = UnsafePointer(arguments.baseAddress)
                    request.environment = UnsafePointer(environment.baseAddress)
                    request.cgroup_procs = procs.baseAddress
                    request.cgroup_procs_count = procs.count
                    return wattle_spawn(&request, &result, &inExec)
                }
            }
        }
        guard number == 0, result.cgroup_errno == 0 else { throw Fault(description: "cannot start: \(number), \(result.cgroup_errno)") }
        return result.pid
    }

    /// Waits for its end; µs of CPU time that it has used.
    @discardableResult
    static func wait(_ process: Int32) -> Int64 {
        var status: Int32 = 0
        var used: Int64 = 0
        _ = wattle_wait(process, &status, &used)
        return used
    }

    /// A shell command that computes for some 30 ms, or a multiple.
    static func busy(_ times: Int = 1) -> String { "i=0; while [ $i -lt \(20_000 * times) ]; do i=$((i+1)); done" }
}

/// Plain directories that stand for cgroups: for what cannot be had of real ones at will.
final class FixtureCgroups: Sendable {
    let root: String

    init() throws {
        root = FileManager.default.temporaryDirectory.path + "/wattle-cgroups-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    }

    deinit {
        do { try FileManager.default.removeItem(atPath: root) } catch { print("left behind: \(root): \(error)") }
    }

    var hierarchy: CgroupHierarchy { CgroupHierarchy(kind: .unified, mount: root) }

    /// A parent's count must be set by hand.
    func set(_ path: String, _ usage: Int64, memory: Int64? = nil) throws {
        try FileManager.default.createDirectory(atPath: root + path, withIntermediateDirectories: true)
        try write(path + "/cpu.stat", "usage_usec \(usage)\n")
        if let memory { try write(path + "/memory.current", "\(memory)\n") }
    }

    func write(_ path: String, _ text: String) throws {
        // In place, as a kernel file is: a descriptor that is open must see it.
        let padded = text + String(repeating: "\n", count: max(0, 48 - text.utf8.count))
        if let handle = fopen(root + path, "r+") ?? fopen(root + path, "w") {
            defer { fclose(handle) }
            fwrite(padded, 1, padded.utf8.count, handle)
        }
    }

    func remove(_ path: String) throws { try FileManager.default.removeItem(atPath: root + path) }
}

extension Timestamp {
    static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }

    /// Seconds of a made-up clock.
    static func at(_ seconds: Double) -> Timestamp { Timestamp(microseconds: 1_767_225_600_000_000 + Int64((seconds * 1e6).rounded())) }
}

/// What a collector would have of what was taken.
struct Gathered {
    var curves: [UInt32: WireCurveAnnouncement] = [:]
    var values: [UInt32: Int64] = [:]
    var closed: Set<UInt32> = []
    var changes: [UInt32: WireWorkloadChange] = [:]
    var knots: [UInt32: [Knot]] = [:]
    var state: AgentState?

    mutating func take(_ workloads: inout Workloads) -> Sealable {
        var sealable = Sealable(
            state: AgentState(generation: 1, bootID: "boot", wallOffset: 0, nextRef: 1, curves: [], workloads: [])
        )
        workloads.take(into: &sealable)
        for curve in sealable.announcements { curves[curve.ref] = curve }
        for column in sealable.columns { knots[column.ref, default: []] += column.knots }
        for tail in sealable.tails {
            values[tail.ref] = tail.value
            if tail.closed { closed.insert(tail.ref) }
        }
        for change in sealable.workloads { changes[change.ref] = change }
        state = sealable.state
        return sealable
    }

    /// Changes of the CPU-time curves of a path, the first born first.
    func of(_ path: String) -> [WireWorkloadChange] {
        changes.values.filter { $0.cgroup == path }.sorted { ($0.bornUs, $0.ref) < ($1.bornUs, $1.ref) }
    }

    func value(_ change: WireWorkloadChange) -> Int64 { values[change.ref] ?? -1 }
}
