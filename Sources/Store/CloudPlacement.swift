public import Documents

/// Where and what a machine in a cloud is, as far as somebody said: a job, a host's record or a host class.
public struct CloudPlacement: Sendable, Hashable {
    /// `aws`, in lower case.
    public var vendor: String?
    /// `eu-west-2`, as the vendor calls it.
    public var region: String?
    /// `m5n.large`, as the vendor calls it.
    public var instanceType: String?
    /// For a type that no table has and whose name does not tell.
    public var vcpus: Double?

    /// What is wrong with it, by the field.
    public struct Fault: Error, Hashable, CustomStringConvertible {
        public let field: String
        public let expected: String
        public let found: String

        public var description: String { "field \(field): expected \(expected), found \(found)" }
    }

    public static let vcpuRange = 0.1...100_000.0
    private static let longestName = 200

    /// - Parameter value: an object of `vendor`, `region`, `instance_type` and `vcpus`; numbers may be texts.
    /// - Throws: `Fault`: for another field, a region or a type without its vendor, and nothing at all.
    public init(_ value: JSONValue) throws(Fault) {
        guard let fields = value.object else { throw Fault(field: "cloud", expected: Self.expected, found: value.described) }
        func text(_ name: String) throws(Fault) -> String? {
            guard let value = fields[name] else { return nil }
            guard let text = value.string, (1...Self.longestName).contains(text.utf8.count), !text.utf8.contains(0) else {
                throw Fault(field: "cloud.\(name)", expected: "a text of 1 to \(Self.longestName) bytes", found: value.described)
            }
            return text
        }
        if let other = fields.keys.sorted().first(where: { !["vendor", "region", "instance_type", "vcpus"].contains($0) }) {
            throw Fault(field: "cloud.\(other)", expected: Self.expected, found: "a field of another name")
        }
        vendor = try text("vendor")?.lowercased()
        region = try text("region")
        instanceType = try text("instance_type")
        if let value = fields["vcpus"] {
            guard let number = value.double ?? value.string.flatMap({ Double($0) }), Self.vcpuRange.contains(number) else {
                let range = "a number from \(Self.vcpuRange.lowerBound) to \(Self.vcpuRange.upperBound)"
                throw Fault(field: "cloud.vcpus", expected: range, found: value.described)
            }
            vcpus = number
        }
        guard vendor != nil else {
            throw Fault(field: "cloud.vendor", expected: "aws, gcp or azure: the same names mean other things elsewhere", found: "nothing")
        }
        guard region != nil || instanceType != nil else {
            throw Fault(field: "cloud", expected: "region, instance_type or both beside the vendor", found: "neither")
        }
    }

    private static let expected = "vendor, region, instance_type, vcpus"
}
