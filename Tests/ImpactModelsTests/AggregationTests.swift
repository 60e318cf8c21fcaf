import Energy
import Foundation
import ImpactModels
import TestSupport
import Testing

/// Aggregation and time sync against sums over single seconds.
@Suite struct AggregationTests {
    /// Observations of one component: one after the other with gaps, in whole seconds from a start.
    struct Drawn {
        var start: Int
        var seconds: Int
        var energy: Double
        var level: Double
    }

    static func drawn(_ random: inout RandomSource, count: Int, span: Int) -> [Drawn] {
        var at = Int.random(in: 0..<span / 4, using: &random)
        var result: [Drawn] = []
        for _ in 0..<count {
            let seconds = Int.random(in: 1...(span / count), using: &random)
            result.append(
                Drawn(
                    start: at,
                    seconds: seconds,
                    energy: Double.random(in: 0...10, using: &random),
                    level: Double.random(in: 0...100, using: &random)
                )
            )
            at += seconds + (random.chance(0.4) ? Int.random(in: 1...30, using: &random) : 0)
        }
        return result
    }

    static func time(_ second: Int) -> ModelValue {
        let minute = second / 60
        func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
        return .text("2026-03-01T\(two(minute / 60)):\(two(minute % 60)):\(two(second % 60))Z")
    }

    static func second(_ value: ModelValue?) -> Int {
        let parts = (value?.text ?? "").split { "T:Z".contains($0) }.dropFirst().compactMap { Int($0) }
        return parts.reduce(0) { $0 * 60 + $1 }
    }

    static func observation(_ one: Drawn) -> ModelMap {
        ModelMap([
            ("timestamp", time(one.start)), ("duration", .integer(Int64(one.seconds))), ("energy", .number(one.energy)),
            ("cpu/utilization", .number(one.level)),
        ])
    }

    static func manifest(_ components: [(String, [Drawn])], step: ModelMap, type: String?) -> ModelValue {
        let children = components.map { name, list in
            (name, ModelValue.map(ModelMap([("inputs", .list(list.map { .map(observation($0)) }))])))
        }
        var document = ModelMap([
            ("name", .text("drawn")), ("initialize", .map(ModelMap([("plugins", .map(ModelMap([("step", .map(step))])))]))),
            (
                "tree",
                .map(
                    ModelMap([("pipeline", .map(ModelMap([("compute", .list([.text("step")]))]))), ("children", .map(ModelMap(children)))])
                )
            ),
        ])
        if let type {
            document["aggregation"] = .map(
                ModelMap([("metrics", .list([.text("energy"), .text("cpu/utilization")])), ("type", .text(type))])
            )
        }
        return .map(document)
    }

    static let copy = ModelMap([
        ("path", .text("builtin")), ("method", .text("Copy")),
        ("config", .map(ModelMap([("from", .text("energy")), ("to", .text("again"))]))),
    ])

    @Test func aggregationEqualsTheSumOverSeconds() throws {
        var random = RandomSource(seed: 71)
        for _ in 0..<LongRun.rounds(short: 40, long: 2_000) {
            let components = (0..<Int.random(in: 1...5, using: &random)).map { number in
                ("c\(number)", Self.drawn(&random, count: Int.random(in: 1...8, using: &random), span: 600))
            }
            let run = try ModelRun(Manifest(Self.manifest(components, step: Self.copy, type: "both")), sources: ModelSources())
            // Every second by itself: energy evenly over its observation, levels as a mean of the components that run.
            var energy: [Int: Double] = [:]
            var levels: [Int: [Double]] = [:]
            for (_, list) in components {
                for one in list {
                    for second in one.start..<(one.start + one.seconds) {
                        energy[second, default: 0] += one.energy / Double(one.seconds)
                        levels[second, default: []].append(one.level)
                    }
                }
            }
            let tree = run.manifest.tree
            var covered = 0
            for row in tree.outputs ?? [] {
                let start = Self.second(row["timestamp"])
                let seconds = Int(row["duration"]?.number ?? 0)
                covered += seconds
                let range = start..<(start + seconds)
                #expect(near(row["energy"]?.number, range.map { energy[$0] ?? .nan }.reduce(0, +), relative: 1e-9))
                let means: [Double] = range.map { second in
                    let running = levels[second] ?? []
                    return running.reduce(0, +) / Double(running.count)
                }
                #expect(near(row["cpu/utilization"]?.number, means.reduce(0, +) / Double(seconds), relative: 1e-9))
            }
            #expect(covered == energy.count)
            #expect(near(tree.aggregated?["energy"]?.number, energy.values.reduce(0, +), relative: 1e-9))
            let means = levels.values.map { $0.reduce(0, +) / Double($0.count) }
            #expect(near(tree.aggregated?["cpu/utilization"]?.number, means.reduce(0, +) / Double(means.count), relative: 1e-9))
            for (name, list) in components {
                let area = list.map { $0.level * Double($0.seconds) }.reduce(0, +)
                let seconds = list.map(\.seconds).reduce(0, +)
                #expect(near(run.node(name).aggregated?["cpu/utilization"]?.number, area / Double(seconds), relative: 1e-9))
            }
        }
    }

