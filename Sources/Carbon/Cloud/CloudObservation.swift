/// What is known of a virtual machine in a cloud over a time: what the CCF model starts from.
public struct CloudObservation: Hashable, Sendable {
    /// How watts follow from utilisation.
    public enum Curve: String, Hashable, Sendable, CaseIterable {
        /// A line from the architecture's least to its most watts per vCPU; CPU only.
        case linear
        /// A natural cubic through four measured points; the whole instance. Not comparable with `linear`.
        case spline
    }

    public var vendor: CloudVendor
    /// As the vendor names it: `m5n.large`, `n2-standard-2`, `D2 v4` or `Standard_D2_v4`.
    public var instanceType: String
    public var durationSeconds: Double
    /// Mean CPU utilisation in percent, 0...100.
    public var utilisationPercent: Double
    public var curve: Curve
    /// How long the machine is in use before it is replaced.
    public var lifetimeYears: Double
    /// For types that the tables lack: how many vCPUs the machine has, where its name does not tell.
    public var vcpus: Double?

    public init(
        vendor: CloudVendor,
        instanceType: String,
        durationSeconds: Double,
        utilisationPercent: Double,
        curve: Curve = .linear,
        lifetimeYears: Double = CCFModel.defaultLifetimeYears,
        vcpus: Double? = nil
    ) {
        self.vendor = vendor
        self.instanceType = instanceType
        self.durationSeconds = durationSeconds
        self.utilisationPercent = utilisationPercent
        self.curve = curve
        self.lifetimeYears = lifetimeYears
        self.vcpus = vcpus
    }
}
