import Carbon
import ImpactModels
import ManifestFiles
import TestSupport
import Testing

/// Whatever a manifest says, a run ends with a result or a fault.
@Suite struct RobustnessTests {
    private struct Drawing {
        var random: RandomSource

        mutating func pick<T>(_ list: [T]) -> T { list[Int.random(in: 0..<list.count, using: &random)] }

        /// A value as people, programs and attackers write them.
        mutating func value(_ depth: Int = 0) -> ModelValue {
            switch Int.random(in: 0..<(depth > 2 ? 10 : 12), using: &random) {
            case 0: return .null
            case 1: return .bool(random.chance(0.5))
            case 2: return .integer(pick([0, 1, -1, 60, 3_600, 100, Int64.max, Int64.min, 1_000_000]))
            case 3: return .number(pick([0.5, -0.5, 1e308, .leastNonzeroMagnitude, 1e-9, 99.9, 1e19, -1e11]))
            case 4, 5: return .text(pick(Self.parameters))
            case 6:
                return .text(
                    pick(["2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z", "2023-07-06T00:00", "9999-12-31T23:59:59Z", "0000-01-01", "x"])
                )
            case 7:
                return .text(
                    pick(["=2*carbon", "=energy/0", "=-(1", "=", "off", "", "*", "aws", "m5n.large", "linear", "spline", "sum", "avg"])
                )
            case 8: return .integer(Int64.random(in: 0...120, using: &random))
            case 9: return .number(Double.random(in: 0...100, using: &random))
            case 10: return .list((0..<Int.random(in: 0...4, using: &random)).map { _ in value(depth + 1) })
            default: return .map(map(depth + 1))
            }
        }

        mutating func map(_ depth: Int) -> ModelMap {
            ModelMap((0..<Int.random(in: 0...4, using: &random)).map { _ in (pick(Self.settings + Self.parameters), value(depth)) })
        }

        static let parameters = [
            "timestamp", "duration", "energy", "carbon", "cpu/utilization", "cpu-util", "cloud/vendor", "cloud/instance-type", "requests",
            "watts", "vCPUs",
            "memory", "device/emissions-embodied", "device/expected-lifespan", "resources-reserved", "resources-total", "time-reserved",
            "sci",
        ]
        static let settings = [
            "input-parameters", "input-parameter", "output-parameter", "output", "numerator", "denominator", "coefficient", "exponent",
            "method", "x",
            "y", "functional-unit", "functional-unit-time", "start-time", "end-time", "interval", "allow-padding", "upsampling-resolution",
            "filepath",
            "query", "from", "to", "keep-existing", "timestamp-from", "timestamp-to", "components", "generators", "seed", "group",
            "lifespan",
        ]
        static let methods = [
            "Sum", "Multiply", "Subtract", "Coefficient", "Exponent", "Divide", "Interpolation", "Sci", "SciEmbodied", "TimeSync",
            "CSVLookup", "Copy",
            "MockObservations", "CloudCarbonFootprint", "GroupBy", "TeadsCurve", "sci-e", "sci-o", "sci-m", "Spans", "Nothing",
        ]

        /// Settings that are mostly of the right kind, so that steps come to work.
        mutating func config(_ method: String) -> ModelMap {
            var config = map(1)
            let some = ModelValue.list((0..<Int.random(in: 1...3, using: &random)).map { _ in .text(pick(Self.parameters)) })
            let good: [(String, ModelValue)] = [
                ("input-parameters", some), ("input-parameter", .text(pick(Self.parameters))),
                ("output-parameter", .text(pick(Self.parameters))),
                ("output", pick([.text("*"), .text("watts"), .list([.text("type"), .text("kind")])])),
                ("numerator", .text(pick(Self.parameters))),
                ("denominator", value(3)), ("coefficient", value(3)), ("exponent", value(3)),
                ("x", .list([.integer(0), value(3), .integer(100)])), ("y", .list([.integer(1), .number(0.5), .integer(3)])),
                ("functional-unit", .text("requests")), ("start-time", .text("2026-01-01T00:00:00Z")),
                ("end-time", .text("2026-01-01T00:20:00Z")),
                ("interval", pick([.integer(60), .number(0.5), .integer(7), value(3)])), ("filepath", .text("t.csv")),
                ("query", .map(ModelMap([("type", .text(pick(Self.parameters)))]))), ("from", .text(pick(Self.parameters))),
                ("to", .text(pick(Self.parameters))), ("timestamp-from", .text("2026-01-01T00:00:00Z")),
                ("timestamp-to", .text("2026-01-01T00:05:00Z")), ("duration", pick([.integer(60), .integer(7)])), ("group", some),
            ]
            for (key, value) in good where random.chance(0.85) { config[key] = value }
            if method == "Interpolation" { config["method"] = .text(pick(["linear", "spline", "polynomial"])) }
            return config
        }

