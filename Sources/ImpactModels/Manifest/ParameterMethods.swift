/// How a parameter's values become one.
public enum AggregationMethod: String, Sendable, Hashable, CaseIterable {
    /// Amounts: added, and spread evenly over time where an observation is cut.
    case sum
    /// Levels: the mean, weighted by duration.
    case avg
    /// What stays the same.
    case copy
    /// What has no meaning for more than one observation.
    case none
    case min, max, median
}

/// How each parameter is put together, over time and over components.
public struct ParameterMethods: Sendable {
    public struct Pair: Sendable, Hashable {
        public var time: AggregationMethod
        public var component: AggregationMethod

        public init(time: AggregationMethod, component: AggregationMethod) {
            self.time = time
            self.component = component
        }
    }

    /// What counts for parameters that the manifest declares nothing for.
    enum Undeclared: Sendable {
        /// Names that everybody uses.
        case known
        /// As upstream: nothing.
        case nothing
        /// As upstream in 2023: its own list, and amounts for the rest.
        case knownElseSum
    }

    private var declared: [String: Pair] = [:]
    /// What the built-in plugins say of their own parameters.
    private var builtIn: [String: Pair] = [:]
    var undeclared = Undeclared.known

    public init() {}

    /// A later declaration of the same parameter takes the place of an earlier one.
    public mutating func declare(_ parameter: String, _ pair: Pair) { declared[parameter] = pair }

    mutating func declare(_ kind: PluginKind) {
        switch kind {
        case .sci:
            for amount in ["carbon", "functional-unit"] { builtIn[amount] = Pair(time: .sum, component: .sum) }
            builtIn["sci"] = Pair(time: .avg, component: .sum)
        case .sciEmbodied:
            for part in ["vCPUs", "memory", "ssd", "hdd", "gpu", "usage-ratio", "time"] {
                builtIn[part] = Pair(time: .copy, component: .copy)
            }
            builtIn["embodied-carbon"] = Pair(time: .sum, component: .sum)
        default: break
        }
    }

    /// As the manifest declares it, else as the plugins that it has say, else as everybody's parameters are; nil for one that nobody knows.
    public func pair(_ parameter: String) -> Pair? {
        if let pair = declared[parameter] ?? builtIn[parameter] { return pair }
        switch undeclared {
        case .known: return Self.known(parameter)
        case .nothing: return parameter == "timestamp" || parameter == "duration" ? Self.known(parameter) : nil
        case .knownElseSum: return Self.known(parameter) ?? Pair(time: .sum, component: .sum)
        }
    }

    /// By a name of the frameworks' own lists, or by its form.
    static func known(_ parameter: String) -> Pair? {
        switch parameter {
        case "timestamp": return Pair(time: .none, component: .none)
        // Components run beside each other: their durations do not add up.
        case "duration": return Pair(time: .sum, component: .none)
        case "carbon", "energy", "water", "requests", "functional-unit", "carbon-embodied", "carbon-operational", "embodied-carbon",
            "operational-carbon", "embodied_emissions":
            return Pair(time: .sum, component: .sum)
        case "resources-reserved", "resources-total", "vcpus-allocated", "vcpus-total":
            return Pair(time: .copy, component: .sum)
        default: break
        }
        let last = parameter.split(separator: "/").last.map(String.init) ?? parameter
        if last == "energy" || parameter.hasPrefix("energy-") { return Pair(time: .sum, component: .sum) }
        if ["utilization", "cpu-util", "ram-util", "gpu-util"].contains(last) { return Pair(time: .avg, component: .avg) }
        if ["carbon-intensity", "grid-carbon-intensity", "thermal-design-power"].contains(last) {
            return Pair(time: .avg, component: .avg)
        }
        return nil
    }
}