    @Test func theOrderOfSiblingsDoesNotMatter() throws {
        var random = RandomSource(seed: 72)
        for _ in 0..<LongRun.rounds(short: 20, long: 500) {
            var components = (0..<4).map { number in ("c\(number)", Self.drawn(&random, count: 5, span: 300)) }
            let one = try ModelRun(Manifest(Self.manifest(components, step: Self.copy, type: "both")), sources: ModelSources()).manifest
                .tree
            components.shuffle(using: &random)
            let other = try ModelRun(Manifest(Self.manifest(components, step: Self.copy, type: "both")), sources: ModelSources()).manifest
                .tree
            #expect(one.outputs?.count == other.outputs?.count)
            for (a, b) in zip(one.outputs ?? [], other.outputs ?? []) {
                #expect(a["timestamp"] == b["timestamp"])
                for key in ["energy", "cpu/utilization"] { #expect(near(a[key]?.number, b[key]?.number ?? .nan)) }
            }
        }
    }

    @Test func timeSyncKeepsSumsWhateverTheStepIs() throws {
        var random = RandomSource(seed: 73)
        for _ in 0..<LongRun.rounds(short: 60, long: 3_000) {
            let list = Self.drawn(&random, count: Int.random(in: 1...10, using: &random), span: 900)
            let end = (list.last.map { $0.start + $0.seconds } ?? 0) + Int.random(in: 0...20, using: &random)
            let step = [0.25, 0.7, 1, 3, 5, 7.5, 60, 61, 1_000][Int.random(in: 0..<9, using: &random)]
            let plugin = ModelMap([
                ("path", .text("builtin")), ("method", .text("TimeSync")),
                (
                    "config",
                    .map(
                        ModelMap([
                            ("start-time", Self.time(0)), ("end-time", Self.time(end)), ("interval", .number(step)),
                            ("allow-padding", .bool(true)),
                        ])
                    )
                ),
            ])
            let outputs = try ModelRun(Manifest(Self.manifest([("c", list)], step: plugin, type: nil)), sources: ModelSources()).outputs(
                "c"
            )
            let energies = outputs.map { $0["energy"]?.number ?? .nan }
            let durations = outputs.map { $0["duration"]?.number ?? .nan }
            let levels = outputs.map { $0["cpu/utilization"]?.number ?? .nan }
            #expect(near(energies.reduce(0, +), list.map(\.energy).reduce(0, +), relative: 1e-9))
            #expect(near(durations.reduce(0, +), Double(end), relative: 1e-9))
            // Levels keep their area: gaps are times when it was off.
            let area = zip(levels, durations).map { $0 * $1 }.reduce(0, +)
            let drawn = list.map { $0.level * Double($0.seconds) }.reduce(0, +)
            #expect(near(area, drawn, relative: 1e-9))
        }
    }

    // MARK: By hand

    @Test func timeSyncCutsWhatLiesOutsideAndRefusesPaddingThatIsNotAllowed() throws {
        func yaml(_ config: String) -> String {
            """
            initialize: {plugins: {step: {path: builtin, method: TimeSync, config: \(config)}}}
            tree:
              children:
                child:
                  pipeline: {compute: [step]}
                  inputs:
                    - {timestamp: '2026-01-01T00:00:10Z', duration: 10, energy: 10, cpu/utilization: 40, host: a}
                    - {timestamp: '2026-01-01T00:00:30Z', duration: 20, energy: 4, cpu/utilization: 10, host: b}
            """
        }
        // 15...20 of the first: 5 kWh; 30...40 of the second: 2 kWh; means over the whole step.
        let cut = try Running.run(yaml("{start-time: '2026-01-01T00:00:15Z', end-time: '2026-01-01T00:00:40Z', interval: 20}")).outputs()
        #expect(cut.map { $0["energy"]?.number } == [6, 1])
        #expect(cut.map { $0["cpu/utilization"]?.number } == [12.5, 10])
        #expect(cut.map { $0["duration"]?.number } == [20, 5])
        let refused = Running.fault(
            yaml("{start-time: '2026-01-01T00:00:00Z', end-time: '2026-01-01T00:00:40Z', interval: 20, allow-padding: false}")
        )
        #expect(refused?.contains("expected observations from 2026-01-01T00:00:00Z to 2026-01-01T00:00:40Z") == true)
        let later = Running.fault(yaml("{start-time: '2026-01-01T00:01:00Z', end-time: '2026-01-01T00:00:40Z', interval: 20}"))
        #expect(later?.contains("config.end-time: expected an instant after start-time") == true)
        let overlap = yaml("{start-time: '2026-01-01T00:00:00Z', end-time: '2026-01-01T00:00:40Z', interval: 20}")
            .replacing("00:00:30Z', duration: 20", with: "00:00:15Z', duration: 20")
        #expect(
            Running.fault(overlap)?.contains("inputs[1]: timestamp: expected one observation at a time: not before 2026-01-01T00:00:20Z")
                == true
        )
    }

