import Carbon
import Energy
import Store

/// What a job on a machine that nobody can meter is thought to have used: always `modelled`, never part of any host's accounts.
enum HostedModel {
    /// The account in which such energy stands.
    static let account = "hosted"

    /// With the limits that no mean power is thought to lie outside.
    struct Figures {
        /// The machines' energy: the building's is not in it.
        var low: ITEnergy
        var best: ITEnergy
        var high: ITEnergy
        /// The job's part of making the machine.
        var embodied: Result<CO2eRange, HostedMachine.Missing>
        /// Nil where the class's own watts were used.
        var cloud: HostedCloud?
    }

    /// What the CCF model says of making a machine has no limits of its own: half and twice, as for its watts.
    static let embodiedFactor = 2.0

    /// - Parameter cpuTime: as the job posted it; without it the class's usual utilisation counts, 50 % where nobody says any.
    static func figures(
        of machine: HostedMachine,
        duration: Microseconds,
        cpuTime: Microseconds?,
        _ model: CCFModel
    ) throws(HostedMachine.Missing) -> Figures {
        switch try machine.kind.get() {
        case .watts(let watts):
            let energy = energy(watts, utilisation: machine.utilisation, duration: duration, cpuTime: cpuTime)
            func share(_ energy: Energy) -> ITEnergy { ITEnergy(kilowattHours: energy.kilowattHours * machine.share) }
            return Figures(
                low: share(energy.low),
                best: share(energy.best),
                high: share(energy.high),
                embodied: .failure(.noEmbodied),
                cloud: nil
            )
        case .cloud(let cloud): return try figures(of: machine, cloud, duration: duration, cpuTime: cpuTime, model)
        }
    }

    /// Idle power for as long as the job took, and on top the rest of the class's power for the part of its vCPUs' time that the job used.
    ///
    /// The limits are those of the class: no mean power is thought to lie outside.
    static func energy(_ watts: HostClass.Watts, utilisation: Double, duration: Microseconds, cpuTime: Microseconds?) -> (
        low: Energy, best: Energy, high: Energy
    ) {
        let duration = max(.zero, duration)
        let utilisation = part(cpuTime, of: watts.vcpus, over: duration) ?? utilisation
        let power = Power(watts: watts.idle.watts + (watts.maximum.watts - watts.idle.watts) * utilisation)
        func energy(_ power: Power) -> Energy { Energy(rounding: power.microjoules(over: duration)) }
        return (energy(watts.low), energy(power), energy(watts.high))
    }

    private static func figures(
        of machine: HostedMachine,
        _ cloud: CloudPlacement,
        duration: Microseconds,
        cpuTime: Microseconds?,
        _ model: CCFModel
    ) throws(HostedMachine.Missing) -> Figures {
        guard let vendor = cloud.vendor.flatMap(CloudVendor.init(name:)), let type = cloud.instanceType else { throw .vendorUnknown }
        var observation = CloudObservation(
            vendor: vendor,
            instanceType: type,
            durationSeconds: max(0, duration.seconds),
            utilisationPercent: machine.utilisation * 100,
            vcpus: cloud.vcpus
        )
        let estimate: CloudEstimate
        let used: Double?
        do throws(CloudModelError) {
            // How many vCPUs there are the tables tell; only then is known what part of their time the job used.
            let first = try model.estimate(observation)
            used = part(cpuTime, of: first.vcpus * machine.share, over: duration)
            if let used { observation.utilisationPercent = used * 100 }
            estimate = try used == nil ? first : model.estimate(observation)
        } catch {
            throw .typeUnknown
        }
        func share(_ energy: ITEnergy) -> ITEnergy { ITEnergy(kilowattHours: energy.kilowattHours * machine.share) }
        return Figures(
            low: share(estimate.energyLow),
            best: share(estimate.energy),
            high: share(estimate.energyHigh),
            embodied: estimate.embodied.mass.map {
                let mass = $0 * machine.share
                return .success(CO2eRange(low: mass * (1 / embodiedFactor), best: mass, high: mass * embodiedFactor))
            } ?? .failure(.noEmbodied),
            cloud: HostedCloud(
                vendor: vendor.rawValue,
                region: machine.region,
                instanceType: type,
                match: estimate.match,
                version: estimate.version,
                vcpus: estimate.vcpus,
                share: machine.share,
                utilisation: used ?? machine.utilisation,
                isUtilisationPosted: used != nil,
                notes: estimate.notes
            )
        )
    }

    /// Of the time that vCPUs had, 0...1: more than there is is all there is. Nil where nobody says, or no time passed.
    private static func part(_ cpuTime: Microseconds?, of vcpus: Double, over duration: Microseconds) -> Double? {
        let available = Double(duration.count) * vcpus
        guard let cpuTime, available > 0 else { return nil }
        return min(1, max(0, Double(cpuTime.count) / available))
    }
}

/// From what a cloud machine's figures were found, for those who read them.
struct HostedCloud: Sendable {
    var vendor: String
    /// As it was named; nil where nobody did.
    var region: String?
    var instanceType: String
    var match: CloudMatch
    /// Of the tables.
    var version: String
    var vcpus: Double
    /// The job's part of the machine, 0...1.
    var share: Double
    /// 0...1.
    var utilisation: Double
    /// Else it is assumed.
    var isUtilisationPosted: Bool
    var notes: [CloudEstimate.Note]
}
