import Carbon
import ImpactModels
import Testing

/// What upstream does wrong, mended, and kept in strict mode where somebody has to compare. What it runs as code is run in neither.
@Suite struct TrapTests {
    private static func one(_ method: String, _ config: String, _ inputs: String, strict: Bool, extra: String = "") throws -> ModelRun {
        try Running.run(document(method, config, inputs, extra), strict: strict, sources: CloudTables.sources)
    }

    private static func document(_ method: String, _ config: String, _ inputs: String, _ extra: String = "") -> String {
        """
        initialize: {plugins: {step: {path: builtin, method: \(method), config: \(config)\(extra)}}}
        tree: {children: {child: {pipeline: {compute: [step]}, inputs: \(inputs)}}}
        """
    }

    // MARK: Arithmetic

    @Test func aDenominatorOfZeroIsAFaultAndUpstreamTheNumerator() throws {
        let config = "{numerator: a, denominator: 0, output: q}"
        #expect(Running.fault(Self.document("Divide", config, "[{a: 24}]"))?.contains("a number other than 0") == true)
        let strict = try Self.one("Divide", config, "[{a: 24}]", strict: true)
        #expect(strict.outputs().first?["q"]?.number == 24)
        #expect(strict.noteTexts.contains("denominator 0"))
    }

    @Test(arguments: [false, true]) func aZeroAmongTheInputsIsAFaultInBothModes(strict: Bool) {
        let yaml = Self.document("Divide", "{numerator: a, denominator: b, output: q}", "[{a: 24, b: 0}]")
        #expect(Running.fault(yaml, strict: strict)?.contains("expected a denominator other than 0, found 0") == true)
    }

    @Test func aResultMayHaveADigitInItsNameButNotUpstream() throws {
        let config = "{input-parameters: [a], output-parameter: co2}"
        #expect(try Self.one("Sum", config, "[{a: 1}]", strict: false).outputs().first?["co2"]?.number == 1)
        #expect(Running.fault(Self.document("Sum", config, "[{a: 1}]"), strict: true)?.contains("a name without digits") == true)
    }

    @Test(arguments: [false, true]) func arithmeticIsReadAndNeverRun(strict: Bool) throws {
        let run = try Self.one(
            "Coefficient",
            "{input-parameter: \"='cpu/energy' * 3\", coefficient: '=1+1', output-parameter: x}",
            "[{cpu/energy: 0.5}]",
            strict: strict
        )
        #expect(run.outputs().first?["x"]?.number == 3)
        let yaml = Self.document("Sum", "{input-parameters: ['=process.exit(7)'], output-parameter: x}", "[{a: 1}]")
        #expect(Running.fault(yaml, strict: strict)?.contains("expected arithmetic such as") == true)
    }

    @Test(arguments: [false, true], ["Shell", "Regex"]) func whatUpstreamRunsAsCodeIsRefused(strict: Bool, method: String) {
        #expect(Running.fault(Self.document(method, "{}", "[{a: 1}]"), strict: strict)?.contains("method: expected one of") == true)
    }

