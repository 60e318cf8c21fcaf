import ImpactModels
import ManifestFiles
import Testing

/// Trees, defaults, pipelines and phases. All numbers are worked out by hand beside the manifests.
@Suite struct ManifestTests {
    /// 2 + 3 = 5; defaults fill the second observation's null and leave the first one's own value.
    static let defaults = """
        name: defaults
        initialize:
          plugins:
            sum: {path: builtin, method: Sum, config: {input-parameters: [a, b], output-parameter: c}}
        tree:
          pipeline: {compute: [sum]}
          defaults: {b: 3}
          children:
            one:
              inputs:
                - {timestamp: '2026-01-01T00:00:00Z', duration: 1, a: 2, b: 30}
                - {timestamp: '2026-01-01T00:00:01Z', duration: 1, a: 2, b: null}
                - {timestamp: '2026-01-01T00:00:02Z', duration: 1, a: 2}
            two:
              defaults: {a: 1}
              inputs:
                - {timestamp: '2026-01-01T00:00:00Z', duration: 1, b: 4}
        """

    @Test func defaultsFillWhatIsMissingOrNullAndNothingElse() throws {
        let run = try Running.run(Self.defaults)
        #expect(run.outputs("one").map { $0["c"]?.number } == [32, 5, 5])
        #expect(run.outputs("two").map { $0["c"]?.number } == [5])
    }

    @Test func theNearestDefaultsTakeThePlaceOfTheOthersAsAWhole() throws {
        let yaml = Self.defaults.replacing("duration: 1, b: 4", with: "duration: 1")
        #expect(Running.fault(yaml)?.contains("tree.children.two: sum: inputs[0]: b: expected a number, found none among") == true)
    }

    @Test func aDocumentIsWrittenBackWithItsOrderAndReadAgainTheSame() throws {
        let run = try Running.run(Self.defaults)
        let text = YAMLWriter.text(.map(run.document))
        let again = try ManifestFile.read(text, name: "again")
        #expect(again == .map(run.document))
        #expect(again.map?.keys == ["name", "initialize", "tree", "execution"])
        let json = try ManifestFile.read(OrderedJSON.text(.map(run.document)), name: "again.json")
        #expect(json == .map(run.document))
    }

    @Test func theOutputOfARunRunsAgainToTheSame() throws {
        let once = try Running.run(Self.defaults).document
        let twice = try ModelRun(Manifest(.map(once)), sources: ModelSources()).document
        #expect(once == twice)
    }

    static let regroup = """
        name: regroup
        initialize:
          plugins:
            double: {path: builtin, method: Coefficient, config: {input-parameter: energy, coefficient: 2, output-parameter: twice}}
        tree:
          children:
            my-app:
              pipeline:
                regroup: [cloud/region, cloud/instance-type]
                compute: [double]
              defaults: {cloud/region: uk-west}
              inputs:
                - {timestamp: 2026-07-06T00:00, duration: 300, cloud/instance-type: A1, energy: 1}
                - {timestamp: 2026-07-06T00:00, duration: 300, cloud/instance-type: B1, energy: 2}
                - {timestamp: 2026-07-06T00:05, duration: 300, cloud/instance-type: A1, energy: 3}
        """

    @Test func regroupMovesObservationsIntoChildrenAndComputesThere() throws {
        let run = try Running.run(Self.regroup)
        #expect(run.node("my-app").inputs == nil)
        // In the order in which their values come.
        #expect(run.node("my-app", "uk-west").children.map(\.name) == ["A1", "B1"])
        #expect(run.node("my-app", "uk-west", "A1").outputs?.map { $0["twice"]?.number } == [2, 6])
        #expect(run.node("my-app", "uk-west", "B1").outputs?.map { $0["twice"]?.number } == [4])
    }

    @Test func regroupingWhatIsGroupedChangesNothing() throws {
        let once = try Running.run(Self.regroup).document
        // Its places in notes are others.
        #expect(try ModelRun(Manifest(.map(once)), sources: ModelSources()).document["tree"] == once["tree"])
    }

