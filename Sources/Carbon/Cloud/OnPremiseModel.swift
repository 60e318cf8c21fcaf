public import Energy

/// The Cloud Carbon Footprint application's model of a machine of one's own: watts of a whole server of the processor's
/// architecture, whatever its cores. Too high for small machines.
public struct OnPremiseModel: Sendable {
    /// What the application assumes where a row does not tell.
    public static let assumedPUE = PUE(1.58)
    public static let average = "Average"

    /// A machine's time, by the columns of the application's CSV.
    public struct Machine: Hashable, Sendable {
        public var cpuDescription: String
        public var memoryGigabytes: Double
        public var utilisationPercent: Double?
        public var pue: PUE?
        /// Measured, instead of what follows from architecture and utilisation.
        public var meanPower: Power?

        public init(
            cpuDescription: String,
            memoryGigabytes: Double,
            utilisationPercent: Double? = nil,
            pue: PUE? = nil,
            meanPower: Power? = nil
        ) {
            self.cpuDescription = cpuDescription
            self.memoryGigabytes = memoryGigabytes
            self.utilisationPercent = utilisationPercent
            self.pue = pue
            self.meanPower = meanPower
        }
    }

    public struct Estimate: Hashable, Sendable {
        public var compute: ITEnergy
        public var memory: ITEnergy
        public var facility: FacilityEnergy
        /// Of whose servers the watts are, or `Average` over all.
        public var architecture: String
        public var match: CloudMatch
        /// Which of utilisation and PUE were not given and are assumed.
        public var assumed: [String]
    }

    private struct Server {
        var watts: ArchitectureWatts
        var includedGigabytes: Double
    }

    private let servers: [String: Server]
    private let mean: Server
    private let families: CPUModelFamilies

    /// - Parameters:
    ///   - architectures: the columns of `cpu_architectures.csv`; its rows of scope `server`, and among them `Average`.
    ///   - families: of which architecture a processor is.
    public init(architectures: FactorRows, families: CPUModelFamilies) throws(FactorRows.Fault) {
        var servers: [String: Server] = [:]
        for row in try architectures.needing(["scope", "architecture", "least_w", "most_w", "gb_per_chip"])
        where row.text("scope") == "server" {
            servers[try row.required("architecture")] = Server(
                watts: ArchitectureWatts(
                    least: Power(watts: try row.number("least_w")),
                    most: Power(watts: try row.number("most_w"))
                ),
                includedGigabytes: try row.number("gb_per_chip")
            )
        }
        guard let mean = servers.removeValue(forKey: Self.average) else {
            throw FactorRows.Fault(table: architectures.name, row: nil, column: "server Average", expected: "a row", found: "")
        }
        self.servers = servers
        self.mean = mean
        self.families = families
    }

    /// Energy over hours in which the machine was up.
    public func estimate(_ machine: Machine, hours: Double) -> Estimate {
        let architecture = families.architecture(of: machine.cpuDescription).flatMap { servers[$0] == nil ? nil : $0 }
        let server = architecture.flatMap { servers[$0] } ?? mean
        let compute = CloudUsage.compute(
            vcpuHours: hours,
            watts: server.watts,
            utilisationPercent: machine.utilisationPercent,
            meanWatts: machine.meanPower
        )
        let memory = CloudUsage.memory(gigabytes: machine.memoryGigabytes, included: server.includedGigabytes, hours: hours)
        var assumed: [String] = []
        if machine.utilisationPercent == nil, machine.meanPower == nil { assumed.append("utilisation") }
        if machine.pue == nil { assumed.append("pue") }
        return Estimate(
            compute: compute,
            memory: memory,
            facility: (machine.pue ?? Self.assumedPUE ?? .none).facility(of: compute + memory),
            architecture: architecture ?? Self.average,
            match: architecture == nil ? .average : .family,
            assumed: assumed
        )
    }
}