    private static let kinds = """
        aggregation: {metrics: [a, b, c, d, e, f], type: both}
        initialize:
          plugins:
            step:
              path: builtin
              method: Coefficient
              config: {input-parameter: a, coefficient: 1, output-parameter: a}
              parameter-metadata:
                outputs:
                  a: {aggregation-method: {time: min, component: max}}
                  b: {aggregation-method: {time: max, component: min}}
                  c: {aggregation-method: {time: median, component: median}}
                  d: {aggregation-method: {time: none, component: none}}
                  e: {aggregation-method: {time: copy, component: sum}}
                  f: {aggregation-method: {time: copy, component: copy}}
        tree:
          pipeline: {compute: [step]}
          children:
            x:
              inputs:
                - {timestamp: '2026-01-01T00:00:00Z', duration: 1, a: 3, b: 3, c: 3, d: m, e: 2, f: k}
                - {timestamp: '2026-01-01T00:00:01Z', duration: 1, a: 1, b: 1, c: 1, d: n, e: 2, f: k}
                - {timestamp: '2026-01-01T00:00:02Z', duration: 1, a: 2, b: 8, c: 2, d: 2, e: 2, f: l}
            y:
              inputs: [{timestamp: '2026-01-01T00:00:00Z', duration: 3, a: 9, b: 9, c: 9, d: 9, e: 4, f: k}]
        """

    @Test func everyMethodIsWhatItSays() throws {
        let run = try Running.run(Self.kinds)
        let x = run.node("x").aggregated
        #expect(x?["a"]?.number == 1)
        #expect(x?["b"]?.number == 8)
        #expect(x?["c"]?.number == 2)
        #expect(x?["d"] == .null)
        #expect(x?["e"]?.number == 2)
        #expect(x?["f"] == .null)
        #expect(run.noteTexts.contains("tree.children.x: f: null, as it is copied but its outputs differ"))
        let rows = run.manifest.tree.outputs ?? []
        #expect(rows.map { $0["a"]?.number } == [9, 9, 9])
        #expect(rows.map { $0["b"]?.number } == [3, 1, 8])
        #expect(rows.map { $0["c"]?.number } == [6, 5, 5.5])
        #expect(rows.map { $0["e"]?.number } == [6, 6, 6])
        #expect(rows.map { $0["f"] } == [.text("k"), .text("k"), .null])
    }

    /// What has no duration is there all the same: 1 kWh at once at 00:00:10 beside 6 kWh over a minute.
    @Test func anInstantsEnergyIsNotLost() throws {
        let yaml = """
            aggregation: {metrics: [energy], type: both}
            initialize: {plugins: {step: {path: builtin, method: Copy, config: {from: energy, to: again}}}}
            tree:
              pipeline: {compute: [step]}
              children:
                x: {inputs: [{timestamp: '2026-01-01T00:00:10Z', duration: 0, energy: 1}]}
                y: {inputs: [{timestamp: '2026-01-01T00:00:00Z', duration: 60, energy: 6}]}
            """
        let tree = try Running.run(yaml).manifest.tree
        #expect(tree.aggregated?["energy"]?.number == 7)
        #expect(tree.outputs?.map { $0["timestamp"]?.text } == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z"])
        #expect(tree.outputs?.map { $0["duration"]?.number } == [60, 0])
    }

    @Test func aParentsKeysStandBeforeItsChildren() throws {
        let document = try Running.run(Self.kinds).document
        #expect(document["tree"]?.map?.keys == ["pipeline", "outputs", "aggregated", "children"])
    }

    @Test func aPartThatIsNotKnownMakesTheSumUnknownAndNotSmaller() throws {
        let yaml = """
            aggregation: {metrics: [energy], type: both}
            initialize: {plugins: {step: {path: builtin, method: Copy, config: {from: duration, to: seconds}}}}
            tree:
              pipeline: {compute: [step]}
              children:
                x: {inputs: [{timestamp: '2026-01-01T00:00:00Z', duration: 1, energy: null}]}
                y: {inputs: [{timestamp: '2026-01-01T00:00:00Z', duration: 1, energy: 1}]}
            """
        let run = try Running.run(yaml)
        #expect(run.node("x").aggregated?["energy"] == .null)
        #expect(run.node("y").aggregated?["energy"]?.number == 1)
        #expect(run.manifest.tree.aggregated?["energy"] == .null)
        #expect(run.noteTexts.contains("energy: null, as one of its children is"))
    }

    @Test(arguments: [
        ("time", true, false), ("horizontal", true, false), ("component", false, true), ("vertical", false, true), ("both", true, true),
    ])
    func onlyWhatWasAskedForIsPutTogether(type: String, leaves: Bool, parents: Bool) throws {
        let run = try Running.run(Self.kinds.replacing("type: both", with: "type: \(type)"))
        #expect((run.node("x").aggregated != nil) == leaves)
        #expect((run.manifest.tree.aggregated != nil) == parents)
    }
}
