import Energy
import FoundationEssentials
import Glibc
import Meters
import Wire

@testable import Agent

/// A machine with one RAPL package in a temporary directory, removed with the object.
final class FixtureHost: Sendable {
    let root: String

    init() throws {
        root = FileManager.default.temporaryDirectory.path + "/wattle-agent-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        let blocks = (0..<2).map {
            "processor\t: \($0)\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7763 64-Core Processor\nphysical id\t: 0\n"
        }
        try write("/proc/cpuinfo", blocks.joined(separator: "\n"))
        try setBusy(ticks: 0)
    }

    deinit {
        do { try FileManager.default.removeItem(atPath: root) } catch { print("left behind: \(root): \(error)") }
    }

    func write(_ path: String, _ text: String) throws {
        let full = root + path
        let directory = full[..<(full.lastIndex(of: "/") ?? full.endIndex)]
        try FileManager.default.createDirectory(atPath: String(directory), withIntermediateDirectories: true)
        // In place, as a kernel file is: a descriptor that is open must see it.
        if let handle = fopen(full, "r+") {
            defer { fclose(handle) }
            let padded = text.padding(60)
            fwrite(padded, 1, padded.utf8.count, handle)
        } else {
            try Data(text.padding(60).utf8).write(to: URL(filePath: full))
        }
    }

    func addPackage(_ id: Int = 0, energy: Int64 = 0, range: Int64 = 65_712_999_613) throws {
        let zone = "/sys/class/powercap/intel-rapl:\(id)"
        try write("\(zone)/name", "package-\(id)")
        try write("\(zone)/max_energy_range_uj", "\(range)")
        try write("\(zone)/constraint_0_max_power_uw", "200000000")
        try setEnergy(energy, of: id)
    }

    func setEnergy(_ energy: Int64, of id: Int = 0) throws { try write("/sys/class/powercap/intel-rapl:\(id)/energy_uj", "\(energy)") }

    /// The device is gone.
    func vanish(_ id: Int) throws { try FileManager.default.removeItem(atPath: root + "/sys/class/powercap/intel-rapl:\(id)") }

    func setBusy(ticks: Int64) throws { try write("/proc/stat", "cpu  \(ticks) 0 0 0 0 0 0\ncpu0 1 0 0\ncpu1 1 0 0\nintr 0 ") }

    func setCgroup(_ path: String, usage: Int64) throws { try write("/cgroup\(path)/cpu.stat", "usage_usec \(usage)\nuser_usec 0\n") }

    func removeCgroup(_ path: String) throws { try FileManager.default.removeItem(atPath: root + "/cgroup" + path) }

    var roots: HostRoots { HostRoots(root: root, proc: root + "/proc", cgroup: root + "/cgroup") }

    func findSensors() throws -> HostSensors {
        let table = try CPUPowerTable.builtIn()
        return HostSensors.find(on: try SensorHost(roots: roots, clock: { Timestamp(microseconds: 0) }, powerTable: table))
    }

    func sampling(
        sensors: HostSensors? = nil,
        boot: String = "boot-a",
        resuming state: AgentState? = nil,
        clock: ClockReading,
        settings: SamplingSettings = SamplingSettings(),
        ownCPU: @escaping @Sendable () -> Microseconds = { .zero }
    ) throws -> Sampling {
        let base = TimeBase(bootID: boot, clock: clock, resuming: state)
        return try Sampling(
            sensors: try sensors ?? findSensors(),
            roots: roots,
            hierarchies: try CgroupHierarchy.find(roots: roots),
            settings: settings,
            timeBase: base,
            resumed: state,
            processCPUTime: ownCPU
        )
    }
}

extension String {
    /// Shorter contents must overwrite longer ones whole.
    fileprivate func padding(_ width: Int) -> String { self + String(repeating: "\n", count: max(0, width - utf8.count)) }
}

extension ClockReading {
    /// Seconds after a boot that began at 2026-01-01T00:00:00Z plus `start`.
    static func at(_ seconds: Double, start: Double = 0, suspended: Double = 0) -> ClockReading {
        let boottime = Microseconds(Int64((seconds * 1e6).rounded()))
        return ClockReading(
            boottime: boottime,
            monotonic: boottime - Microseconds(Int64(suspended * 1e6)),
            wall: Timestamp(microseconds: 1_767_225_600_000_000 + Int64(start * 1e6)) + boottime
        )
    }
}

extension Sealable {
    func announcement(_ name: String) -> WireCurveAnnouncement? {
        live.first { $0.name == name } ?? announcements.first { $0.name == name }
    }
    func ref(_ name: String) -> UInt32 { announcement(name)?.ref ?? 0 }
    func knots(_ name: String) -> [Knot] { columns.filter { $0.ref == ref(name) }.flatMap(\.knots) }
    func gaps(_ name: String) -> [WireGap] { gaps.filter { $0.ref == ref(name) } }
    func tail(_ name: String) -> WireTail? { tails.last { $0.ref == ref(name) } }
}

let package0 = "powercap/intel-rapl:0"
