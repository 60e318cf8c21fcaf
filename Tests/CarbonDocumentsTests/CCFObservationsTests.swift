import Carbon
import Documents
import Testing
@testable import CarbonDocuments

@Suite("Observations for the CCF model, as JSON")
struct CCFObservationsTests {
    static func model() throws -> CCFModel {
        let instances = FactorRows(
            name: "instances",
            header: [
                "vendor", "type", "vcpus", "reserved_vcpus", "platform_vcpus", "platform_vcpus_upstream", "architecture",
                "platform_embodied_kg", "memory_gb", "platform_gpus", "flags", "version",
            ],
            rows: [
                ["aws", "m5n.large", "2", "", "96", "", "One", "960", "8", "", "", "ccf-2023"],
                ["aws", "m5n.large", "2", "", "96", "", "One", "1920", "8", "", "", "ccf-2026"],
                ["aws", "lone.large", "2", "", "", "", "One", "", "8", "", "", "ccf-2023"],
            ]
        )
        let architectures = FactorRows(
            name: "architectures",
            header: ["scope", "vendor", "architecture", "least_w", "most_w", "version"],
            rows: [["vcpu", "aws", "One", "1", "5", "ccf-2023"], ["vcpu", "aws", "One", "2", "6", "ccf-2026"]]
        )
        return CCFModel(try CloudCatalogue(instances: instances, architectures: architectures))
    }

    static func ask(_ text: String) throws -> [JSONValue] {
        try CCFObservations.answers(to: JSONValue(parsing: Array(text.utf8)), by: model())
    }

    static func faults(_ text: String) throws -> [String] {
        let document = try JSONValue(parsing: Array(text.utf8))
        let error = #expect(throws: CCFObservations.Faults.self) { try CCFObservations.answers(to: document, by: model()) }
        return error?.all.map(\.description) ?? []
    }

    @Test("each observation comes back whole, with energy and embodied carbon")
    func answer() throws {
        let answers = try Self.ask(
            """
            [{"timestamp": "2023-07-06T00:00", "duration": 3600, "cpu-util": 25, "vendor": "aws", "instance-type": "m5n.large",
              "mine": [1]},
             {"duration": 1800, "cpu/utilization": 25, "cloud/vendor": "aws", "cloud/instance-type": "lone.large"}]
            """
        )
        let first = try #require(answers.first?.object)
        #expect(first["timestamp"] == .string("2023-07-06T00:00") && first["mine"] == .array([.integer(1)]))
        #expect(first["energy"] == .number(0.004) && first["match"] == .string("exact") && first["boundary"] == .string("cpu"))
        #expect(abs((first["embodied-carbon"]?.double ?? 0) - 960_000.0 / 35_040 / 48) < 1e-9)
        #expect(first["embodied_emissions"] == nil && first["notes"] == nil)
        let second = try #require(answers.last?.object)
        #expect(second["energy"] == .number(0.002) && second["embodied-carbon"] == .null)
        #expect(second["embodied-carbon-missing"]?.string?.contains("lone.large") == true)
    }

    @Test("the first published example, with a config and underscores, is understood and answered by its own names")
    func oldest() throws {
        let answers = try Self.ask(
            """
            {"config": {"provider": "aws", "instance_type": "m5n.large"}, "observations": [{"duration": 1, "cpu": 10}]}
            """
        )
        let fields = try #require(answers.first?.object)
        #expect(fields["embodied_emissions"] == fields["embodied-carbon"] && fields["embodied_emissions"]?.double != nil)
        #expect(fields["notes"]?.array?.map { $0.object?["code"] } == [.string("cpu-as-percent")])
        #expect(abs((fields["energy"]?.double ?? 0) - 2.8 / 3_600 / 1_000) < 1e-18)
    }

    @Test("an observation's own field counts more than the config's")
    func precedence() throws {
        let answers = try Self.ask(
            """
            {"config": {"vendor": "aws", "instance-type": "m5n.large", "duration": 3600}, "inputs": [{"cpu-util": 0, "duration": 7200}]}
            """
        )
        #expect(answers.first?.object?["energy"] == .number(0.004))
    }

    @Test("the version of the tables is the published plugin's, or the one asked for; one that is not there is a fault")
    func versions() throws {
        let question = #""duration": 3600, "cpu-util": 0, "vendor": "aws", "instance-type": "m5n.large""#
        let plain = try #require(try Self.ask("[{\(question)}]").first?.object)
        #expect(plain["factors"] == .string("ccf-2023") && plain["energy"] == .number(0.002))
        let later = try #require(try Self.ask(#"{"config": {"factors": "ccf-2026"}, "observations": [{\#(question)}]}"#).first?.object)
        #expect(later["factors"] == .string("ccf-2026") && later["energy"] == .number(0.004))
        #expect(
            try Self.faults(#"[{\#(question), "factors": "ccf-1999"}]"#) == [
                #"observations[0].factors: expected ccf-2023 or ccf-2026, found the text "ccf-1999""#
            ]
        )
        // An answer asked again is answered the same.
        let again = try CCFObservations.answers(to: .array([.object(later)]), by: Self.model())
        #expect(again == [.object(later)])
    }

    @Test("every fault is named by its observation and field, and nothing is answered")
    func faults() throws {
        let found = try Self.faults(
            """
            [{"duration": "long", "cpu-util": 140, "vendor": "aws2", "instance-type": "m5n.large"},
             7,
             {"duration": 1, "cpu-util": 140, "vendor": "aws", "instance-type": "m5n.large"},
             {"duration": 1, "cpu-util": 14, "vendor": "aws", "instance-type": "z9.tiny"},
             {"duration": 1, "cpu-util": 14, "vendor": "aws", "instance-type": "m5n.large", "interpolation": "spline"},
             {"duration": -1, "cpu-util": null, "vendor": "aws"}]
            """
        )
        #expect(
            found == [
                #"observations[0].vendor: expected aws, gcp or azure, found the text "aws2""#,
                #"observations[0].duration: expected seconds, 0 or more, found the text "long""#,
                "observations[1]: expected an object, found the number 7",
                "observations[2].cpu-util: expected percent of the vCPUs' time, 0 to 100, found the number 140.0",
                """
                observations[3].instance-type: expected a type that the tables have, or the number of its vCPUs in vcpus-allocated, \
                found the text "z9.tiny"
                """,
                """
                observations[4].interpolation: expected linear: the tables have no measured points for this type, found the text "spline"
                """,
                "observations[5].cloud/instance-type: expected the vendor's name of the machine type, found nothing",
                "observations[5].cpu/utilization: expected percent of the vCPUs' time, 0 to 100, found nothing",
            ]
        )
    }

    @Test(
        "what is no list of observations is refused",
        arguments: [#"{}"#, #"{"observations": 3}"#, #""x""#, #"{"config": 1, "observations": []}"#]
    )
    func documents(text: String) throws { #expect(try Self.faults(text).count == 1) }

    @Test("no observations are no answers; more than the most are refused")
    func counts() throws {
        #expect(try Self.ask("[]").isEmpty)
        let many = JSONValue.array([JSONValue](repeating: .null, count: CCFObservations.most + 1))
        let error = #expect(throws: CCFObservations.Faults.self) { try CCFObservations.answers(to: many, by: Self.model()) }
        #expect(error?.all.count == 1)
    }
}