    @Test(arguments: [
        ("Sum", "{input-parameters: [a, b], output-parameter: r}"), ("Multiply", "{input-parameters: [a, b], output-parameter: r}"),
        ("Subtract", "{input-parameters: [a, b], output-parameter: r}"),
        ("Coefficient", "{input-parameter: '=a+b', coefficient: 2, output-parameter: r}"),
        ("Exponent", "{input-parameter: a, exponent: b, output-parameter: r}"), ("Divide", "{numerator: a, denominator: b, output: r}"),
        ("Interpolation", "{x: [0, 9], y: [0, 9], input-parameter: b, output-parameter: r}"), ("Sci", "{functional-unit: b}"),
    ])
    func whatIsComputedOfTheUnknownIsUnknownAndUpstreamAFault(method: String, config: String) throws {
        let run = try Self.one(method, config, "[{a: 1, b: null, carbon: 1}, {a: 1, b: 2, carbon: 1}]", strict: false)
        let result = method == "Sci" ? "sci" : "r"
        #expect(run.outputs().map { $0[result]?.isNull } == [true, false])
        #expect(run.noteTexts.contains("\(result) is null where b is"))
        #expect(
            Running.fault(Self.document(method, config, "[{a: 1, b: null, carbon: 1}]"), strict: true)?.contains("b: expected a number")
                == true
        )
        // What is missing is a slip in both.
        #expect(Running.fault(Self.document(method, config, "[{a: 1, carbon: 1}]"))?.contains("b: expected a number") == true)
    }

    @Test func theIntensityOfWhatIsPartlyUnknownIsUnknown() throws {
        let inputs = "[{carbon-operational: 1, carbon-embodied: null, jobs: 1}, {carbon-operational: 1, carbon-embodied: 2, jobs: 1}]"
        let run = try Self.one("Sci", "{functional-unit: jobs}", inputs, strict: false)
        #expect(run.outputs().map { $0["sci"] } == [.null, .number(3)])
        #expect(run.noteTexts.contains("sci is null where carbon-embodied is"))
    }

    // MARK: Curves

    /// x 0, 50, 100 with y 1, 3, 2: at 75 between 3 and 2. With y sorted by itself: between 2 and 3 at 50 and 100.
    @Test func theMembersOfAPointStayTogether() throws {
        let config = "{method: linear, x: [100, 0, 50], y: [2, 1, 3], input-parameter: u, output-parameter: r}"
        let inputs = "[{u: 50}, {u: 75}, {u: 100}]"
        #expect(try Self.one("Interpolation", config, inputs, strict: false).outputs().map { $0["r"]?.number } == [3, 2.5, 2])
        #expect(try Self.one("Interpolation", config, inputs, strict: true).outputs().map { $0["r"]?.number } == [2, 2.5, 3])
    }

    @Test(arguments: [false, true]) func aValueOutsideTheCurveIsAFaultAndOffIsZero(strict: Bool) throws {
        let config = "{method: spline, x: [0, 50, 100], y: [1, 2, 3], input-parameter: u, output-parameter: r}"
        #expect(try Self.one("Interpolation", config, "[{u: off}]", strict: strict).outputs().first?["r"]?.number == 0)
        let fault = Running.fault(Self.document("Interpolation", config, "[{u: 50}, {u: 100.5}]"), strict: strict)
        #expect(fault?.contains("inputs[1]: input-parameter: expected a number from 0 to 100") == true)
    }

    // MARK: Embodied and SCI

    /// 1,000,000 + 2 * 100,000 (SSD) + 50,000 (HDD) = 1,250,000 g for 1/35040 of its life; upstream 1,000,000 + 100,000 + 100,000.
    @Test func anSSDIsHeavierThanAnHDDAndNotTheReverse() throws {
        let mended = try Self.one("SciEmbodied", "{}", "[{duration: 3600, ssd: 2, hdd: 1, usage-ratio: 1}]", strict: false)
        #expect(near(mended.outputs().first?["embodied-carbon"]?.number, 1_250_000.0 / 35_040))
        let strict = try Self.one("SciEmbodied", "{}", "[{duration: 3600, ssd: 2, hdd: 1, usage-ratio: 1}]", strict: true)
        #expect(near(strict.outputs().first?["embodied-carbon"]?.number, 1_200_000.0 / 35_040))
    }

    /// The host of an m5n.large: 1,000,000 + 100,000 (second socket) + 368 GB * 533,000/384 g, of which 2/96. Upstream adds 95 * 100,000 g.
    @Test func aVCPUIsNoSocket() throws {
        let inputs = "[{duration: 3600, vCPUs: 96, sockets: 2, memory: 384, usage-ratio: 0.020833333333333332}]"
        let mended = try Self.one("SciEmbodied", "{}", inputs, strict: false).outputs().first?["embodied-carbon"]?.number
        let host: Double = 1_100_000 + 368.0 * 533_000.0 / 384.0
        #expect(near(mended, host / 48 / 35_040))
        #expect(near(mended, 0.9577, relative: 1e-4))
        let strict = try Self.one("SciEmbodied", "{}", inputs, strict: true).outputs().first?["embodied-carbon"]?.number
        #expect(near(strict, 6.54656087487316))
    }

    @Test func aConstantPerGigabyteInGramsIsReadAsSuch() throws {
        let config = "{memory-emissions-constant: 1172}"
        let mended = try Self.one("SciEmbodied", config, "[{duration: 3600, memory: 32, usage-ratio: 1}]", strict: false)
        #expect(near(mended.outputs().first?["embodied-carbon"]?.number, (1_000_000 + 16 * 1172.0) / 35_040))
        #expect(mended.noteTexts.contains("read as g per GB"))
        let strict = try Self.one("SciEmbodied", config, "[{duration: 3600, memory: 32, usage-ratio: 1}]", strict: true)
        #expect(near(strict.outputs().first?["embodied-carbon"]?.number, (1_000_000 + 16 * 1_172_000.0) / 35_040))
    }

    @Test func aShareThatNobodyGaveIsSaidToBeTheWholeMachine() throws {
        let mended = try Self.one("SciEmbodied", "{}", "[{duration: 3600}]", strict: false)
        #expect(mended.noteTexts.contains("the whole machine counts"))
        #expect(Running.fault(Self.document("SciEmbodied", "{}", "[{duration: 3600, usage-ratio: 2}]"))?.contains("0 to 1") == true)
        #expect(try Self.one("SciEmbodied", "{}", "[{duration: 3600, usage-ratio: 2}]", strict: true).outputs().count == 1)
    }

    @Test func noUnitsHaveNoIntensityAndUpstreamAllOfTheCarbon() throws {
        let mended = try Self.one("Sci", "{functional-unit: jobs}", "[{carbon: 5, jobs: 0}]", strict: false)
        #expect(mended.outputs().first?["sci"] == .null)
        #expect(mended.noteTexts.contains("sci is null"))
        let strict = try Self.one("Sci", "{functional-unit: jobs}", "[{carbon: 5, jobs: 0}]", strict: true)
        #expect(strict.outputs().first?["sci"]?.number == 5)
    }

    // MARK: Cloud machines

    /// 1.2778987163047038 + 1.5 * (7.9346094687875128 - 1.2778987163047038) W for an hour.
    @Test func aMachineIsNotBusierThanFull() throws {
        let inputs = "[{duration: 3600, cloud/vendor: aws, cloud/instance-type: m5n.large, cpu/utilization: 150}]"
        let fault = Running.fault(Self.document("CloudCarbonFootprint", "{}", inputs), sources: CloudTables.sources)
        #expect(fault?.contains("cpu/utilization: expected percent of the vCPUs' time, 0 to 100, found the number 150") == true)
        let strict = try Self.one("CloudCarbonFootprint", "{}", inputs, strict: true)
        #expect(near(strict.outputs().first?["energy"]?.number, 0.011262964845028917))
    }

    // MARK: Lookups

    private static let table = ModelSources(
        file: { path throws(SourceRefusal) in
            guard path == "t.csv" else { throw SourceRefusal(expected: "a file", found: "none at \(path)") }
            return "name,size,zone,watts\nA1,1,,10\nA1,2,x,20\n,0,x,30\n\"B, 1\",01,y,40\n"
        },
        cloud: CloudTables.model
    )

    private func lookup(_ query: String, _ output: String, _ inputs: String, strict: Bool = false) throws -> ModelRun {
        try Running.run(
            Self.document("CSVLookup", "{filepath: t.csv, query: \(query), output: \(output)}", inputs),
            strict: strict,
            sources: Self.table
        )
    }

    @Test func fieldsAreComparedAsWhatTheyAreAndLooselyUpstream() throws {
        // An empty field is no 0, and true is no 1.
        for (query, inputs) in [("{zone: z}", "[{z: 0}]"), ("{size: s}", "[{s: true}]")] {
            #expect(throws: ModelFault.self) { try lookup(query, "watts", inputs) }
            #expect(try lookup(query, "watts", inputs, strict: true).outputs().first?["watts"]?.number == 10)
        }
        #expect(try lookup("{name: n, size: s}", "watts", "[{n: A1, s: 2.0}]").outputs().first?["watts"]?.number == 20)
        // 01 is the number 1, and not the text 1.
        #expect(try lookup("{zone: z, size: s}", "watts", "[{z: y, s: 1}]").outputs().first?["watts"]?.number == 40)
        #expect(throws: ModelFault.self) { try lookup("{zone: z, size: s}", "watts", "[{z: y, s: '1'}]") }
        #expect(try lookup("{name: n}", "watts", "[{n: 'B, 1'}]").outputs().first?["watts"]?.number == 40)
    }

    @Test func anEmptyFieldIsNullAndUpstreamAText() throws {
        #expect(try lookup("{name: n, size: s}", "zone", "[{n: A1, s: 1}]").outputs().first?["zone"] == .null)
        #expect(try lookup("{name: n, size: s}", "zone", "[{n: A1, s: 1}]", strict: true).outputs().first?["zone"] == .text("nan"))
    }

    @Test func aFigureForTheWholeCountsAndUpstreamNot() throws {
        let inputs =
            "[{duration: 3600, device/emissions-embodied: 1000, device/expected-lifespan: 7200, resources-reserved: 1, resources-total: 4}]"
        let mended = try Self.one("SciEmbodied", "{}", inputs, strict: false)
        #expect(mended.outputs().first?["carbon-embodied"]?.number == 125)
        #expect(mended.outputs().first?.contains("embodied-carbon") == false)
        // 1000 kg over four years, whatever the observation says.
        let strict = try Self.one("SciEmbodied", "{}", inputs, strict: true)
        #expect(near(strict.outputs().first?["embodied-carbon"]?.number, 1_000_000.0 / 35_040))
    }

    @Test func severalRowsThatDifferAreAFaultAndUpstreamTheFirst() throws {
        #expect(throws: ModelFault.self) { try lookup("{name: n}", "watts", "[{n: A1}]") }
        #expect(try lookup("{name: n}", "watts", "[{n: A1}]", strict: true).outputs().first?["watts"]?.number == 10)
        #expect(try lookup("{name: n}", "[[name, kind]]", "[{n: A1}]").outputs().first?["kind"]?.text == "A1")
    }

    @Test func twoColumnsAreNotOneUnderTheOthersName() throws {
        let fault = #expect(throws: ModelFault.self) { try lookup("{name: n, size: s}", "[watts, zone]", "[{n: A1, s: 2}]") }
        #expect(fault?.expected.contains("[[watts, watts], [zone, zone]]") == true)
        #expect(try lookup("{name: n, size: s}", "[watts, zone]", "[{n: A1, s: 2}]", strict: true).outputs().first?["zone"]?.number == 20)
        let both = try lookup("{name: n, size: s}", "[[watts, w], [zone, zone]]", "[{n: A1, s: 2}]").outputs().first
        #expect(both?["w"]?.number == 20)
        #expect(both?["zone"]?.text == "x")
        #expect(try lookup("{name: n, size: s}", "[watts, tdp]", "[{n: A1, s: 2}]").outputs().first?["tdp"]?.number == 20)
        #expect(
            try lookup("{name: n, size: s}", "'*'", "[{n: A1, s: 2}]").outputs().first?.keys == ["n", "s", "zone", "watts"]
        )
    }

    @Test(arguments: [false, true]) func aColumnThatIsThereTwiceIsAFault(strict: Bool) {
        let twice = ModelSources(file: { _ throws(SourceRefusal) in "name,watts,watts\nZ,1,2\n" })
        let document = Self.document("CSVLookup", "{filepath: t.csv, query: {name: n}, output: watts}", "[{n: Z}]")
        let fault = Running.fault(document, strict: strict, sources: twice)
        #expect(fault?.contains("expected each column once, not watts again, found t.csv, line 1") == true, "\(fault ?? "no fault")")
    }

    @Test(arguments: [false, true]) func whatIsNotThereIsAFault(strict: Bool) {
        for (config, text) in [
            ("{filepath: t.csv, query: {name: n}, output: watts}", "expected a row of t.csv with name = Z, found none"),
            ("{filepath: u.csv, query: {name: n}, output: watts}", "config.filepath: expected a file, found none at u.csv"),
            (
                "{filepath: t.csv, query: {nam: n}, output: watts}",
                "config.query: expected columns of t.csv: name, size, zone, watts, found nam"
            ),
            ("{filepath: t.csv, query: {name: n}, output: w}", "config.output: expected columns of t.csv"),
            ("{filepath: 'https://example.org/t.csv', query: {name: n}, output: w}", "none at https://example.org/t.csv"),
            (
                "{filepath: t.csv, query: {name: m}, output: watts}",
                "inputs[0]: m: expected a value to look up in the column name, found nothing"
            ),
        ] {
            let fault = Running.fault(Self.document("CSVLookup", config, "[{n: Z}]"), strict: strict, sources: Self.table)
            #expect(fault?.contains(text) == true, "\(fault ?? "no fault")")
        }
    }

    // MARK: Mock observations

    private static let mock = """
        {timestamp-from: '2026-01-01T00:00:00Z', timestamp-to: '2026-01-01T01:00:00Z', duration: 60, seed: 7,
         generators: {randint: {u: {min: 0, max: 99}}}}
        """

    @Test func aLeastValueOfZeroIsOneAndUpstreamMissing() throws {
        let values = try Self.one("MockObservations", Self.mock, "[]", strict: false).outputs().compactMap { $0["u"]?.number }
        #expect(values.count == 60)
        #expect(values.allSatisfy { (0...99).contains($0) })
        #expect(Running.fault(Self.document("MockObservations", Self.mock, "[]"), strict: true)?.contains("takes 0 for missing") == true)
    }

    @Test func mockObservationsAreTheSameEachTimeAndOthersForAnotherSeed() throws {
        let once = try Self.one("MockObservations", Self.mock, "[]", strict: false).outputs()
        #expect(try Self.one("MockObservations", Self.mock, "[]", strict: false).outputs() == once)
        #expect(try Self.one("MockObservations", Self.mock.replacing("seed: 7", with: "seed: 8"), "[]", strict: false).outputs() != once)
        // The same on every machine: the first three of this seed and node, from a second implementation.
        #expect(once.prefix(3).map { $0["u"]?.number } == [32, 55, 4])
    }

    // MARK: Time sync

    private static let sync = "{start-time: '2026-01-01T00:00:00Z', end-time: '2026-01-01T00:00:10Z', interval: 10, allow-padding: true}"

    @Test func aMeanHasAllItsSamplesAndUpstreamAllButOne() throws {
        let inputs = "[{timestamp: '2026-01-01T00:00:00Z', duration: 10, cpu/utilization: 10}]"
        let metadata = ", parameter-metadata: {inputs: {cpu/utilization: {aggregation-method: {time: avg, component: avg}}}}"
        #expect(
            try Self.one("TimeSync", Self.sync, inputs, strict: false, extra: metadata).outputs().map { $0["cpu/utilization"]?.number } == [
                10
            ]
        )
        #expect(
            try Self.one("TimeSync", Self.sync, inputs, strict: true, extra: metadata).outputs().map { $0["cpu/utilization"]?.number } == [
                9
            ]
        )
    }

    /// 6 kWh over a minute: 1 kWh in each of six steps, and not 6.
    @Test func energyThatNobodyDeclaredDoesNotMultiply() throws {
        let config = "{start-time: '2026-01-01T00:00:00Z', end-time: '2026-01-01T00:01:00Z', interval: 10, allow-padding: true}"
        let inputs = "[{timestamp: '2026-01-01T00:00:00Z', duration: 60, energy: 6, watts: 3, host: a}]"
        let mended = try Self.one("TimeSync", config, inputs, strict: false)
        #expect(near(mended.outputs().compactMap { $0["energy"]?.number }.reduce(0, +), 6))
        // What nobody knows is neither an amount nor a level: null with a note.
        #expect(mended.outputs().allSatisfy { $0["watts"] == .null && $0["host"] == .text("a") })
        #expect(mended.noteTexts.contains("watts: no aggregation-method is declared"))
        let strict = try Self.one("TimeSync", config, inputs, strict: true)
        #expect(strict.outputs().compactMap { $0["energy"]?.number }.reduce(0, +) == 36)
        #expect(strict.outputs().first?["watts"]?.number == 3)
    }

    // MARK: Aggregation

    private static let aggregation = """
        aggregation: {metrics: [cpu/utilization, energy], type: both, skip-components: [lost]}
        initialize:
          plugins:
            copy:
              path: builtin
              method: Copy
              config: {from: energy, to: again}
              parameter-metadata:
                inputs:
                  cpu/utilization: {aggregation-method: {time: avg, component: avg}}
                  energy: {aggregation-method: {time: sum, component: sum}}
        tree:
          pipeline: {compute: [copy]}
          children:
            a:
              inputs:
                - {timestamp: '2026-01-01T00:00:00Z', duration: 300, energy: 1, cpu/utilization: 10}
                - {timestamp: '2026-01-01T00:05:00Z', duration: 3600, energy: 3, cpu/utilization: 30}
            b:
              inputs:
                - {timestamp: '2026-01-01T00:05:00Z', duration: 3600, energy: 10, cpu/utilization: 70}
                - {timestamp: '2026-01-01T01:05:00Z', duration: 300, energy: 99, cpu/utilization: 50}
        """

    /// (10*300 + 30*3600)/3900 = 28.4615...; upstream (10 + 30)/2.
    @Test func aMeanOverTimeWeighsByDurationAndUpstreamNot() throws {
        #expect(near(try Running.run(Self.aggregation).node("a").aggregated?["cpu/utilization"]?.number, 111_000.0 / 3_900))
        #expect(try Running.run(Self.aggregation, strict: true).node("a").aggregated?["cpu/utilization"]?.number == 20)
    }

    /// 00:00 a alone (1 kWh, 10 %), 00:05 both (3 + 10, 50 %), 01:05 b alone (99, 50 %). Upstream adds the first to the first.
    @Test func componentsAreJoinedByTimeAndUpstreamByNumber() throws {
        let mended = try Running.run(Self.aggregation).manifest.tree
        #expect(mended.outputs?.map { $0["timestamp"]?.text } == ["2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z", "2026-01-01T01:05:00Z"])
        #expect(mended.outputs?.map { $0["energy"]?.number } == [1, 13, 99])
        #expect(mended.outputs?.map { $0["cpu/utilization"]?.number } == [10, 50, 50])
        let percentSeconds: Double = 10.0 * 300 + 50.0 * 3600 + 50.0 * 300
        #expect(near(mended.aggregated?["cpu/utilization"]?.number, percentSeconds / 4200))
        let strict = try Running.run(Self.aggregation, strict: true).manifest.tree
        #expect(strict.outputs?.map { $0["energy"]?.number } == [11, 102])
        #expect(mended.aggregated?["energy"]?.number == 113)
        #expect(strict.aggregated?["energy"]?.number == 113)
    }

    @Test func skippedComponentsAreLeftOutAndUpstreamNot() throws {
        let yaml = Self.aggregation.replacing("[lost]", with: "[b]")
        #expect(try Running.run(yaml).manifest.tree.aggregated?["energy"]?.number == 4)
        #expect(try Running.run(yaml).node("b").aggregated?["energy"]?.number == 109)
        #expect(try Running.run(yaml, strict: true).manifest.tree.aggregated?["energy"]?.number == 113)
    }

    @Test func aMetricWithoutAMethodIsLeftOutAndUpstreamCopied() throws {
        let yaml = Self.aggregation.replacing("[cpu/utilization, energy]", with: "[again]")
        let mended = try Running.run(yaml)
        #expect(mended.node("a").aggregated?.isEmpty == true)
        #expect(mended.noteTexts.contains("again: left out, as no aggregation-method is declared for it"))
        #expect(try Running.run(yaml, strict: true).node("a").aggregated?["again"]?.number == 3)
    }

    @Test(arguments: [false, true]) func aMetricThatAnOutputLacksIsAFault(strict: Bool) {
        let yaml = Self.aggregation.replacing("energy: 3, ", with: "").replacing("{from: energy", with: "{from: cpu/utilization")
        #expect(Running.fault(yaml, strict: strict)?.contains("tree.children.a.outputs[1]: energy: expected a value to aggregate") == true)
    }

    @Test(arguments: [false, true]) func aMetricThatNobodyHasIsAFault(strict: Bool) {
        let fault = Running.fault(Self.aggregation.replacing("[cpu/utilization, energy]", with: "[dummy]"), strict: strict)
        #expect(fault?.contains("tree.children.a.outputs[0]: dummy: expected a value to aggregate, found none among") == true)
    }

    @Test func componentsWithoutTheSameCountOfOutputsAreJoinedByTimeAndRefusedUpstream() throws {
        let short = Self.aggregation.replacing(
            "\n        - {timestamp: '2026-01-01T01:05:00Z', duration: 300, energy: 99, cpu/utilization: 50}",
            with: ""
        )
        #expect(try Running.run(short).manifest.tree.outputs?.map { $0["energy"]?.number } == [1, 13])
        #expect(
            Running.fault(short, strict: true)?.contains("tree.children.b: outputs: expected as many as tree.children.a has, 2") == true
        )
    }
}
