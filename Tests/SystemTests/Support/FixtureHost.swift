import Foundation

/// A machine made of files: two packages with memory under powercap, and a /proc of its own. Invented, in the kernel's forms.
struct FixtureHost {
    let scratch: Scratch
    var root: String { scratch.path + "/root" }
    var proc: String { scratch.path + "/proc" }

    static let packageRange: Int64 = 262_143_328_850
    static let dramRange: Int64 = 65_712_999_613
    static let cpus = 4

    /// Raw counters by zone: `0` and `1` are packages, `0:0` and `1:0` their memory.
    private(set) var raw: [String: Int64]
    private var busyTicks: Int64 = 1_000

    init(_ scratch: Scratch, raw: [String: Int64]) throws {
        self.scratch = scratch
        self.raw = raw
        for (zone, name, range) in [
            ("0", "package-0", Self.packageRange), ("1", "package-1", Self.packageRange), ("0:0", "dram", Self.dramRange),
            ("1:0", "dram", Self.dramRange),
        ] {
            let directory = directory(zone)
            _ = try scratch.file("root/\(directory)/name", name + "\n")
            _ = try scratch.file("root/\(directory)/max_energy_range_uj", "\(range)\n")
            _ = try scratch.file("root/\(directory)/enabled", "1\n")
            // As in sysfs: the class folder holds links into the device tree.
            let link = scratch.url.appendingPathComponent("root/sys/class/powercap/intel-rapl:\(zone)")
            try FileManager.default.createDirectory(at: link.deletingLastPathComponent(), withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: link.path,
                withDestinationPath: "../../" + directory.dropFirst("sys/".count)
            )
        }
        _ = try scratch.file("proc/cpuinfo", (0..<Self.cpus).map(Self.cpuInfo).joined())
        _ = try scratch.file("proc/meminfo", "MemTotal:       65536000 kB\nMemFree:        60000000 kB\nMemAvailable:   61000000 kB\n")
        _ = try scratch.file("proc/sys/kernel/random/boot_id", "8f1c2d3e-4b5a-6978-8796-a5b4c3d2e1f0\n")
        _ = try scratch.file("proc/mounts", "sysfs /sys sysfs rw 0 0\n")
        try write()
    }

    private func directory(_ zone: String) -> String {
        let parts = zone.split(separator: ":")
        let package = "sys/devices/virtual/powercap/intel-rapl/intel-rapl:\(parts[0])"
        return parts.count == 1 ? package : package + "/intel-rapl:\(zone)"
    }

    private static func cpuInfo(_ cpu: Int) -> String {
        """
        processor\t: \(cpu)
        vendor_id\t: GenuineIntel
        cpu family\t: 6
        model\t\t: 79
        model name\t: Intel(R) Xeon(R) CPU E5-2650 v4 @ 2.20GHz
        physical id\t: \(cpu / 2)
        siblings\t: 2
        core id\t\t: \(cpu % 2)
        cpu cores\t: 2


        """
    }

    /// Adds energy, in µJ by zone, and busy time; counters wrap as the hardware's do.
    mutating func spend(_ microjoules: [String: Int64], busyTicks ticks: Int64) throws {
        for (zone, amount) in microjoules {
            let range = zone.contains(":") ? Self.dramRange : Self.packageRange
            // The register has 32 bits of a unit; powercap shows the largest value, one unit less than the modulus.
            let modulus = range + Int64((Double(range) / 4_294_967_295).rounded())
            raw[zone] = (raw[zone]! + amount) % modulus
        }
        busyTicks += ticks
        try write()
    }

    private func write() throws {
        for (zone, value) in raw { _ = try scratch.file("root/\(directory(zone))/energy_uj", "\(value)\n") }
        let perCPU = (0..<Self.cpus).map { "cpu\($0) \(busyTicks / Int64(Self.cpus)) 0 0 900000 0 0 0 0 0 0\n" }.joined()
        _ = try scratch.file("proc/stat", "cpu  \(busyTicks) 0 0 3600000 0 0 0 0 0 0\n\(perCPU)ctxt 1\nbtime 1700000000\n")
    }
}
