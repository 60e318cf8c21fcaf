/// Stands in pipelines of before 2024 where today's have the phase regroup; the run knows it by its kind and does not call it.
struct GroupBy: ImpactPlugin {
    let keys: [String]

    init(_ config: PluginConfig) throws(ModelFault) { keys = try config.texts("group") }

    func run(_ observations: [ModelMap], _ context: inout PluginContext) throws(ModelFault) -> [ModelMap] { observations }
}
