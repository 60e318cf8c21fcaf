import Energy

/// The tables of types and architectures that the CCF model looks a machine up in.
public struct CloudCatalogue: Sendable {
    /// The published plugin's own tables first, then what was published since.
    public static let defaultVersions = ["ccf-2023", "ccf-2026"]
    public static let average = "Average"

    private struct ArchitectureKey: Hashable {
        var version: String
        var vendor: CloudVendor
        var name: String
    }

    /// Those that the tables have, the preferred first.
    public let versions: [String]
    private let types: [CloudVendor: [String: [CloudInstanceType]]]
    private let families: [CloudVendor: [String: [CloudInstanceType]]]
    private let architectures: [ArchitectureKey: ArchitectureWatts]

    /// - Parameters:
    ///   - instances: the columns of `cloud_instances.csv`, and `w_idle, w_10, w_50, w_100` where one has measured points.
    ///   - architectures: the columns of `cpu_architectures.csv`; its rows of scope `vcpu`.
    /// - Throws: `FactorRows.Fault` with the row and the column.
    public init(instances: FactorRows, architectures: FactorRows) throws(FactorRows.Fault) {
        var types: [CloudVendor: [String: [CloudInstanceType]]] = [:]
        var families = types
        for row in try instances.needing(CloudInstanceType.columns) {
            let type = try CloudInstanceType(row)
            let name = CloudTypeName(type.name, of: type.vendor)
            types[type.vendor, default: [:]][name.key, default: []].append(type)
            families[type.vendor, default: [:]][name.family, default: []].append(type)
        }
        self.types = types
        self.families = families
        var watts: [ArchitectureKey: ArchitectureWatts] = [:]
        for row in try architectures.needing(["scope", "vendor", "architecture", "least_w", "most_w", "version"])
        where row.text("scope") == "vcpu" {
            guard let vendor = CloudVendor(name: row.text("vendor")) else { throw row.fault("vendor", "aws, gcp or azure") }
            let key = ArchitectureKey(version: try row.required("version"), vendor: vendor, name: try row.required("architecture"))
            watts[key] = ArchitectureWatts(
                least: Power(watts: try row.number("least_w")),
                most: Power(watts: try row.number("most_w"))
            )
        }
        self.architectures = watts
        let found = Set(watts.keys.map(\.version))
        versions = Self.defaultVersions.filter { found.contains($0) } + found.subtracting(Self.defaultVersions).sorted()
    }

    /// The versions with one of them before the others; nil where the tables do not have it.
    public func versions(preferring version: String) -> [String]? {
        versions.contains(version) ? [version] + versions.filter { $0 != version } : nil
    }

    /// A type in the first of the versions that has it. Case, `Standard_` and underscores do not matter.
    public func type(_ name: String, of vendor: CloudVendor, versions: [String] = defaultVersions) -> CloudInstanceType? {
        let found = types[vendor]?[CloudTypeName(name, of: vendor).key] ?? []
        return Self.first(of: found, versions) { _ in true }
    }

    /// The types of a name's family in the first of the versions that has any of them with watts.
    func family(of name: CloudTypeName, _ vendor: CloudVendor, versions: [String]) -> [CloudInstanceType] {
        let found = (families[vendor]?[name.family] ?? []).filter { !$0.architecture.isEmpty && $0.architecture != Self.average }
        guard let version = versions.first(where: { version in found.contains { $0.version == version } }) else { return [] }
        return found.filter { $0.version == version }
    }

    /// The watts of an architecture, or the mean of those joined by `+`; nil where one has none.
    public func watts(_ architecture: String, of vendor: CloudVendor, version: String) -> ArchitectureWatts? {
        let all = parts(architecture, of: vendor, version: version)
        return all.isEmpty ? nil : .mean(all)
    }

    /// The watts of each architecture of those joined by `+`; none where one has none.
    func parts(_ architecture: String, of vendor: CloudVendor, version: String) -> [ArchitectureWatts] {
        var all: [ArchitectureWatts] = []
        for name in architecture.split(separator: "+") {
            guard let watts = architectures[ArchitectureKey(version: version, vendor: vendor, name: String(name))] else { return [] }
            all.append(watts)
        }
        return all
    }

    /// All architectures of a vendor.
    func architectures(of vendor: CloudVendor, version: String) -> [ArchitectureWatts] {
        architectures.filter { $0.key.vendor == vendor && $0.key.version == version }.map(\.value)
    }

    private static func first(
        of found: [CloudInstanceType],
        _ versions: [String],
        where holds: (CloudInstanceType) -> Bool
    ) -> CloudInstanceType? {
        for version in versions {
            if let type = found.first(where: { $0.version == version && holds($0) }) { return type }
        }
        return nil
    }
}
