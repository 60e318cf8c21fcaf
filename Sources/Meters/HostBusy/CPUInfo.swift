/// Who made the processor, as far as the table of CPUs has its makers.
public enum CPUVendor: Hashable, Sendable {
    case amd, intel, ampere, raspberryPi, other

    /// The name of the maker in the table; nil for one it does not have.
    var makerInTable: String? {
        switch self {
        case .amd: "AMD"
        case .intel: "Intel"
        case .ampere: "Ampere"
        case .raspberryPi: "Raspberry Pi"
        case .other: nil
        }
    }
}

/// What `/proc/cpuinfo` says about the processor.
public struct CPUInfo: Hashable, Sendable {
    /// A name for people: `model name`, or a board's `Model` where there is none, or what the architecture gives instead, such as
    /// `POWER9 (8335-GTH)` or `ARM implementer 0x41 part 0xd0c`; empty where nothing is given.
    public var model: String
    public var vendor: CPUVendor
    /// Physical packages; at least 1.
    public var packages: Int
    /// CPUs listed (threads).
    public var cpus: Int

    public init(model: String, vendor: CPUVendor, packages: Int, cpus: Int) {
        self.model = model
        self.vendor = vendor
        self.packages = packages
        self.cpus = cpus
    }

    public init(roots: HostRoots) throws(SensorFault) {
        var (info, hasPackages) = Self.parse(try SensorText.read("\(roots.proc)/cpuinfo"))
        // Only x86 and s390x list their packages in cpuinfo.
        if !hasPackages, let packages = Self.packagesOfTopology(roots) { info.packages = packages }
        self = info
    }

    init(parsing text: String) { self = Self.parse(text).info }

    /// Architectures agree on the line `processor : 0` at most; the keys are those of `show_cpuinfo` in each one's kernel code.
    private static func parse(_ text: String) -> (info: CPUInfo, hasPackages: Bool) {
        /// Of each key its first value.
        var first: [Substring: Substring] = [:]
        var parts: [Substring] = []
        var packages: Set<Substring> = []
        var cpus = 0
        var machine: Substring?
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let key = trimmed(line[..<colon])
            let value = trimmed(line[line.index(after: colon)...])
            if first[key] == nil { first[key] = value }
            switch key {
            case "processor": cpus += 1
            case "CPU part": if !parts.contains(value) { parts.append(value) }
            case "physical id": packages.insert(value)
            case _ where key.hasPrefix("processor "):
                // s390x: `processor 0: version = FF,  identification = 2733E8,  machine = 2964`
                cpus += 1
                machine = machine ?? value.split(separator: ",").map(trimmed).first { $0.hasPrefix("machine = ") }?.dropFirst(10)
            default: break
            }
        }
        if cpus == 0, let count = first["# processors"].flatMap({ Int($0) }) { cpus = count }
        let board = first["Model"]
        let isRaspberryPi = board?.hasPrefix("Raspberry Pi") ?? false
        let name = (isRaspberryPi ? board : first["model name"] ?? board).map(String.init) ?? nameWithoutModel(first, parts, machine)
        let vendor: CPUVendor =
            switch (first["vendor_id"], first["CPU implementer"]) {
            case ("AuthenticAMD", _): .amd
            case ("GenuineIntel", _): .intel
            case _ where isRaspberryPi: .raspberryPi
            case (_, "0xc0"): .ampere
            case _ where name.hasPrefix("Ampere"): .ampere
            default: .other
            }
        let info = CPUInfo(model: name, vendor: vendor, packages: max(1, packages.count), cpus: max(1, cpus))
        return (info, !packages.isEmpty)
    }

    /// What to call a processor whose architecture has no `model name`.
    private static func nameWithoutModel(_ first: [Substring: Substring], _ parts: [Substring], _ machine: Substring?) -> String {
        if let implementer = first["CPU implementer"] {
            // Big and little cores are parts of their own.
            return parts.isEmpty ? "ARM implementer \(implementer)" : "ARM implementer \(implementer) part \(parts.joined(separator: ", "))"
        }
        if let cpu = first["cpu"] {
            // POWER: the processor, whatever it supports, and the machine that it is in.
            let board = (first["model"] ?? first["machine"]).map { " (\($0))" } ?? ""
            return "\(cpu.prefix { $0 != "," })\(board)"
        }
        if let vendor = first["vendor_id"], let machine { return "\(vendor) machine \(machine)" }
        if let core = first["uarch"] ?? first["isa"] { return "RISC-V \(core)" }
        return String(first["vendor_id"] ?? "")
    }

    /// How many packages the kernel's topology knows; nil where it says nothing. Firmware that does not tell leaves -1.
    private static func packagesOfTopology(_ roots: HostRoots) -> Int? {
        let directory = roots.path("/sys/devices/system/cpu")
        var packages: Set<Int> = []
        do throws(SensorFault) {
            for cpu in try SensorText.names(in: directory) where isCPU(cpu) {
                let path = "\(directory)/\(cpu)/topology/physical_package_id"
                // A CPU that is offline has no topology.
                do throws(SensorFault) {
                    if let id = Int(trimmed(try SensorText.read(path).prefix { $0 != "\n" })), id >= 0 { packages.insert(id) }
                } catch { continue }
            }
        } catch { return nil }
        return packages.isEmpty ? nil : packages.count
    }

    private static func isCPU(_ name: String) -> Bool {
        name.hasPrefix("cpu") && name.count > 3 && name.dropFirst(3).allSatisfy { $0.isASCII && $0.isNumber }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" || last == "\r" { text.removeLast() }
        return text
    }
}
