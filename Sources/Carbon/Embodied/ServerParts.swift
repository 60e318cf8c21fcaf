/// What a server is made of, as far as somebody wrote it down. What is not known is nil, and widens the limits.
public struct ServerParts: Hashable, Sendable {
    public struct Processors: Hashable, Sendable {
        public var count: Int
        /// Of one package, mm², all of its dies together.
        public var dieSquareMillimetres: Double?
        /// `Cascade Lake`, as the table of dies has it; see `CPUModelFamilies`.
        public var architecture: String?
        /// Of one package.
        public var cores: Int?

        public init(count: Int, dieSquareMillimetres: Double? = nil, architecture: String? = nil, cores: Int? = nil) {
            self.count = count
            self.dieSquareMillimetres = dieSquareMillimetres
            self.architecture = architecture
            self.cores = cores
        }
    }

    public struct MemoryModules: Hashable, Sendable {
        public var count: Int
        /// Of one module.
        public var gigabytes: Double
        /// Of the process it is made in, GB per cm² of die.
        public var gigabytesPerSquareCentimetre: Double?

        public init(count: Int, gigabytes: Double, gigabytesPerSquareCentimetre: Double? = nil) {
            self.count = count
            self.gigabytes = gigabytes
            self.gigabytesPerSquareCentimetre = gigabytesPerSquareCentimetre
        }
    }

    public enum Drives: Hashable, Sendable {
        /// `gigabytes` of one drive.
        case ssd(count: Int, gigabytes: Double, gigabytesPerSquareCentimetre: Double? = nil)
        /// The same whatever it holds.
        case hdd(count: Int)
    }

    public struct PowerSupplies: Hashable, Sendable {
        public var count: Int
        /// Of one.
        public var kilograms: Double?

        public init(count: Int, kilograms: Double? = nil) {
            self.count = count
            self.kilograms = kilograms
        }
    }

    public struct GPUs: Hashable, Sendable {
        public var count: Int
        /// As the table has it; another one, or nil, is taken for any GPU.
        public var model: String?

        public init(count: Int, model: String? = nil) {
            self.count = count
            self.model = model
        }
    }

    public enum Enclosure: String, Hashable, Sendable, CaseIterable {
        case rack
        /// Of sixteen in a chassis, a part of which is in the figure.
        case blade
    }

    public var processors: Processors
    public var memory: [MemoryModules]
    public var drives: [Drives]
    public var supplies: PowerSupplies
    public var gpus: [GPUs]
    /// Nil: a rack server, with the blade's figure as the other limit.
    public var enclosure: Enclosure?

    public init(
        processors: Processors,
        memory: [MemoryModules],
        drives: [Drives] = [],
        supplies: PowerSupplies = PowerSupplies(count: 2),
        gpus: [GPUs] = [],
        enclosure: Enclosure? = nil
    ) {
        self.processors = processors
        self.memory = memory
        self.drives = drives
        self.supplies = supplies
        self.gpus = gpus
        self.enclosure = enclosure
    }
}
