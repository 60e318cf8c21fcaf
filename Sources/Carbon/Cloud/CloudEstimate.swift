public import Energy

/// How well the tables know the machine that an estimate is for.
public enum CloudMatch: String, Hashable, Sendable, CaseIterable {
    /// The type itself, of an architecture that is known.
    case exact
    /// Other sizes of its family.
    case family
    /// The mean of the vendor's architectures.
    case average
}

/// What the CCF model says of an observation.
public struct CloudEstimate: Hashable, Sendable {
    /// What the energy is of.
    public enum Boundary: String, Hashable, Sendable {
        /// The processor alone, without memory, disks, GPUs, network and building.
        case cpu
        /// The whole instance: processor, memory and its part of the rest of the machine; without the building.
        case instance
    }

    /// The instance's part of making its machine, or why there is none.
    public enum Embodied: Hashable, Sendable {
        case mass(CO2e)
        case unknown(reason: String)

        public var mass: CO2e? {
            if case .mass(let mass) = self { mass } else { nil }
        }

        public var reason: String? {
            if case .unknown(let reason) = self { reason } else { nil }
        }
    }

    /// What of the answer is not as asked or not as published, by a stable word for programs.
    public struct Note: Hashable, Sendable {
        public var code: String
        public var text: String

        public init(code: String, text: String) {
            self.code = code
            self.text = text
        }
    }

    /// IT energy: PUE is not in it.
    public var energy: ITEnergy
    /// Limits on purpose wide, as those of CI machines: half the least and twice the most power that the machine is taken to be able to
    /// have, for the whole duration. Where only the vendor's mean is known, of all its architectures.
    public var energyLow: ITEnergy
    public var energyHigh: ITEnergy
    public var power: Power
    public var boundary: Boundary
    public var embodied: Embodied
    public var match: CloudMatch
    /// The architecture whose watts were used, several joined by `+`, or `Average`.
    public var architecture: String
    public var vcpus: Double
    /// The instance's part of its machine's vCPUs, 0...1; nil where it is not known.
    public var share: Double?
    /// Which version of the tables.
    public var version: String
    public var notes: [Note]

    public init(
        energy: ITEnergy,
        energyLow: ITEnergy,
        energyHigh: ITEnergy,
        power: Power,
        boundary: Boundary,
        embodied: Embodied,
        match: CloudMatch,
        architecture: String,
        vcpus: Double,
        share: Double?,
        version: String,
        notes: [Note]
    ) {
        self.energy = energy
        self.energyLow = energyLow
        self.energyHigh = energyHigh
        self.power = power
        self.boundary = boundary
        self.embodied = embodied
        self.match = match
        self.architecture = architecture
        self.vcpus = vcpus
        self.share = share
        self.version = version
        self.notes = notes
    }
}
