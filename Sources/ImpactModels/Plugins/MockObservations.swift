import Documents
import Energy

/// Observations from a seed, for trials: the same manifest gives the same ones on every machine.
///
/// `seed` is 0 unless it is set. Upstream draws anew each time and takes a least value of 0 for a missing one; strict mode keeps the second.
struct MockObservations: ImpactPlugin {
    private struct Range {
        let parameter: String
        let least: Int64
        let most: Int64
    }

    private static let limit = 10_000_000

    private let from: ObservationTime.Read
    private let until: ObservationTime.Read
    private let step: Microseconds
    private let stepValue: ModelValue
    private let components: [ModelMap]
    private let common: ModelMap
    private let ranges: [Range]
    private let seed: UInt64

    init(_ config: PluginConfig) throws(ModelFault) {
        from = try config.instant("timestamp-from")
        until = try config.instant("timestamp-to")
        let seconds = try config.number("duration")
        guard let step = ObservationTime.duration(seconds: seconds), step > .zero else {
            throw config.fault("duration", "seconds, above 0")
        }
        self.step = step
        stepValue = config.values["duration"] ?? .number(seconds)
        guard from.instant < until.instant else {
            throw config.fault("timestamp-to", "an instant after timestamp-from")
        }
        guard (until.instant - from.instant).count / step.count < Int64(Self.limit) else {
            throw config.fault("duration", "steps of which less than \(Self.limit) fit between timestamp-from and timestamp-to")
        }
        switch config.values["components"] {
        case .list(let list)?:
            var components: [ModelMap] = []
            for value in list {
                guard let map = value.map else { throw config.fault("components", "a list of mappings") }
                components.append(map)
            }
            self.components = components
        case .map(let map)?: components = [map]
        case nil, .null?: components = [ModelMap()]
        default: throw config.fault("components", "a list of mappings")
        }
        let generators = config.values["generators"]?.map ?? ModelMap()
        common = generators["common"]?.map ?? ModelMap()
        var ranges: [Range] = []
        for (parameter, value) in generators["randint"]?.map?.pairs ?? [] {
            let key = "generators.randint.\(parameter)"
            func limit(_ name: String) throws(ModelFault) -> Int64 {
                guard case .integer(let number)? = value.map?[name], !(config.isStrict && number == 0) else {
                    throw ModelFault(
                        config.plugin.place,
                        key: "config.\(key).\(name)",
                        expected: config.isStrict ? "a whole number other than 0 (upstream takes 0 for missing)" : "a whole number",
                        found: value.map?[name]?.described ?? "nothing"
                    )
                }
                return number
            }
            let range = Range(parameter: parameter, least: try limit("min"), most: try limit("max"))
            guard range.least <= range.most else {
                throw ModelFault(
                    config.plugin.place,
                    key: "config.\(key)",
                    expected: "min at most max",
                    found: "\(range.least) and \(range.most)"
                )
            }
            ranges.append(range)
        }
        self.ranges = ranges
        guard let seed = Int64(exactly: try config.optionalNumber("seed") ?? 0) else { throw config.fault("seed", "a whole number") }
        self.seed = UInt64(bitPattern: seed)
    }

    func run(_ observations: [ModelMap], _ context: inout PluginContext) throws(ModelFault) -> [ModelMap] {
        if from.isZoneless || until.isZoneless {
            context.note("times without a zone, such as \(RFC3339.format(from.instant)), are taken for UTC")
        }
        // Each node draws its own numbers, whatever its siblings draw.
        var random = SeededNumbers(seed: seed, name: context.node)
        var result: [ModelMap] = []
        for component in components {
            var instant = from.instant
            while instant < until.instant {
                var observation = ModelMap([("timestamp", .text(RFC3339.format(instant))), ("duration", stepValue)])
                for (key, value) in component.pairs + common.pairs { observation[key] = value }
                for range in ranges { observation[range.parameter] = .integer(random.next(in: range.least...range.most)) }
                result.append(observation)
                instant = instant + step
            }
        }
        return result
    }
}

/// Numbers from a seed and a name: the same on every machine (SplitMix64, Steele et al. 2014, started from an FNV-1a hash).
struct SeededNumbers {
    private var state: UInt64

    init(seed: UInt64, name: String) {
        state = name.utf8.reduce(0xCBF2_9CE4_8422_2325 ^ seed) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }

    /// By the high half of a product: as even as 64 bits are, and no library's choice.
    mutating func next(in range: ClosedRange<Int64>) -> Int64 {
        let width = UInt64(bitPattern: range.upperBound &- range.lowerBound) &+ 1
        let number = next()
        // All of Int64 has a width of 0 here.
        return range.lowerBound &+ Int64(bitPattern: width == 0 ? number : number.multipliedFullWidth(by: width).high)
    }

    private mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
