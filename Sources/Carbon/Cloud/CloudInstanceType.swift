public import Energy

/// A type of virtual machine as the tables know it.
public struct CloudInstanceType: Hashable, Sendable {
    public let vendor: CloudVendor
    /// As the tables spell it.
    public let name: String
    public let vcpus: Double
    /// The vCPUs whose place on the machine it takes: more than `vcpus` for a type with some of them switched off.
    public let reservedVCPUs: Double
    /// Of the machine it runs on; nil where nobody says.
    public let platformVCPUs: Double?
    /// As published, where that is wrong.
    public let platformVCPUsUpstream: Double?
    /// Several joined by `+`: the mean of their watts. `Average` where it is not known; empty where there are no watts.
    public let architecture: String
    /// Of making the whole machine.
    public let platformEmbodied: CO2e?
    public let memoryGigabytes: Double?
    /// Of the whole machine.
    public let platformGPUs: Double
    public let flags: [String]
    public let version: String
    /// Measured watts of the whole instance at utilisations in percent; none in the tables that are shipped.
    public let points: CubicSpline?

    static let columns = [
        "vendor", "type", "vcpus", "reserved_vcpus", "platform_vcpus", "platform_vcpus_upstream", "architecture", "platform_embodied_kg",
        "memory_gb", "platform_gpus", "flags", "version",
    ]

    /// Columns that a table of one's own may have: watts of the whole instance.
    static let pointColumns = [("w_idle", 0.0), ("w_10", 10.0), ("w_50", 50.0), ("w_100", 100.0)]

    init(_ row: FactorRows.Row) throws(FactorRows.Fault) {
        guard let vendor = CloudVendor(name: row.text("vendor")) else { throw row.fault("vendor", "aws, gcp or azure") }
        self.vendor = vendor
        name = try row.required("type")
        vcpus = try row.number("vcpus")
        guard vcpus > 0 else { throw row.fault("vcpus", "a number above 0") }
        reservedVCPUs = try row.optionalNumber("reserved_vcpus") ?? vcpus
        platformVCPUs = try row.optionalNumber("platform_vcpus")
        platformVCPUsUpstream = try row.optionalNumber("platform_vcpus_upstream")
        architecture = row.text("architecture")
        platformEmbodied = try row.optionalNumber("platform_embodied_kg").map { CO2e(kilograms: $0) }
        memoryGigabytes = try row.optionalNumber("memory_gb")
        platformGPUs = try row.optionalNumber("platform_gpus") ?? 0
        flags = row.text("flags").split(separator: ";").map(String.init)
        version = try row.required("version")
        var places: [Double] = []
        var watts: [Double] = []
        for (column, percent) in Self.pointColumns {
            guard let value = try row.optionalNumber(column) else { continue }
            places.append(percent)
            watts.append(value)
        }
        points = CubicSpline(x: places, y: watts)
    }

    /// The instance's part of its machine, 0...1; nil where the machine's vCPUs are not known.
    public var share: Double? {
        guard let platformVCPUs, platformVCPUs > 0 else { return nil }
        return min(1, reservedVCPUs / platformVCPUs)
    }
}

/// Watts per vCPU of an architecture at 0 % and 100 % utilisation; CPU only.
public struct ArchitectureWatts: Hashable, Sendable {
    public var least: Power
    public var most: Power

    public init(least: Power, most: Power) {
        self.least = least
        self.most = most
    }

    static func mean(_ all: [ArchitectureWatts]) -> ArchitectureWatts {
        ArchitectureWatts(
            least: Power(watts: all.map(\.least.watts).reduce(0, +) / Double(max(1, all.count))),
            most: Power(watts: all.map(\.most.watts).reduce(0, +) / Double(max(1, all.count)))
        )
    }
}
