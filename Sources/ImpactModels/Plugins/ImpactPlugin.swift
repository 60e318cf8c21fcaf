/// A step of a pipeline: observations in, observations out.
protocol ImpactPlugin: Sendable {
    /// - Throws: `ModelFault` for settings that are missing or of another kind.
    init(_ config: PluginConfig) throws(ModelFault)

    func run(_ observations: [ModelMap], _ context: inout PluginContext) throws(ModelFault) -> [ModelMap]
}

/// A step that works on each observation by itself.
protocol EachObservation: ImpactPlugin {
    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault)
}

extension EachObservation {
    func run(_ observations: [ModelMap], _ context: inout PluginContext) throws(ModelFault) -> [ModelMap] {
        var result = observations
        for index in result.indices { try run(&result[index], at: index, &context) }
        return result
    }
}

/// Which step a declared plugin is.
enum PluginKind: Sendable, Hashable {
    case sum, multiply, subtract, coefficient, exponent, divide, interpolation, sci, sciEmbodied, timeSync, csvLookup, copy
    case mockObservations, cloudCarbonFootprint, measured(MeasuredQuery.Kind)
    case sciE, sciO, sciM, teadsCurve
    /// Of manifests before regroup was a phase.
    case groupBy

    /// Makes observations instead of working on them.
    var observes: Bool {
        switch self {
        case .mockObservations, .measured: true
        default: false
        }
    }

    /// - Throws: `ModelFault` for a plugin that is not built in: no code is fetched, and none of a manifest is run.
    init(_ plugin: Manifest.Plugin) throws(ModelFault) {
        let known = [
            "builtin", "builtins", "@grnsft/if-plugins", "@grnsft/if-unofficial-plugins", "@grnsft/if-models",
            "@grnsft/if-unofficial-models", "if-models", "if-community-models",
        ]
        if plugin.path == "wattle" {
            guard let kind = MeasuredQuery.Kind(rawValue: plugin.method) else {
                throw ModelFault(plugin.place, key: "method", expected: "Spans or HostHours", found: "the text \"\(plugin.method)\"")
            }
            self = .measured(kind)
            return
        }
        guard known.contains(plugin.path) else {
            throw ModelFault(
                plugin.place,
                key: "path",
                expected:
                    "builtin, wattle, or one of the frameworks' own packages (\(known.dropFirst(2).dropLast(2).joined(separator: ", ")))",
                found: plugin.path.isEmpty ? "nothing" : "the text \"\(plugin.path)\"",
                advice: "code of others is neither fetched nor run"
            )
        }
        // As exports of packages, as models of 2023 (`SciOModel`), and as names of built-in ones (`sci-o`).
        var method = plugin.method.lowercased().filter { $0 != "-" && $0 != "_" }
        for end in ["impactmodel", "model", "plugin"] where method.hasSuffix(end) && method != end { method.removeLast(end.count) }
        guard let kind = Self.byName[method] else {
            throw ModelFault(
                plugin.place,
                key: "method",
                expected: "one of \(Self.names.joined(separator: ", "))",
                found: "the text \"\(plugin.method)\"",
                advice: Self.refused[method]
            )
        }
        self = kind
    }

    /// Nil for a plugin that is not built in, which is a fault when a pipeline names it.
    static func known(_ plugin: Manifest.Plugin) -> PluginKind? {
        do throws(ModelFault) {
            return try PluginKind(plugin)
        } catch {
            return nil
        }
    }

    private static let byName: [String: PluginKind] = [
        "sum": .sum, "multiply": .multiply, "subtract": .subtract, "coefficient": .coefficient, "exponent": .exponent, "divide": .divide,
        "interpolation": .interpolation, "sci": .sci, "sciembodied": .sciEmbodied, "timesync": .timeSync, "csvlookup": .csvLookup,
        "copy": .copy, "mockobservations": .mockObservations, "cloudcarbonfootprint": .cloudCarbonFootprint, "ccf": .cloudCarbonFootprint,
        "groupby": .groupBy, "scie": .sciE, "scio": .sciO, "scim": .sciM, "teadscurve": .teadsCurve,
    ]

    private static let names = [
        "CloudCarbonFootprint", "Coefficient", "Copy", "CSVLookup", "Divide", "Exponent", "Interpolation", "MockObservations", "Multiply",
        "Sci", "SciEmbodied", "Subtract", "Sum", "TeadsCurve", "TimeSync",
    ]

    private static let refused: [String: String] = [
        "shell": "a manifest starts no programs here",
        "regex": "upstream runs this setting as code; prepare the values, or look them up with CSVLookup",
        "timeconverter": "use Multiply or Coefficient, which do not round",
        "emem": "it takes 0.38 kWh per GB whatever the time is; use Multiply with GB, hours and 0.000392 kWh per GBh",
        "enet": "use Coefficient with kWh per GB",
        "csvimport": "put the rows under inputs",
    ]

    var type: any ImpactPlugin.Type {
        switch self {
        case .sum: Sum.self
        case .multiply: Multiply.self
        case .subtract: Subtract.self
        case .coefficient: Coefficient.self
        case .exponent: Exponent.self
        case .divide: Divide.self
        case .interpolation: Interpolation.self
        case .sci: Sci.self
        case .sciEmbodied: SciEmbodied.self
        case .timeSync: TimeSync.self
        case .csvLookup: CSVLookup.self
        case .copy: Copy.self
        case .mockObservations: MockObservations.self
        case .cloudCarbonFootprint: CloudCarbonFootprint.self
        case .measured: Measured.self
        case .sciE: SciE.self
        case .sciO: SciO.self
        case .sciM: SciM.self
        case .teadsCurve: TeadsCurve.self
        case .groupBy: GroupBy.self
        }
    }
}