    @Test func anObservationThatLacksTheGroupIsNamed() {
        let fault = Running.fault(Self.regroup.replacing("      defaults: {cloud/region: uk-west}\n", with: ""))
        #expect(fault?.hasPrefix("tree.children.my-app: inputs[0]: cloud/region: expected a value to regroup by") == true)
    }

    @Test func aPhaseByItselfDoesOnlyItsPart() throws {
        let observe = """
            name: phases
            initialize:
              plugins:
                mock:
                  path: builtin
                  method: MockObservations
                  config: {timestamp-from: '2026-01-01T00:00:00Z', timestamp-to: '2026-01-01T00:02:00Z', duration: 60, generators: {common: {energy: 1}}}
                double: {path: builtin, method: Coefficient, config: {input-parameter: energy, coefficient: 2, output-parameter: twice}}
            tree:
              children:
                child:
                  pipeline: {observe: [mock], compute: [double]}
            """
        let observed = try Running.run(observe, phases: [.observe])
        #expect(observed.node("child").inputs?.count == 2)
        #expect(observed.node("child").outputs == nil)
        let computed = try ModelRun(
            Manifest(.map(observed.document)),
            options: .init(phases: [.compute]),
            sources: ModelSources()
        )
        #expect(computed.outputs().map { $0["twice"]?.number } == [2, 2])
        let regrouped = try Running.run(Self.regroup, phases: [.regroup])
        #expect(regrouped.node("my-app", "uk-west", "A1").inputs?.count == 2)
        #expect(regrouped.node("my-app", "uk-west", "A1").outputs == nil)
    }

    @Test func newOutputsComeAfterTheOldWhereThatIsAsked() throws {
        let once = try Running.run(Self.defaults).document
        let twice = try ModelRun(Manifest(.map(once)), options: .init(appends: true), sources: ModelSources())
        #expect(twice.outputs("one").count == 6)
    }

