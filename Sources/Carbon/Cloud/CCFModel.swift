import Energy

/// The power model of Cloud Carbon Footprint for a virtual machine of a cloud, as the Impact Framework's plugin states it:
///
///     power    = (least + (most - least) * utilisation) * vCPUs         W, CPU only
///     energy   = power * duration                                       IT energy: no PUE
///     embodied = machine * duration/lifetime * vCPUs/machine's vCPUs    gCO2e
///
/// Watts are means over published results per hardware thread. Errors of the published code and data that are known are
/// corrected here and noted in the answer; docs/cloud.md lists them.
public struct CCFModel: Sendable {
    public static let defaultLifetimeYears = 4.0
    /// The published model's year has no leap days.
    public static let hoursPerYear = 8_760.0

    /// Whose answer is asked for.
    public enum Rules: Hashable, Sendable {
        /// Known errors corrected, absurd inputs refused, types that the tables lack answered from their family.
        case mended
        /// As the published code answers, where it does: for comparison.
        case upstream
    }

    public let catalogue: CloudCatalogue

    public init(_ catalogue: CloudCatalogue) { self.catalogue = catalogue }

    /// - Parameter versions: of the tables, the preferred first; the others serve where it lacks the type.
    /// - Throws: `CloudModelError`, which names the field.
    public func estimate(
        _ observation: CloudObservation,
        rules: Rules = .mended,
        versions: [String] = CloudCatalogue.defaultVersions
    ) throws(CloudModelError) -> CloudEstimate {
        let lifetimeYears = try Self.lifetime(observation, rules)
        try Self.check(observation, rules)
        let machine = try CloudMachine.find(observation, in: catalogue, versions: versions, rules: rules)
        let power = try machine.power(observation, rules)
        let hours = observation.durationSeconds / 3_600
        let embodied: CloudEstimate.Embodied
        switch machine.embodied {
        case .known(let mass, let share):
            embodied = .mass(mass * (hours / (Self.hoursPerYear * lifetimeYears)) * share)
        case .unknown(let reason): embodied = .unknown(reason: reason)
        }
        let limits = machine.limits(observation)
        return CloudEstimate(
            energy: ITEnergy(kilowattHours: power.watts * hours / 1_000),
            energyLow: ITEnergy(kilowattHours: min(limits.low.watts, power.watts) * hours / 1_000),
            energyHigh: ITEnergy(kilowattHours: max(limits.high.watts, power.watts) * hours / 1_000),
            power: power,
            boundary: observation.curve == .spline ? .instance : .cpu,
            embodied: embodied,
            match: machine.match,
            architecture: machine.architecture,
            vcpus: machine.vcpus,
            share: machine.share,
            version: machine.version,
            notes: machine.notes
        )
    }

    private static func check(_ observation: CloudObservation, _ rules: Rules) throws(CloudModelError) {
        let duration = observation.durationSeconds
        guard duration >= 0, duration.isFinite else {
            throw .outOfRange(.duration, found: duration, expected: "seconds, 0 or more")
        }
        let utilisation = observation.utilisationPercent
        guard (0...100).contains(utilisation) || (rules == .upstream && utilisation.isFinite) else {
            throw .outOfRange(.utilisation, found: utilisation, expected: "percent of the vCPUs' time, 0 to 100")
        }
        if let vcpus = observation.vcpus, !(vcpus > 0 && vcpus <= 100_000) {
            throw .outOfRange(.vcpus, found: vcpus, expected: "a number of vCPUs above 0")
        }
    }

    private static func lifetime(_ observation: CloudObservation, _ rules: Rules) throws(CloudModelError) -> Double {
        let years = observation.lifetimeYears
        // The published code takes 0 for "not given".
        if rules == .upstream, years == 0 { return defaultLifetimeYears }
        guard years > 0, years.isFinite else { throw .outOfRange(.lifetime, found: years, expected: "years, above 0") }
        return years
    }
}
