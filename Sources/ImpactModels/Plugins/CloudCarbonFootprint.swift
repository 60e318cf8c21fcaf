import Carbon

/// The CCF model of cloud machines: energy in kWh without PUE, embodied carbon in g.
///
/// Inputs: `cloud/vendor`, `cloud/instance-type`, `cpu/utilization` in percent, `duration`; optionally `cpu/expected-lifespan` in years,
/// `interpolation` (`linear` or `spline`), and `vcpus-allocated` for types that the tables lack.
struct CloudCarbonFootprint: EachObservation {
    private let curve: String?
    private let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        curve = try config.optionalText("interpolation")
        output = try config.optionalText("output-parameter") ?? "energy"
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        guard let model = context.sources.cloud else {
            throw context.fault(at: index, nil, expected: "tables of cloud machines", found: "none")
        }
        let vendorName = try context.text("cloud/vendor", observation, at: index)
        guard let vendor = CloudVendor(name: vendorName) else {
            throw context.fault(at: index, "cloud/vendor", expected: "aws, gcp or azure", found: "the text \"\(vendorName)\"")
        }
        var question = CloudObservation(
            vendor: vendor,
            instanceType: try context.text("cloud/instance-type", observation, at: index),
            durationSeconds: try context.duration(observation, at: index),
            utilisationPercent: try context.number("cpu/utilization", observation, at: index)
        )
        if let years = try context.optionalNumber("cpu/expected-lifespan", observation, at: index) { question.lifetimeYears = years }
        let curve = context.value("interpolation", observation)?.text ?? self.curve
        if let curve {
            guard let known = CloudObservation.Curve(rawValue: curve) else {
                throw context.fault(at: index, "interpolation", expected: "linear or spline", found: "the text \"\(curve)\"")
            }
            question.curve = known
        }
        question.vcpus = try context.optionalNumber("vcpus-allocated", observation, at: index)

        let estimate: CloudEstimate
        do throws(CloudModelError) {
            estimate = try model.estimate(question, rules: context.isStrict ? .upstream : .mended)
        } catch {
            throw Self.fault(error, context, at: index)
        }
        let type = "\(vendor.rawValue) \(question.instanceType)"
        for note in estimate.notes { context.note("\(type): \(note.text)") }
        switch estimate.match {
        case .exact: break
        case .family: context.note("\(type): not in the tables: figures of its family")
        case .average: context.note("\(type): not in the tables: the mean of the vendor's architectures (\(estimate.architecture))")
        }
        try context.set(output, to: estimate.energy.kilowattHours, &observation, at: index)
        let embodied = context.dialect.isImpl ? "embodied-carbon" : "carbon-embodied"
        switch estimate.embodied {
        case .mass(let mass): try context.set(embodied, to: mass.grams, &observation, at: index)
        case .unknown(let reason):
            context.note("\(type): \(embodied) is null: \(reason)")
            observation[context.plugin.mapping[embodied] ?? embodied] = .null
        }
        if Self.isPublished(question) {
            context.note(
                """
                this example was published with energy 0.000018845835066981333 and embodied emissions 0.02553890791476408: 34.9 and 96 times \
                too high, as it took 10 % for 1000 %, and the two vCPUs for two of one instead of two of 96
                """
            )
        }
    }

    /// The observation of the published `ccf-demo`.
    private static func isPublished(_ question: CloudObservation) -> Bool {
        question
            == CloudObservation(vendor: .aws, instanceType: "m5n.large", durationSeconds: 1, utilisationPercent: 10)
    }

    private static func fault(_ error: CloudModelError, _ context: PluginContext, at index: Int) -> ModelFault {
        if case .outOfRange(let field, let found, let expected) = error {
            let key =
                switch field {
                case .utilisation: "cpu/utilization"
                case .duration: "duration"
                case .lifetime: "cpu/expected-lifespan"
                case .vcpus: "vcpus-allocated"
                }
            return context.fault(at: index, key, expected: expected, found: "the number \(ModelValue.number(found).plain)")
        }
        return context.fault(
            at: index,
            "cloud/instance-type",
            expected: "a machine that the tables know",
            found: error.description
        )
    }
}
