import Energy

/// What an observation's machine is taken to be, and how well that is known.
struct CloudMachine {
    enum Embodied {
        /// Of the whole machine, and the instance's part of it.
        case known(CO2e, share: Double)
        case unknown(String)
    }

    var match: CloudMatch
    var architecture: String
    var watts: ArchitectureWatts
    /// The architectures it may have: its own, those of its family, or those of its vendor.
    var possible: [ArchitectureWatts]
    var points: CubicSpline?
    var vcpus: Double
    var share: Double?
    var embodied: Embodied
    var version: String
    var notes: [CloudEstimate.Note] = []
    /// For messages.
    var asked: String
    var vendor: CloudVendor

    static func find(
        _ observation: CloudObservation,
        in catalogue: CloudCatalogue,
        versions: [String],
        rules: CCFModel.Rules
    ) throws(CloudModelError) -> CloudMachine {
        if let type = catalogue.type(observation.instanceType, of: observation.vendor, versions: versions) {
            // A later table may have the watts that an earlier one lacks.
            guard !type.architecture.isEmpty, let watts = catalogue.watts(type.architecture, of: type.vendor, version: type.version) else {
                throw .noPower(vendor: observation.vendor, type: observation.instanceType)
            }
            let possible =
                type.architecture == CloudCatalogue.average
                ? catalogue.architectures(of: type.vendor, version: type.version)
                : catalogue.parts(type.architecture, of: type.vendor, version: type.version)
            return try known(type, watts, possible, observation, rules)
        }
        if rules == .upstream { throw .unknownType(vendor: observation.vendor, type: observation.instanceType) }
        return try unknown(observation, in: catalogue, versions: versions)
    }

    private static func known(
        _ type: CloudInstanceType,
        _ watts: ArchitectureWatts,
        _ possible: [ArchitectureWatts],
        _ observation: CloudObservation,
        _ rules: CCFModel.Rules
    ) throws(CloudModelError) -> CloudMachine {
        var machine = CloudMachine(
            match: type.architecture == CloudCatalogue.average ? .average : .exact,
            architecture: type.architecture,
            watts: watts,
            possible: possible,
            points: type.points,
            vcpus: type.vcpus,
            share: type.share,
            embodied: .unknown("nobody publishes what making the machine of \(type.name) emits"),
            version: type.version,
            asked: observation.instanceType,
            vendor: type.vendor
        )
        if rules == .upstream {
            if observation.curve == .linear, type.architecture.contains("+") { throw .notANumberUpstream(type: type.name) }
            machine.share = (type.platformVCPUsUpstream ?? type.platformVCPUs).map { type.vcpus / $0 }
            if type.flags.contains("constrained") {
                machine.vcpus = 0
                machine.share = 0
            }
        } else {
            machine.notes = CloudTypeNotes.notes(on: type)
        }
        if let mass = type.platformEmbodied {
            if let share = machine.share {
                machine.embodied = .known(mass, share: share)
            } else {
                machine.embodied = .unknown("how many vCPUs the machine of \(type.name) has is not known, so neither is its part of it")
            }
        }
        return machine
    }