    /// As 2024's first manifests have it: a list of plugins, group-by among them with its settings at the node.
    @Test func aListWithoutPhasesIsRunFromTopToBottom() throws {
        let yaml = """
            name: groupby
            initialize:
              plugins:
                group-by: {path: builtin, method: GroupBy}
                mock:
                  kind: plugin
                  method: MockObservations
                  path: "@grnsft/if-models"
                  global-config:
                    timestamp-from: 2023-07-06T00:00
                    timestamp-to: 2023-07-06T00:02
                    duration: 60
                    components: [{instance-type: A1}, {instance-type: B1}]
                    generators: {common: {region: uk-west}, randint: {cpu/utilization: {min: 0, max: 99}}}
                half: {path: builtin, method: Divide, config: {numerator: cpu/utilization, denominator: 2, output: half}}
            tree:
              children:
                my-app:
                  pipeline: [mock, group-by, half]
                  config: {group-by: {group: [region, instance-type]}}
                  inputs:
            """
        let run = try Running.run(yaml)
        let outputs = run.node("my-app", "uk-west", "B1").outputs ?? []
        #expect(outputs.count == 2)
        for output in outputs { #expect(output["half"]?.number == (output["cpu/utilization"]?.number ?? -1) / 2) }
        #expect(run.noteTexts.contains("global-config: read as config"))
        #expect(run.noteTexts.contains("are taken for UTC"))
    }

    /// 10 kWh * 457 g = 4570 g; 251000 g * 3600/126144000 * 1/1 = 7.16324201 g; (4570 + 7.16324201)/380.
    @Test func anImplsPipelineConfigAndModelsAreUnderstood() throws {
        let yaml = """
            name: nesting
            description:
            initialize:
              models:
                - {name: sci-e, kind: builtin, verbose: false, path: ''}
                - {name: sci-m, model: SciMModel, path: '@grnsft/if-models'}
                - {name: sci-o, model: SciOModel, path: '@grnsft/if-models'}
                - {name: sci, kind: builtin, config: {functional_unit: requests}}
            graph:
              children:
                child:
                  pipeline: [sci-e, sci-m, sci-o, sci]
                  config:
                    sci-m: {total-embodied-emissions: 251000, time-reserved: 3600, expected-lifespan: 126144000, resources-reserved: 1, total-resources: 1}
                    sci-o: {grid-carbon-intensity: 457}
                  children:
                    child-1:
                      inputs:
                        - {timestamp: 2023-07-06T00:00, duration: 10, energy-cpu: 4, energy-network: 6, requests: 380, grid-carbon-intensity: 1}
            """
        let run = try Running.run(yaml)
        let output = try #require(run.node("child", "child-1").outputs?.first)
        #expect(output["energy"]?.number == 10)
        #expect(output["operational-carbon"]?.number == 4570)
        #expect(near(output["embodied-carbon"]?.number, 251_000.0 * 3600 / 126_144_000))
        #expect(near(output["sci"]?.number, (4570 + 251_000.0 * 3600 / 126_144_000) / 380))
        #expect(run.noteTexts.contains("config of sci-o goes before the observations' own value"))
        #expect(run.noteTexts.contains("functional_unit: read as functional-unit"))
    }

    /// A minute of 18072 g over an hour is 301.2 g, by 100 requests a minute; 3600 s of a lifespan of 7200 s, of 10 g, is 5 g; 100 W * 0.32.
    @Test func settingsOfTheFirstImplsAreUnderstood() throws {
        let yaml = """
            name: first
            aggregation: {aggregation-metrics: [carbon], aggregation-method: sum}
            initialize:
              models:
                - {name: sci, model: SciModel, path: if-models}
                - {name: sci-m, path: false}
                - {name: teads-curve, kind: builtin}
            graph:
              children:
                child:
                  pipeline: [teads-curve, sci-m, sci]
                  config:
                    teads-curve: {thermal-design-power: 100, interpolation: spline}
                    sci: {functional-unit-duration: 1, functional-unit-time: minutes, functional-unit: requests}
                    sci-m: {total-embodied-emissions: 10, time-reserved: duration, expected-lifespan: 7200, resources-reserved: 1, total-resources: 1}
                  inputs:
                    - {timestamp: 2023-07-06T00:00, duration: 3600, cpu-util: 10, carbon: 18072, requests: 100}
            """
        let run = try Running.run(yaml)
        let output = try #require(run.outputs().first)
        #expect(near(output["energy-cpu"]?.number, 0.032))
        #expect(output["embodied-carbon"]?.number == 5)
        #expect(near(output["sci"]?.number, 3.012))
        let rate = try Running.run(yaml.replacing(", requests: 100}", with: "}"))
        #expect(near(rate.outputs().first?["sci"]?.number, 301.2))
        #expect(rate.noteTexts.contains("sci is per time alone"))
        #expect(run.manifest.tree.aggregated?["carbon"]?.number == 18_072)
        #expect(
            Running.fault(yaml.replacing("minutes", with: "fortnight"))?.contains("config.functional-unit-time: expected a time such as")
                == true
        )
    }

    @Test(arguments: [
        ("name: x", "expected the keys initialize and tree"),
        ("- 1", "expected a manifest"),
        ("initialize: {plugins: {}}\ntree: {children: {a: 3}}", "tree.children.a: expected a component"),
        ("initialize: {plugins: []}\ntree: {}", "initialize.plugins: expected a mapping"),
        (
            "initialize: {plugins: {}}\ntree: {pipeline: {compute: [sum]}, inputs: [{a: 1}]}",
            "expected plugins to be declared under initialize"
        ),
        (
            "initialize: {plugins: {a: {path: builtin, method: Sum}}}\ntree: {pipeline: {compute: [sum]}, inputs: [{a: 1}]}",
            "one of the plugins under initialize: a, found sum"
        ),
        (
            "initialize: {plugins: {a: {path: 'https://github.com/x/y', method: Sum}}}\ntree: {pipeline: {compute: [a]}, inputs: [{a: 1}]}",
            "code of others is neither fetched nor run"
        ),
        (
            "initialize: {plugins: {a: {path: builtin, method: Shell}}}\ntree: {pipeline: {compute: [a]}, inputs: [{a: 1}]}",
            "a manifest starts no programs here"
        ),
        (
            "initialize: {plugins: {a: {path: builtin, method: Sum, config: {input-parameters: [x]}}}}\ntree: {pipeline: {compute: [a]}, inputs: [{x: 1}]}",
            "initialize.plugins.a: config.output-parameter: expected a text, found nothing"
        ),
        ("initialize: {plugins: {}}\ntree: {inputs: [1]}", "tree: inputs[0]: expected an observation"),
        ("initialize: {plugins: {}}\ntree: {pipeline: {comput: []}}", "tree: pipeline: expected observe, regroup or compute, found comput"),
        (
            "initialize: {plugins: {}}\naggregation: {metrics: [a], type: all}\ntree: {}",
            "aggregation.type: expected time, component or both"
        ),
        ("a: [", "expected YAML"),
    ])
    func faultsSayWhereWhatWasExpectedAndWhatWasFound(yaml: String, text: String) {
        let fault = Running.fault(yaml)
        #expect(fault?.contains(text) == true, "\(fault ?? "no fault")")
    }

