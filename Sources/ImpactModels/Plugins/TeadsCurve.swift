/// `TeadsCurve`, as many manifests of before 2025 have it: a processor's energy in kWh from its thermal design power and utilisation.
///
/// 0.12, 0.32, 0.75 and 1.02 of the design power at 0, 10, 50 and 100 % (Teads 2021), a vCPU's part of it where `vcpus-allocated` and
/// `vcpus-total` are there.
struct TeadsCurve: EachObservation {
    private let curve: Curve?

    init(_ config: PluginConfig) throws(ModelFault) {
        curve = try Self.curve(config.optionalText("interpolation"), else: config.fault("interpolation", "linear or spline"))
    }

    private static func curve(_ name: String?, else fault: ModelFault) throws(ModelFault) -> Curve? {
        guard let name else { return nil }
        guard let method = Curve.Method(rawValue: name), method != .polynomial else { throw fault }
        return Curve(method, x: [0, 10, 50, 100], y: [0.12, 0.32, 0.75, 1.02])
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        let named = try Self.curve(
            context.value("interpolation", observation)?.text,
            else: context.fault(
                at: index,
                "interpolation",
                expected: "linear or spline",
                found: observation["interpolation"]?.described ?? "nothing"
            )
        )
        let curve = named ?? self.curve ?? Curve(.linear, x: [0, 10, 50, 100], y: [0.12, 0.32, 0.75, 1.02])
        let utilisation = try context.number("cpu/utilization", observation, at: index)
        guard curve.range.contains(utilisation) else {
            throw context.fault(at: index, "cpu/utilization", expected: "percent, 0 to 100", found: "the number \(utilisation)")
        }
        var watts = try context.number("cpu/thermal-design-power", observation, at: index) * curve.value(at: utilisation)
        if let allocated = try context.optionalNumber("vcpus-allocated", observation, at: index),
            let total = try context.optionalNumber("vcpus-total", observation, at: index)
        {
            guard total > 0 else {
                throw context.fault(at: index, "vcpus-total", expected: "a number above 0", found: "the number \(total)")
            }
            watts *= allocated / total
        }
        let energy = watts * (try context.duration(observation, at: index)) / 3_600 / 1_000
        try context.set(context.dialect.isImpl ? "energy-cpu" : "cpu/energy", to: energy, &observation, at: index)
    }
}