    /// A type that no table has: from the other sizes of its family, else from the vendor's mean.
    private static func unknown(
        _ observation: CloudObservation,
        in catalogue: CloudCatalogue,
        versions: [String]
    ) throws(CloudModelError) -> CloudMachine {
        let vendor = observation.vendor
        let name = CloudTypeName(observation.instanceType, of: vendor)
        let family = catalogue.family(of: name, vendor, versions: versions)
        guard let vcpus = observation.vcpus ?? name.vcpus ?? Self.scaled(name, family) else {
            throw .unknownSize(vendor: vendor, type: observation.instanceType)
        }
        let architectures = Set(family.map(\.architecture)).sorted()
        let watts = architectures.compactMap { catalogue.watts($0, of: vendor, version: family[0].version) }
        if watts.isEmpty {
            guard
                let version = versions.first(where: { catalogue.watts(CloudCatalogue.average, of: vendor, version: $0) != nil }),
                let average = catalogue.watts(CloudCatalogue.average, of: vendor, version: version)
            else { throw .noPower(vendor: vendor, type: observation.instanceType) }
            return CloudMachine(
                match: .average,
                architecture: CloudCatalogue.average,
                watts: average,
                possible: catalogue.architectures(of: vendor, version: version),
                points: nil,
                vcpus: vcpus,
                share: nil,
                embodied: .unknown("neither \(observation.instanceType) nor another size of its family is in the tables"),
                version: version,
                notes: [
                    CloudEstimate.Note(
                        code: "vendor-average",
                        text: "\(observation.instanceType) is not in the tables: the mean of the vendor's architectures is used"
                    )
                ],
                asked: observation.instanceType,
                vendor: vendor
            )
        }
        var machine = CloudMachine(
            match: .family,
            architecture: architectures.joined(separator: "+"),
            watts: .mean(watts),
            possible: architectures.flatMap { catalogue.parts($0, of: vendor, version: family[0].version) },
            points: nil,
            vcpus: vcpus,
            share: nil,
            embodied: .unknown("the sizes of the family of \(observation.instanceType) run on different machines"),
            version: family[0].version,
            notes: [
                CloudEstimate.Note(
                    code: "family",
                    text: "\(observation.instanceType) is not in the tables: the watts per vCPU of its family are used"
                )
            ],
            asked: observation.instanceType,
            vendor: vendor
        )
        let machines = Set(family.map { [$0.platformEmbodied?.kilograms, $0.platformVCPUs] })
        if machines.count == 1, let mass = family[0].platformEmbodied, let all = family[0].platformVCPUs, vcpus <= all {
            machine.share = vcpus / all
            machine.embodied = .known(mass, share: vcpus / all)
        }
        return machine
    }

    /// AWS: a size in proportion to another one of the family.
    private static func scaled(_ name: CloudTypeName, _ family: [CloudInstanceType]) -> Double? {
        guard let size = name.extraLarges else { return nil }
        for type in family {
            if let other = CloudTypeName(type.name, of: type.vendor).extraLarges { return size * type.vcpus / other }
        }
        return nil
    }

    /// Half of the least that any architecture which it may have takes, and twice the most.
    func limits(_ observation: CloudObservation) -> (low: Power, high: Power) {
        if observation.curve == .spline, let points {
            return (Power(watts: points.value(at: 0) / 2), Power(watts: points.value(at: 100) * 2))
        }
        let all = possible.isEmpty ? [watts] : possible
        return (
            Power(watts: (all.map(\.least.watts).min() ?? 0) * vcpus / 2), Power(watts: (all.map(\.most.watts).max() ?? 0) * vcpus * 2)
        )
    }

    func power(_ observation: CloudObservation, _ rules: CCFModel.Rules) throws(CloudModelError) -> Power {
        switch observation.curve {
        case .spline:
            guard let points else { throw .noPoints(vendor: vendor, type: asked) }
            return Power(watts: points.value(at: observation.utilisationPercent))
        case .linear:
            let least = watts.least.watts * vcpus
            return Power(watts: least + (watts.most.watts * vcpus - least) * observation.utilisationPercent / 100)
        }
    }
}

/// What is to be known of a type's figures, from the flags of its row.
enum CloudTypeNotes {
    static func notes(on type: CloudInstanceType) -> [CloudEstimate.Note] {
        type.flags.compactMap { flag in
            let name = flag.split(separator: ":", maxSplits: 1).first.map(String.init) ?? flag
            return text(name, type).map { CloudEstimate.Note(code: name, text: $0) }
        }
    }

    private static func text(_ flag: String, _ type: CloudInstanceType) -> String? {
        switch flag {
        case "average-arch": "the architecture of \(type.name) is not known: the mean of the vendor's architectures is used"
        case "several-archs": "\(type.name) runs on several architectures: the mean of their watts is used (the published code answers NaN)"
        case "last-of": "the published table lists several architectures for \(type.name); the last of them is used, as published"
        case "constrained": "\(type.name) has some vCPUs switched off: watts are of those that are on, the embodied part is of all"
        case "platform-corrected": "the machine's vCPUs were wrong in the published table and are corrected"
        case "platform-too-small": "the machine's vCPUs are those of the largest size of the series: the embodied part may be too high"
        case "platform-derived": "the machine's vCPUs are those of the largest size seen: the embodied part may be too high"
        case "gpu-not-counted": "the machine has GPUs: their energy is not in the figure"
        case "graviton-as-epyc2": "nobody publishes watts of Graviton: those of the second EPYC generation are used"
        case "epyc5-recomputed": "watts of the fifth EPYC generation were computed again: the published ones mix other families in"
        default: nil
        }
    }
}