    @Test func aValueOfAnotherKindIsNamedWithNodeStepObservationAndKey() {
        let yaml = """
            initialize: {plugins: {sum: {path: builtin, method: Sum, config: {input-parameters: [a], output-parameter: b}}}}
            tree: {children: {app: {pipeline: {compute: [sum]}, children: {web: {inputs: [{a: 1}, {a: x}]}}}}}
            """
        #expect(Running.fault(yaml) == "tree.children.app.children.web: sum: inputs[1]: a: expected a number, found the text \"x\"")
    }

    @Test func whatPluginsSayOfTheirParametersIsExplainedWhereThatIsAsked() throws {
        let yaml = """
            explainer: true
            initialize:
              plugins:
                sum:
                  path: builtin
                  method: Sum
                  config: {input-parameters: [a], output-parameter: b}
                  parameter-metadata: {outputs: {b: {unit: kWh, description: energy, aggregation-method: {time: sum, component: sum}}}}
            tree: {pipeline: {compute: [sum]}, inputs: [{a: 1}]}
            """
        let explained = try Running.run(yaml).document["explain"]?.map?["sum"]?.map
        #expect(explained?["method"]?.text == "Sum")
        #expect(explained?["outputs"]?.map?["b"]?.map?["unit"]?.text == "kWh")
        #expect(try Running.run(yaml.replacing("explainer: true", with: "explainer: false")).document["explain"] == nil)
    }

    @Test func aliasesAreWrittenOutAndBombsAreRefused() throws {
        let merged = try ManifestFile.read("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}", name: "m")
        #expect(merged.map?["b"]?.map == ModelMap([("k", .integer(3)), ("l", .integer(2))]))
        var bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        for level in 1...9 {
            bomb += "a\(level): &a\(level) [" + [String](repeating: "*a\(level - 1)", count: 10).joined(separator: ",") + "]\n"
        }
        #expect(throws: ModelFault.self) { try ManifestFile.read(bomb, name: "bomb") }
    }

    @Test(arguments: [
        ("0.5", ModelValue.number(0.5)), ("1e3", .number(1000)), ("-7", .integer(-7)), ("+7", .integer(7)), ("0x1F", .integer(31)),
        (".5", .number(0.5)),
        ("1.", .number(1)), ("off", .text("off")), ("yes", .text("yes")), ("'10'", .text("10")),
        ("2023-07-06T00:00", .text("2023-07-06T00:00")),
        ("1_000", .text("1_000")), (".nan", .text(".nan")), ("-", .text("-")), ("~", .null), ("TRUE", .bool(true)),
        ("12:30", .text("12:30")),
        ("5.398804976536068e-07", .number(5.398804976536068e-07)), ("e5", .text("e5")), ("1e400", .text("1e400")),
    ])
    func scalarsAreReadByTheCoreSchemaAndComeBack(text: String, value: ModelValue) throws {
        guard text != "-" else { return }
        #expect(try ManifestFile.read("k: \(text)", name: "s").map?["k"] == value)
        #expect(try ManifestFile.read(YAMLWriter.text(.map(ModelMap([("k", value)]))), name: "s").map?["k"] == value)
    }
}
