import Carbon
import Documents

/// One observation's fields by any of their names, its own before the document's.
struct ObservationReading {
    enum Name {
        static let vendor = ["cloud/vendor", "vendor", "provider"]
        static let type = ["cloud/instance-type", "instance-type", "instance_type"]
        static let utilisation = ["cpu/utilization", "cpu-util", "cpu_util", "cpu"]
        static let duration = ["duration"]
        static let lifetime = ["cpu/expected-lifespan", "expected-lifespan", "expected_lifespan"]
        static let interpolation = ["interpolation"]
        static let factors = ["factors"]
        static let vcpus = ["vcpus-allocated", "vcpus"]
    }

    var fields: [String: JSONValue]
    var config: [String: JSONValue]
    var index: Int

    /// Whether the document uses the names of the first published example.
    var isOldest: Bool { fields["instance_type"] != nil || config["instance_type"] != nil }

    /// `cpu` was once a fraction of 1 and once a number of percent; who means the fraction must see what it was taken for.
    var notes: [JSONValue] {
        guard value(Name.utilisation)?.name == "cpu" else { return [] }
        return [.object(["code": .string("cpu-as-percent"), "text": .string("cpu is taken as percent of the vCPUs' time, 0 to 100")])]
    }

    /// The question that the observation asks, or everything that is wrong with it.
    func question() -> Result<CloudObservation, CCFObservations.Faults> {
        var faults: [CCFObservations.Fault] = []
        let vendorName = text(Name.vendor, "aws, gcp or azure", &faults)
        let vendor = vendorName.flatMap { CloudVendor(name: $0) }
        if let vendorName, vendor == nil { faults.append(fault(Name.vendor, "aws, gcp or azure", .string(vendorName))) }
        let type = text(Name.type, "the vendor's name of the machine type", &faults)
        let duration = number(Name.duration, "seconds, 0 or more", &faults)
        let utilisation = number(Name.utilisation, "percent of the vCPUs' time, 0 to 100", &faults)
        var curve = CloudObservation.Curve.linear
        if let (_, value) = value(Name.interpolation) {
            if let known = value.string.flatMap({ CloudObservation.Curve(rawValue: $0) }) {
                curve = known
            } else {
                faults.append(fault(Name.interpolation, "linear or spline", value))
            }
        }
        let lifetime = optionalNumber(Name.lifetime, "years, above 0", &faults)
        let vcpus = optionalNumber(Name.vcpus, "a number of vCPUs above 0", &faults)
        guard faults.isEmpty, let vendor, let type, let duration, let utilisation else {
            return .failure(CCFObservations.Faults(all: faults))
        }
        return .success(
            CloudObservation(
                vendor: vendor,
                instanceType: type,
                durationSeconds: duration,
                utilisationPercent: utilisation,
                curve: curve,
                lifetimeYears: lifetime ?? CCFModel.defaultLifetimeYears,
                vcpus: vcpus
            )
        )
    }

    /// The versions of the tables in the order that is asked for.
    func versions(of catalogue: CloudCatalogue) -> Result<[String], CCFObservations.Fault> {
        guard let asked = value(Name.factors)?.value else { return .success(catalogue.versions) }
        guard let versions = asked.string.flatMap({ catalogue.versions(preferring: $0) }) else {
            return .failure(fault(Name.factors, catalogue.versions.joined(separator: " or "), asked))
        }
        return .success(versions)
    }

    /// The model's refusal, by the name that the document has for the field.
    func fault(_ error: CloudModelError) -> CCFObservations.Fault {
        let names: [String]
        switch error {
        case .outOfRange(let field, let found, let expected):
            switch field {
            case .utilisation: names = Name.utilisation
            case .duration: names = Name.duration
            case .lifetime: names = Name.lifetime
            case .vcpus: names = Name.vcpus
            }
            return fault(names, expected, .number(found))
        case .unknownSize:
            return fault(Name.type, "a type that the tables have, or the number of its vCPUs in \(Name.vcpus[0])", value(Name.type)?.1)
        case .unknownType, .notANumberUpstream: return fault(Name.type, "a type that the published tables have", value(Name.type)?.1)
        case .noPower: return fault(Name.type, "a type with watts in the tables; nobody publishes any for this one", value(Name.type)?.1)
        case .noPoints: return fault(Name.interpolation, "linear: the tables have no measured points for this type", .string("spline"))
        }
    }

    /// Null is as good as missing.
    private func value(_ names: [String]) -> (name: String, value: JSONValue)? {
        for source in [fields, config] {
            for name in names {
                if let value = source[name], !value.isNull { return (name, value) }
            }
        }
        return nil
    }

    private func fault(_ names: [String], _ expected: String, _ found: JSONValue?) -> CCFObservations.Fault {
        CCFObservations.Fault(
            index: index,
            field: value(names)?.name ?? names[0],
            expected: expected,
            found: found?.described ?? "nothing"
        )
    }

    private func text(_ names: [String], _ expected: String, _ faults: inout [CCFObservations.Fault]) -> String? {
        let found = value(names)?.value
        if let text = found?.string, !text.isEmpty { return text }
        faults.append(fault(names, expected, found))
        return nil
    }

    private func number(_ names: [String], _ expected: String, _ faults: inout [CCFObservations.Fault]) -> Double? {
        let found = value(names)?.value
        if let number = found?.double { return number }
        faults.append(fault(names, expected, found))
        return nil
    }

    private func optionalNumber(_ names: [String], _ expected: String, _ faults: inout [CCFObservations.Fault]) -> Double? {
        value(names) == nil ? nil : number(names, expected, &faults)
    }
}
