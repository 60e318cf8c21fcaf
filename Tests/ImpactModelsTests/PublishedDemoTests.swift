import ImpactModels
import ManifestFiles
import Testing

/// `ccf-demo`, as it was published in 2023 (an impl) and 2024 (a manifest): m5n.large at 10 % for one second.
///
/// The first is byte for byte the file of the Impact Framework's examples of October 2023 (MIT, Green Software Foundation), comment and all;
/// the others are after its documentation. Expected: 0.6389493581523519 W and 3.9673047343937564 W per vCPU, so 1.27789871630470 + 0.1 * 6.65671075248281 = 1.94356979155298
/// W for two, for 1/3600 h; 1610790 g * (1/3600)/(8760*4) * 2/96. Published: 0.000018845835066981333 and 0.02553890791476408.
@Suite struct PublishedDemoTests {
    static let energy = 5.398804976536068e-07
    static let embodied = 0.0002660302907787925

    static let impl = """
        name: ccf-demo
        description: example impl invoking CCF model
        initialize:
          models:
            - name: ccf
              kind: builtin
        graph:
          children:
            child:
              pipeline:
                - ccf
              config:
                ccf:
                  provider: aws
                  instance_type: m5n.large
              observations:
                - timestamp: 2023-07-06T00:00 # [KEYWORD] [NO-SUBFIELDS] time when measurement occurred
                  duration: 1
                  cpu-util: 10

        """

    static let modelsImpl = """
        name: ccf-demo
        description: example impl invoking CCF model
        tags:
        initialize:
          models:
            - name: ccf
              model: CloudCarbonFootprint
              path: '@grnsft/if-unofficial-models'
        graph:
          children:
            child:
              pipeline:
                - ccf
              config:
                ccf:
                  vendor: aws
                  instance_type: m5n.large
              inputs:
                - timestamp: 2023-07-06T00:00
                  duration: 1
                  cpu-util: 10

        """

    static let manifest = """
        name: ccf-demo
        description: example manifest invoking CCF plugin
        initialize:
          plugins:
            ccf:
              method: CloudCarbonFootprint
              path: '@grnsft/if-unofficial-plugins'
        tree:
          children:
            child:
              pipeline:
                - ccf
              defaults:
                cloud/vendor: aws
                cloud/instance-type: m5n.large
              inputs:
                - timestamp: 2023-07-06T00:00 # [KEYWORD] [NO-SUBFIELDS] time when measurement occurred
                  duration: 1
                  cpu/utilization: 10

        """

    @Test(arguments: [(impl, "embodied-carbon"), (modelsImpl, "embodied-carbon"), (manifest, "carbon-embodied")])
    func thePublishedExampleGivesTheRightFiguresAndSaysThatThePublishedOnesAreWrong(yaml: String, embodied: String) throws {
        let run = try Running.run(yaml, sources: CloudTables.sources)
        let output = try #require(run.outputs().first)
        #expect(near(output["energy"]?.number, Self.energy))
        #expect(near(output[embodied]?.number, Self.embodied))
        #expect(run.noteTexts.contains("0.000018845835066981333"))
        #expect(run.noteTexts.contains("0.02553890791476408"))
    }

    @Test func theImplIsThePublishedFile() { #expect(Self.impl.utf8.count == 425) }

    @Test func olderSpellingsAreAcceptedWithANote() throws {
        let notes = try Running.run(Self.impl, sources: CloudTables.sources).noteTexts
        for text in [
            "an impl of 2023", "provider: read as cloud/vendor", "instance_type: read as cloud/instance-type", "cpu-util: read as",
        ] {
            #expect(notes.contains(text))
        }
    }

    @Test func anImplGetsItsResultsUnderItsOwnKeysAndKeepsItsOrder() throws {
        let document = try Running.run(Self.impl, sources: CloudTables.sources).document
        #expect(document.keys == ["name", "description", "initialize", "graph", "execution"])
        let child = document["graph"]?.map?["children"]?.map?["child"]?.map
        #expect(child?.keys == ["pipeline", "config", "observations", "impacts"])
        #expect(
            child?["impacts"]?.list?.first?.map?.keys
                == ["timestamp", "duration", "cpu-util", "provider", "instance_type", "energy", "embodied-carbon"]
        )
    }

    @Test func strictModeGivesTheSameForThisOne() throws {
        let output = try Running.run(Self.manifest, strict: true, sources: CloudTables.sources).outputs().first
        #expect(near(output?["energy"]?.number, Self.energy))
    }

    @Test func withoutTablesNothingIsInvented() {
        #expect(Running.fault(Self.manifest)?.contains("tables of cloud machines") == true)
    }
}
