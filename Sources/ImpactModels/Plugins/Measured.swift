import Energy

/// What a collector measured, as observations: `path: wattle`, with the method `Spans` or `HostHours`.
///
/// Settings: `from` and `to`, and for spans one of `service`, `repository`, `release`, `key`; for host hours `host`.
/// Every observation has `timestamp`, `duration` and `energy` in kWh with its limits; carbon, where it is known, is in g. What is not known
/// is null, never 0.
struct Measured: ImpactPlugin {
    private let query: MeasuredQuery

    init(_ config: PluginConfig) throws(ModelFault) { query = try Self.query(config) }

    static func query(_ config: PluginConfig) throws(ModelFault) -> MeasuredQuery {
        guard case .measured(let kind) = try PluginKind(config.plugin) else {
            throw ModelFault(config.plugin.place, key: "method", expected: "Spans or HostHours", found: config.plugin.method)
        }
        let from = try config.instant("from").instant
        let to = try config.instant("to").instant
        guard from < to else { throw config.fault("to", "an instant after from") }
        var filters: [String: String] = [:]
        for key in kind == .spans ? ["service", "repository", "release", "key", "host"] : ["host"] {
            filters[key] = try config.optionalText(key)
        }
        guard !filters.isEmpty else {
            throw ModelFault(
                config.plugin.place,
                key: "config",
                expected: kind == .spans ? "one of service, repository, release, key, host" : "host",
                found: config.values.isEmpty ? "nothing" : config.values.keys.joined(separator: ", ")
            )
        }
        return MeasuredQuery(kind: kind, filters: filters, range: Interval(from, to))
    }

    func run(_ observations: [ModelMap], _ context: inout PluginContext) throws(ModelFault) -> [ModelMap] {
        do throws(SourceRefusal) {
            let measured = try context.sources.measured(query)
            for note in measured.notes { context.note(note) }
            return measured.observations
        } catch {
            throw context.fault(at: nil, nil, expected: error.expected, found: error.found, advice: error.advice)
        }
    }
}
