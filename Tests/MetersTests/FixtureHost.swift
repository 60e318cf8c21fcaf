import Energy
import FoundationEssentials
import Glibc
import Meters
import TestSupport

/// A machine's kernel files in a temporary directory, removed with the object.
final class FixtureHost {
    let root: String
    /// The `errno` of files that cannot be opened, by whole path; for tests that run as root, to whom every file opens.
    var faults: [String: Int32] = [:]

    /// A machine of the corpus.
    convenience init(_ machine: MachineArchive) throws {
        try self.init()
        faults = try machine.unpack(below: root)
    }

    init() throws {
        root = FileManager.default.temporaryDirectory.path + "/wattle-host-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    }

    deinit {
        do { try FileManager.default.removeItem(atPath: root) } catch { print("left behind: \(root): \(error)") }
    }

    var roots: HostRoots { HostRoots(root: root, proc: root + "/proc") }

    var files: FaultyFiles { FaultyFiles(faults: faults) }

    /// What sensors are given of this machine.
    func sensorHost(options: [String: String] = [:], packageIdle: Power? = nil) throws -> SensorHost {
        try SensorHost(
            roots: roots,
            files: files,
            options: options,
            clock: { Timestamp(microseconds: 0) },
            powerTable: try CPUPowerTable.builtIn(),
            packageIdle: packageIdle
        )
    }

    func find(options: [String: String] = [:], packageIdle: Power? = nil) throws -> HostSensors {
        HostSensors.find(on: try sensorHost(options: options, packageIdle: packageIdle))
    }

    func write(_ path: String, _ text: String) throws {
        let full = root + path
        let directory = full[..<(full.lastIndex(of: "/") ?? full.endIndex)]
        try FileManager.default.createDirectory(atPath: String(directory), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: full))
    }

    func link(_ path: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: root + path, withDestinationPath: target)
    }

    /// A zone as the kernel lays it out: the directory below /sys/devices, and a link to it in /sys/class/powercap.
    func addZone(
        _ name: String,
        label: String,
        energy: Int64? = 1_000,
        range: Int64 = 262_143_328_850,
        maximumPower: Int64? = nil,
        powerLimits: [Int64] = []
    ) throws {
        let type = name.split(separator: ":")[0]
        let device = "/sys/devices/virtual/powercap/\(type)/\(name)"
        try write("\(device)/name", label + "\n")
        try write("\(device)/max_energy_range_uj", "\(range)\n")
        if let energy { try write("\(device)/energy_uj", "\(energy)\n") }
        if let maximumPower { try write("\(device)/constraint_0_max_power_uw", "\(maximumPower)\n") }
        for (i, limit) in powerLimits.enumerated() { try write("\(device)/constraint_\(i)_power_limit_uw", "\(limit)\n") }
        try FileManager.default.createDirectory(atPath: root + "/sys/class/powercap", withIntermediateDirectories: true)
        try link("/sys/class/powercap/\(name)", to: "../../devices/virtual/powercap/\(type)/\(name)")
    }

    func setEnergy(_ name: String, _ energy: Int64) throws {
        try write("/sys/devices/virtual/powercap/\(name.split(separator: ":")[0])/\(name)/energy_uj", "\(energy)\n")
    }

    /// One package of an AMD processor that the table knows, or another model.
    func addProcessor(
        model: String = "AMD EPYC 7763 64-Core Processor",
        vendor: String = "AuthenticAMD",
        cpus: Int = 2,
        busyTicks: Int64 = 0
    ) throws {
        let blocks = (0..<cpus).map { "processor\t: \($0)\nvendor_id\t: \(vendor)\nmodel name\t: \(model)\nphysical id\t: 0\n" }
        try write("/proc/cpuinfo", blocks.joined(separator: "\n"))
        try setBusy(ticks: busyTicks, cpus: cpus)
    }

    func setBusy(ticks: Int64, cpus: Int = 2) throws {
        let lines = (0..<cpus).map { "cpu\($0) 1 0 0 9 0 0 0 0 0 0\n" }.joined()
        try write("/proc/stat", "cpu  \(ticks) 0 0 99999 7 0 0 0 0 0\n\(lines)intr 12345 0 0\nctxt 1\n")
    }
}

extension MachineArchive {
    /// The corpus beside this file.
    static func all() throws -> [MachineArchive] {
        try all(in: "\(#filePath.prefix(upTo: #filePath.lastIndex(of: "/") ?? #filePath.endIndex))/Machines")
    }
}

/// Opens files, except for some that answer with an error instead.
struct FaultyFiles: FileOpening {
    var faults: [String: Int32]

    func open(_ path: String) throws(SensorFault) -> Int32 {
        // A link of /sys/class/powercap leads to the file in /sys/devices.
        let fault =
            faults[path]
            ?? realpath(path, nil).flatMap { resolved -> Int32? in
                defer { free(resolved) }
                return faults[String(cString: resolved)]
            }
        if let fault { throw SensorFault(path: path, errno: fault) }
        return try DirectFiles().open(path)
    }
}
