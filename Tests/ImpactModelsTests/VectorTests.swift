import Foundation
import ImpactModels
import Testing

/// The built-ins against what upstream recorded, or gave when it was run.
@Suite(.enabled(if: Vectors.areHere, Vectors.absence)) struct VectorTests {
    /// Vectors that hold a known error, which only strict mode gives.
    private static let wrong: Set<String> = [
        "if05",  // x / 0 = x
        "if17",  // x and y sorted each by itself
        "if23",  // g of memory taken for kg
        "if25",  // 100 kg per vCPU
        "if33",  // means without weights
    ]
    /// What is not run in either mode.
    private static let absent: Set<String> = ["Regex"]

    @Test(arguments: [false, true])
    func theBuiltInsGiveWhatUpstreamGives(strict: Bool) throws {
        var compared = 0
        for vector in try Vectors.all()["if_builtins"]?.list ?? [] {
            let map = try #require(vector.map)
            let id = try #require(map["id"]?.text)
            let method = try #require(map["method"]?.text)
            guard !method.hasPrefix("aggregation"), !Self.absent.contains(method), strict || !Self.wrong.contains(id) else { continue }
            let document = Running.manifest(
                method: method,
                config: map["config"]?.map ?? ModelMap(),
                inputs: map["inputs"]?.list?.compactMap(\.map) ?? []
            )
            compared += 1
            let run: ModelRun
            do {
                run = try ModelRun(Manifest(document), options: .init(isStrict: strict), sources: ModelSources())
            } catch {
                #expect(map["error"] != nil, "\(id): \(error)")
                continue
            }
            let expected = try #require(map["outputs"]?.list, "\(id)").compactMap(\.map)
            let found = run.outputs()
            #expect(found.count == expected.count, "\(id)")
            for (found, expected) in zip(found, expected) {
                #expect(Set(found.keys) == Set(expected.keys), "\(id)")
                for (key, value) in expected.pairs {
                    if let number = value.number {
                        #expect(near(found[key]?.number, number), "\(id), \(key): \(found[key]?.plain ?? "") for \(number)")
                    } else {
                        #expect(found[key] == value, "\(id), \(key)")
                    }
                }
            }
        }
        #expect(compared >= (strict ? 14 : 10))
    }

    /// Means without weights, components by number: upstream's. By duration, a's mean is that of the longer observation and more.
    @Test func strictAggregationGivesWhatUpstreamGives() throws {
        let vector = try #require(try Vectors.all()["if_builtins"]?.list?.compactMap(\.map).first { $0["id"]?.text == "if33" })
        let methods = try #require(vector["aggregation"]?.map)
        let inputs = try #require(vector["inputs"]?.map)
        let metadata = ModelMap(
            methods.pairs.map { name, pair in
                let both = pair.list?.compactMap(\.text) ?? []
                let method = ModelMap([("time", .text(both.first ?? "")), ("component", .text(both.last ?? ""))])
                return (name, .map(ModelMap([("aggregation-method", .map(method))])))
            }
        )
        let step = ModelMap([
            ("path", .text("builtin")), ("method", .text("Copy")),
            ("config", .map(ModelMap([("from", .text("energy")), ("to", .text("again"))]))),
            ("parameter-metadata", .map(ModelMap([("inputs", .map(metadata))]))),
        ])
        let document = ModelMap([
            (
                "aggregation",
                .map(ModelMap([("metrics", .list(methods.keys.map { .text($0) })), ("type", .text("both"))]))
            ),
            ("initialize", .map(ModelMap([("plugins", .map(ModelMap([("step", .map(step))])))]))),
            (
                "tree",
                .map(
                    ModelMap([
                        ("pipeline", .map(ModelMap([("compute", .list([.text("step")]))]))),
                        ("children", .map(ModelMap(inputs.pairs.map { ($0.key, .map(ModelMap([("inputs", $0.value)]))) }))),
                    ])
                )
            ),
        ])
        let expected = try #require(vector["outputs"]?.map)
        let strict = try ModelRun(Manifest(.map(document)), options: .init(isStrict: true), sources: ModelSources())
        #expect(strict.node("a").aggregated.map { .map($0) } == expected["a.aggregated"])
        #expect(strict.node("b").aggregated.map { .map($0) } == expected["b.aggregated"])
        #expect(strict.manifest.tree.aggregated.map { .map($0) } == expected["tree.aggregated"])
        for (found, row) in zip(strict.manifest.tree.outputs ?? [], expected["tree.outputs"]?.list?.compactMap(\.map) ?? []) {
            for (key, value) in row.pairs { #expect(found[key] == value, "\(key)") }
        }
        let mended = try ModelRun(Manifest(.map(document)), sources: ModelSources())
        #expect(near(mended.node("a").aggregated?["cpu/utilization"]?.number, (10.0 * 300 + 30.0 * 3_600) / 3_900))
        #expect(mended.noteTexts.contains("joined by their numbers"))
    }
}
