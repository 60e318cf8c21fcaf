public import Energy

/// The terms that the Cloud Carbon Footprint application adds up for a bill's lines, each by itself: one can leave out what one
/// measures, and see what an estimate is made of.
///
/// Every term is IT energy; `PUE` is applied to it once, by `facility(_:pue:)`. `replication` is how many copies the provider
/// keeps of what is used, 1 or more. Coefficients: cloudcarbonfootprint.org, methodology, 2024.
public struct CloudUsage: Hashable, Sendable {
    public var compute: ITEnergy
    public var memory: ITEnergy
    public var storage: ITEnergy
    public var network: ITEnergy

    public init(compute: ITEnergy = .zero, memory: ITEnergy = .zero, storage: ITEnergy = .zero, network: ITEnergy = .zero) {
        self.compute = compute
        self.memory = memory
        self.storage = storage
        self.network = network
    }

    /// The operational terms together. What making the machines emitted is no energy and is never added here.
    public var total: ITEnergy { compute + memory + storage + network }

    /// Where a bill does not tell the utilisation.
    public static let assumedUtilisationPercent = 50.0
    /// kWh per GB and hour, from Crucial's and Micron's figures.
    public static let memoryKilowattHoursPerGigabyteHour = 0.000392
    /// kWh per GB over the network inside a provider's regions and between them.
    public static let networkKilowattHoursPerGigabyte = 0.001

    public enum Medium: Hashable, Sendable {
        case ssd, hdd

        /// W per TB.
        public var wattsPerTerabyte: Double {
            switch self {
            case .ssd: 1.2
            case .hdd: 0.65
            }
        }
    }

    /// vCPU hours between least and most watts per vCPU; `meanWatts`, where it is measured, instead of both.
    public static func compute(
        vcpuHours: Double,
        watts: ArchitectureWatts,
        utilisationPercent: Double? = nil,
        meanWatts: Power? = nil,
        replication: Double = 1
    ) -> ITEnergy {
        let share = (utilisationPercent ?? assumedUtilisationPercent) / 100
        let power = meanWatts?.watts ?? watts.least.watts + share * (watts.most.watts - watts.least.watts)
        return ITEnergy(kilowattHours: power * vcpuHours * replication / 1_000)
    }

    /// Memory beyond what the processors' watts include, as the results they come from were measured with some.
    public static func memory(gigabytes: Double, included: Double, hours: Double, replication: Double = 1) -> ITEnergy {
        ITEnergy(kilowattHours: max(0, gigabytes - included) * hours * memoryKilowattHoursPerGigabyteHour * replication)
    }

    public static func storage(terabyteHours: Double, on medium: Medium, replication: Double = 1) -> ITEnergy {
        ITEnergy(kilowattHours: terabyteHours * medium.wattsPerTerabyte * replication / 1_000)
    }

    public static func network(gigabytes: Double) -> ITEnergy {
        ITEnergy(kilowattHours: gigabytes * networkKilowattHoursPerGigabyte)
    }

    /// The application's part of making a machine: `machine * hours/lifetime * vCPUs/vCPUs of the largest of the family`.
    ///
    /// The application divides this by the grid's intensity and adds the quotient to its energy; here it stays a mass.
    public static func embodied(
        machine: CO2e,
        hours: Double,
        vcpus: Double,
        largestVCPUs: Double,
        lifetimeHours: Double = CCFModel.defaultLifetimeYears * CCFModel.hoursPerYear
    ) -> CO2e {
        guard largestVCPUs > 0, lifetimeHours > 0 else { return .zero }
        return machine * (hours / lifetimeHours) * min(1, vcpus / largestVCPUs)
    }
}
