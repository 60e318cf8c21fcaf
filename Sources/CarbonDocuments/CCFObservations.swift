public import Carbon
public import Documents
import Energy

/// The observations that the CCF model is asked about, as JSON, and its answers.
///
/// Taken is an array of observations as the Impact Framework's plugin takes it, or an object with `observations` (or `inputs`) and a
/// `config` whose fields hold for each of them that lacks them. Fields are known by the names that they had over time:
///
/// | what | names |
/// |---|---|
/// | vendor | `cloud/vendor`, `vendor`, `provider` |
/// | type | `cloud/instance-type`, `instance-type`, `instance_type` |
/// | percent of CPU time | `cpu/utilization`, `cpu-util`, `cpu_util`, `cpu` |
/// | seconds | `duration` |
/// | years | `cpu/expected-lifespan`, `expected-lifespan`, `expected_lifespan` |
/// | `linear` or `spline` | `interpolation` |
/// | vCPUs, for types that are not in the tables | `vcpus-allocated`, `vcpus` |
/// | the version of the tables to look in first | `factors` |
///
/// Each answer is its observation, whole, with `energy`, `energy-low` and `energy-high` in kWh of IT energy (no PUE),
/// `embodied-carbon` in g or null with `embodied-carbon-missing`, and how well the machine is known.
public enum CCFObservations {
    /// More in one request are refused.
    public static let most = 10_000

    /// What is wrong with one observation.
    public struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        /// The observation, counted from 0; nil where the fault is of the whole document.
        public let index: Int?
        /// By the name that the document uses for it, or the first of its names where it is missing.
        public let field: String
        public let expected: String
        public let found: String

        public var description: String {
            let place = index.map { "observations[\($0)]" } ?? "the document"
            return "\(place)\(field.isEmpty ? "" : ".\(field)"): expected \(expected), found \(found)"
        }
    }

    /// Every fault of a document, in its order; nothing of such a document is answered.
    public struct Faults: Error, Hashable, Sendable, CustomStringConvertible {
        public let all: [Fault]

        public var description: String { all.map(\.description).joined(separator: "\n") }
    }

    /// - Throws: `Faults`, all that were found.
    public static func answers(
        to document: JSONValue,
        by model: CCFModel,
        rules: CCFModel.Rules = .mended
    ) throws(Faults) -> [JSONValue] {
        let (observations, config) = try parts(of: document)
        var answers: [JSONValue] = []
        var faults: [Fault] = []
        for (index, observation) in observations.enumerated() {
            guard let fields = observation.object else {
                faults.append(Fault(index: index, field: "", expected: "an object", found: observation.described))
                continue
            }
            let reading = ObservationReading(fields: fields, config: config, index: index)
            switch (reading.question(), reading.versions(of: model.catalogue)) {
            case (.failure(let found), .failure(let fault)): faults += found.all + [fault]
            case (.failure(let found), _): faults += found.all
            case (_, .failure(let fault)): faults.append(fault)
            case (.success(let question), .success(let versions)):
                do throws(CloudModelError) {
                    answers.append(Self.answer(try model.estimate(question, rules: rules, versions: versions), fields, reading))
                } catch {
                    faults.append(reading.fault(error))
                }
            }
        }
        guard faults.isEmpty else { throw Faults(all: faults) }
        return answers
    }

    private static func parts(of document: JSONValue) throws(Faults) -> ([JSONValue], [String: JSONValue]) {
        func fail(_ field: String, _ expected: String, _ found: JSONValue?) -> Faults {
            Faults(all: [Fault(index: nil, field: field, expected: expected, found: found?.described ?? "nothing")])
        }
        var config: [String: JSONValue] = [:]
        let list: JSONValue
        if let object = document.object {
            if let given = object["config"], !given.isNull {
                guard let fields = given.object else { throw fail("config", "an object", given) }
                config = fields
            }
            guard let given = object["observations"] ?? object["inputs"] else {
                throw fail("observations", "an array of observations", nil)
            }
            list = given
        } else {
            list = document
        }
        guard let observations = list.array else {
            throw fail(document.object == nil ? "" : "observations", "an array of observations", list)
        }
        guard observations.count <= most else {
            throw Faults(
                all: [
                    Fault(
                        index: nil,
                        field: "",
                        expected: "at most \(most) observations",
                        found: "\(observations.count); send them in parts"
                    )
                ]
            )
        }
        return (observations, config)
    }

    private static func answer(_ estimate: CloudEstimate, _ fields: [String: JSONValue], _ reading: ObservationReading) -> JSONValue {
        var answer = fields
        answer["energy"] = .number(estimate.energy.kilowattHours)
        answer["energy-low"] = .number(estimate.energyLow.kilowattHours)
        answer["energy-high"] = .number(estimate.energyHigh.kilowattHours)
        let mass = estimate.embodied.mass.map { JSONValue.number($0.grams) } ?? .null
        answer["embodied-carbon"] = mass
        // Who writes `instance_type` reads `embodied_emissions`.
        if reading.isOldest { answer["embodied_emissions"] = mass }
        if let reason = estimate.embodied.reason { answer["embodied-carbon-missing"] = .string(reason) }
        answer["power-watts"] = .number(estimate.power.watts)
        answer["boundary"] = .string(estimate.boundary.rawValue)
        answer["match"] = .string(estimate.match.rawValue)
        answer["architecture"] = .string(estimate.architecture)
        answer["vcpus-modelled"] = .number(estimate.vcpus)
        answer["factors"] = .string(estimate.version)
        let notes = reading.notes + estimate.notes.map { JSONValue.object(["code": .string($0.code), "text": .string($0.text)]) }
        if !notes.isEmpty { answer["notes"] = .array(notes) }
        return .object(answer)
    }
}
