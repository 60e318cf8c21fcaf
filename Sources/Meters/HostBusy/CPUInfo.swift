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
    /// `model name`, or a board's `Model` where there is none; empty where neither is given.
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

    public init(roots: HostRoots) throws(SensorFault) { self.init(parsing: try SensorText.read("\(roots.proc)/cpuinfo")) }

    init(parsing text: String) {
        var modelName: Substring?
        var board: Substring?
        var vendorID: Substring?
        var implementer: Substring?
        var packages: Set<Substring> = []
        var cpus = 0
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let key = CPUInfo.trimmed(line[..<colon])
            let value = CPUInfo.trimmed(line[line.index(after: colon)...])
            switch key {
            case "processor": cpus += 1
            case "model name": modelName = modelName ?? value
            case "Model": board = value
            case "vendor_id": vendorID = vendorID ?? value
            case "CPU implementer": implementer = implementer ?? value
            case "physical id": packages.insert(value)
            default: break
            }
        }
        let isRaspberryPi = board?.hasPrefix("Raspberry Pi") ?? false
        self.model = String((isRaspberryPi ? board : modelName ?? board) ?? "")
        self.packages = max(1, packages.count)
        self.cpus = max(1, cpus)
        self.vendor =
            switch (vendorID, implementer) {
            case ("AuthenticAMD", _): .amd
            case ("GenuineIntel", _): .intel
            case _ where isRaspberryPi: .raspberryPi
            case (_, "0xc0"): .ampere
            case _ where model.hasPrefix("Ampere"): .ampere
            default: .other
            }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" || last == "\r" { text.removeLast() }
        return text
    }
}
