/// What the name of a cloud's machine type tells by itself.
///
/// AWS: `m5n.2xlarge` is 2 x the family's `xlarge`. GCP: `n2-standard-8` has 8 vCPUs. Azure: `E16as v4` has 16 vCPUs, `E16-4as v4`
/// 4 on the place of 16; its family is the name without the numbers of its size.
struct CloudTypeName: Hashable {
    /// The same for every spelling.
    let key: String
    let family: String
    /// vCPUs by the name alone, where it tells them.
    let vcpus: Double?
    /// For AWS: the size in units of `xlarge`.
    let extraLarges: Double?

    init(_ text: String, of vendor: CloudVendor) {
        var name = text.lowercased().filter { !$0.isWhitespace || $0 == " " }
        switch vendor {
        case .aws:
            let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
            key = name
            family = parts.first ?? name
            vcpus = nil
            extraLarges = parts.count == 2 ? Self.extraLarges(parts[1]) : nil
        case .gcp:
            let parts = name.split(separator: "-").map(String.init)
            key = name
            family = parts.prefix(2).joined(separator: "-")
            vcpus = parts.count >= 3 ? parts.dropFirst(2).lazy.compactMap { Double($0) }.first : nil
            extraLarges = nil
        case .azure:
            if name.hasPrefix("standard_") { name.removeFirst("standard_".count) }
            name = String(name.map { $0 == "_" ? " " : $0 })
            key = name
            let size = name.split(separator: " ", maxSplits: 1).map(String.init)
            let first = size.first ?? ""
            let numbers = first.split(whereSeparator: { !$0.isNumber }).compactMap { Double($0) }
            // `DS12-1`: the number after the dash is what is switched on. Before the third version the first number counts sizes.
            let version = size.last?.split(separator: "v").last.flatMap { Int($0) } ?? 0
            vcpus = first.contains("-") ? numbers.last : version >= 3 ? numbers.first : nil
            family = ([first.filter { !$0.isNumber && $0 != "-" }] + size.dropFirst()).joined(separator: " ")
            extraLarges = nil
        }
    }

    private static func extraLarges(_ size: String) -> Double? {
        switch size {
        case "xlarge": return 1
        case "large": return 0.5
        default:
            guard size.hasSuffix("xlarge"), let count = Double(size.dropLast("xlarge".count)), count > 0 else { return nil }
            return count
        }
    }
}
