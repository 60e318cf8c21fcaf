/// Why the CCF model has no answer to an observation.
public enum CloudModelError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A number outside its range.
    case outOfRange(Field, found: Double, expected: String)
    /// Neither the type nor its size is known, so its vCPUs are not.
    case unknownSize(vendor: CloudVendor, type: String)
    /// Only under the upstream rules: there, a type that is not in the tables is an error.
    case unknownType(vendor: CloudVendor, type: String)
    /// The tables have no watts for it: an accelerator host or a desktop machine.
    case noPower(vendor: CloudVendor, type: String)
    /// No measured points for the type.
    case noPoints(vendor: CloudVendor, type: String)
    /// Only under the upstream rules: there, the answer is NaN.
    case notANumberUpstream(type: String)

    public enum Field: String, Hashable, Sendable {
        case utilisation, duration, lifetime, vcpus
    }

    public var description: String {
        switch self {
        case .outOfRange(let field, let found, let expected):
            "\(field.rawValue): expected \(expected), found \(found)"
        case .unknownSize(let vendor, let type):
            """
            instance type: expected a type of \(vendor.rawValue) that the tables have, or the number of its vCPUs beside it, \
            found \(type) without; give the vCPUs
            """
        case .unknownType(_, let type): "CloudCarbonFootprint: Instance type \(type) is not supported."
        case .noPower(let vendor, let type):
            "instance type: expected one with watts in the tables, found \(vendor.rawValue) \(type), for which nobody publishes any"
        case .noPoints(let vendor, let type):
            """
            interpolation: expected linear, found spline: there are no measured points for \(vendor.rawValue) \(type) in the tables; \
            ask for linear, or add your own points
            """
        case .notANumberUpstream(let type):
            "the published model answers NaN for \(type), whose watts it joins as texts; ask without the upstream rules"
        }
    }
}