        mutating func observation(_ index: Int) -> ModelMap {
            var map = map(2)
            if random.chance(0.9) {
                map["timestamp"] = .text("2026-01-01T00:\(index < 6 ? "0\(index)" : "1\(index % 10)"):00Z")
                map["duration"] = random.chance(0.9) ? .integer(60) : value(3)
            }
            for parameter in Self.parameters.dropFirst(2) where random.chance(0.7) {
                map[parameter] = random.chance(0.9) ? .number(Double.random(in: 0...100, using: &random)) : value(3)
            }
            if random.chance(0.8) { map["cloud/vendor"] = .text("aws") }
            if random.chance(0.8) { map["cloud/instance-type"] = .text("m5n.large") }
            return map
        }

        mutating func node(_ plugins: [String], _ depth: Int) -> ModelMap {
            var node = ModelMap()
            let names = { (drawing: inout Drawing) in
                ModelValue.list((0..<Int.random(in: 1...3, using: &drawing.random)).map { _ in .text(drawing.pick(plugins)) })
            }
            if depth == 0 || random.chance(0.3) {
                var pipeline = ModelMap([("compute", names(&self))])
                if random.chance(0.2) { pipeline["observe"] = names(&self) }
                if random.chance(0.3) { pipeline["regroup"] = .list([.text(pick(Self.parameters))]) }
                node["pipeline"] = random.chance(0.8) ? .map(pipeline) : names(&self)
            }
            if random.chance(0.3) { node["defaults"] = random.chance(0.9) ? .map(map(2)) : value(2) }
            if random.chance(0.1) { node["config"] = .map(ModelMap([(pick(plugins), .map(map(2)))])) }
            if depth < 3, random.chance(0.5) {
                node["children"] = .map(
                    ModelMap((0..<Int.random(in: 1...3, using: &random)).map { ("c\($0)", .map(self.node(plugins, depth + 1))) })
                )
            } else {
                node["inputs"] =
                    random.chance(0.95) ? .list((0..<Int.random(in: 0...5, using: &random)).map { .map(observation($0)) }) : value(1)
            }
            return node
        }

        mutating func manifest() -> ModelMap {
            let names = (0..<Int.random(in: 1...4, using: &random)).map { "p\($0)" }
            let isImpl = random.chance(0.2)
            let plugins = names.map { name in
                let method = pick(Self.methods)
                return (
                    name,
                    ModelMap([
                        ("path", .text(method == "Spans" ? "wattle" : pick(["builtin", "builtin", "builtin", "@grnsft/if-plugins", "x"]))),
                        ("method", .text(method)), ("config", .map(config(method))),
                    ])
                )
            }
            var document = ModelMap([("name", .text("drawn"))])
            if isImpl {
                document["initialize"] = .map(
                    ModelMap([
                        (
                            "models",
                            .list(
                                plugins.map { name, map in
                                    var map = map
                                    map["name"] = .text(name)
                                    return .map(map)
                                }
                            )
                        )
                    ])
                )
            } else {
                document["initialize"] = .map(ModelMap([("plugins", .map(ModelMap(plugins.map { ($0.0, .map($0.1)) })))]))
            }
            if random.chance(0.5) {
                document["aggregation"] = .map(
                    ModelMap([
                        ("metrics", .list([.text(pick(Self.parameters)), .text("energy")])),
                        ("type", .text(pick(["time", "component", "both"]))),
                    ])
                )
            }
            document[isImpl ? "graph" : "tree"] = .map(node(names, 0))
            return document
        }
    }

    private static let sources = ModelSources(
        file: { _ throws(SourceRefusal) in "type,watts\nA1,100\n1,2\n" },
        cloud: CloudTables.model
    )

    @Test func anyManifestEndsWithAResultOrAFault() throws {
        var drawing = Drawing(random: RandomSource(seed: 7_007))
        var computed = 0
        for round in 0..<LongRun.rounds(short: 4_000, long: 400_000) {
            let document = drawing.manifest()
            for strict in [false, true] {
                do throws(ModelFault) {
                    let run = try ModelRun(Manifest(.map(document)), options: .init(isStrict: strict), sources: Self.sources)
                    computed += 1
                    // What is written can be read, and holds nothing that is no number.
                    if round % 50 == 0 {
                        #expect(try ManifestFile.read(YAMLWriter.text(.map(run.document)), name: "drawn") == .map(run.document))
                        _ = OutputTable(run.manifest).csv
                    }
                } catch {
                    #expect(!error.expected.isEmpty && !error.found.isEmpty)
                }
            }
        }
        #expect(computed > 200)
    }
}
