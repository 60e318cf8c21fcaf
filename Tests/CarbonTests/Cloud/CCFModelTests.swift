import Carbon
import Energy
import Testing

@Suite("A cloud machine's energy and its part of making its host")
struct CCFModelTests {
    static let instances = FactorRows(
        name: "instances",
        header: [
            "vendor", "type", "vcpus", "reserved_vcpus", "platform_vcpus", "platform_vcpus_upstream", "architecture",
            "platform_embodied_kg", "memory_gb", "platform_gpus", "flags", "version", "w_idle", "w_10", "w_50", "w_100",
        ],
        rows: [
            ["aws", "x1.large", "2", "", "96", "", "One", "960", "8", "", "", "ccf-2023", "4", "6", "10", "12"],
            ["aws", "x1.xlarge", "4", "", "96", "", "One", "960", "16", "", "", "ccf-2023", "", "", "", ""],
            ["aws", "x2.large", "2", "", "96", "", "One+Two", "960", "8", "", "several-archs", "ccf-2023", "", "", "", ""],
            ["aws", "x3.large", "2", "", "", "", "Average", "", "8", "", "average-arch", "ccf-2023", "", "", "", ""],
            ["aws", "x4.metal", "2", "", "", "", "", "", "8", "", "", "ccf-2026", "", "", "", ""],
            ["azure", "X16-4s v3", "4", "16", "64", "16", "One", "1280", "128", "", "constrained", "ccf-2023", "", "", "", ""],
            ["azure", "X2 v4", "2", "", "64", "256", "One", "1280", "8", "", "platform-corrected", "ccf-2023", "", "", "", ""],
            ["gcp", "y2-standard-4", "4", "", "80", "", "One", "1000", "16", "", "", "ccf-2023", "", "", "", ""],
        ]
    )

    static let architectures = FactorRows(
        name: "architectures",
        header: ["scope", "vendor", "architecture", "least_w", "most_w", "version"],
        rows: [
            ["vcpu", "aws", "One", "1", "5", "ccf-2023"], ["vcpu", "aws", "Two", "2", "8", "ccf-2023"],
            ["vcpu", "aws", "Average", "1.5", "6.5", "ccf-2023"], ["vcpu", "azure", "One", "1", "5", "ccf-2023"],
            ["vcpu", "gcp", "One", "1", "5", "ccf-2023"], ["vcpu", "gcp", "Average", "3", "4", "ccf-2023"],
            ["server", "any", "One", "100", "400", "ccf-2023"],
        ]
    )

    static func model() throws -> CCFModel { CCFModel(try CloudCatalogue(instances: instances, architectures: architectures)) }

    static func hour(_ type: String, _ vendor: CloudVendor = .aws, at percent: Double = 50, vcpus: Double? = nil) -> CloudObservation {
        CloudObservation(vendor: vendor, instanceType: type, durationSeconds: 3_600, utilisationPercent: percent, vcpus: vcpus)
    }

    @Test("watts lie on the line between idle and full, per vCPU; energy is watts by hours, without PUE")
    func linear() throws {
        // 2 vCPUs of 1 to 5 W: 2 W idle, 10 W full, so 4 W at 25 %.
        let quarter = try Self.model().estimate(Self.hour("x1.large", at: 25))
        #expect(quarter.power == Power(watts: 4))
        #expect(quarter.energy.kilowattHours == 0.004)
        #expect(quarter.energy.energy == Energy(microjoules: 14_400_000_000))
        #expect(quarter.match == .exact && quarter.boundary == .cpu && quarter.notes.isEmpty)
        #expect(try Self.model().estimate(Self.hour("x1.large", at: 0)).power == Power(watts: 2))
        #expect(try Self.model().estimate(Self.hour("x1.large", at: 100)).power == Power(watts: 10))
    }

    @Test("the embodied part is by time of the lifetime and by vCPUs of the host")
    func embodied() throws {
        // 960 kg x 1 h / 35040 h x 2/96.
        let answer = try Self.model().estimate(Self.hour("x1.large"))
        #expect(abs((answer.embodied.mass?.grams ?? 0) - 960_000.0 / 35_040 * 2 / 96) < 1e-12)
        var eight = Self.hour("x1.large")
        eight.lifetimeYears = 8
        let half = try Self.model().estimate(eight).embodied.mass?.grams ?? 0
        #expect(abs(half - 960_000.0 / 35_040 / 96) < 1e-12)
    }

    @Test("four measured points are met, the curve between is smooth, and of the whole instance")
    func points() throws {
        var observation = Self.hour("x1.large", at: 50)
        observation.curve = .spline
        for (percent, watts) in [(0.0, 4.0), (10, 6), (50, 10), (100, 12)] {
            observation.utilisationPercent = percent
            #expect(abs(try Self.model().estimate(observation).power.watts - watts) < 1e-12)
        }
        observation.utilisationPercent = 30
        let between = try Self.model().estimate(observation)
        #expect(between.power.watts > 8 && between.power.watts < 9)
        #expect(between.boundary == .instance)
        observation.instanceType = "x1.xlarge"
        #expect(throws: CloudModelError.noPoints(vendor: .aws, type: "x1.xlarge")) { try Self.model().estimate(observation) }
    }

    @Test("several architectures are their mean, where the published code answers NaN")
    func several() throws {
        // Means of 1 and 2, 5 and 8: 1.5 to 6.5 W a vCPU, so 8 W for two at 50 %.
        let answer = try Self.model().estimate(Self.hour("x2.large"))
        #expect(answer.power == Power(watts: 8))
        #expect(answer.notes.map(\.code) == ["several-archs"])
        #expect(throws: CloudModelError.notANumberUpstream(type: "x2.large")) {
            try Self.model().estimate(Self.hour("x2.large"), rules: .upstream)
        }
    }

    @Test("switched-off vCPUs take no energy but keep their place on the host")
    func constrained() throws {
        let answer = try Self.model().estimate(Self.hour("Standard_X16-4s_v3", .azure))
        #expect(answer.vcpus == 4 && answer.power == Power(watts: 12))
        #expect(answer.share == 0.25)
        let upstream = try Self.model().estimate(Self.hour("X16-4s v3", .azure), rules: .upstream)
        #expect(upstream.energy == .zero && upstream.embodied.mass == .zero)
    }

    @Test("a host's vCPUs that were published wrong are corrected, and wrong again under the upstream rules")
    func platform() throws {
        let mended = try Self.model().estimate(Self.hour("X2 v4", .azure))
        let upstream = try Self.model().estimate(Self.hour("X2 v4", .azure), rules: .upstream)
        #expect(mended.share == 2 / 64.0 && mended.notes.map(\.code) == ["platform-corrected"])
        #expect(upstream.share == 2 / 256.0)
    }

    @Test("an unknown size is its family's watts, with the vCPUs that its name tells")
    func family() throws {
        let aws = try Self.model().estimate(Self.hour("x1.4xlarge", at: 100))
        #expect(aws.match == .family && aws.vcpus == 16 && aws.power == Power(watts: 80))
        #expect(aws.embodied.mass != nil && aws.notes.map(\.code) == ["family"])
        let gcp = try Self.model().estimate(Self.hour("y2-standard-16", .gcp, at: 0))
        #expect(gcp.match == .family && gcp.power == Power(watts: 16))
    }

    @Test("an unknown family is the vendor's mean when the vCPUs are known, and else a refusal that says what to give")
    func average() throws {
        let known = try Self.model().estimate(Self.hour("z9.large", at: 0, vcpus: 4))
        #expect(known.match == .average && known.power == Power(watts: 6))
        #expect(known.embodied.mass == nil && known.embodied.reason?.contains("z9.large") == true)
        #expect(try Self.model().estimate(Self.hour("z9-standard-8", .gcp, at: 0)).vcpus == 8)
        let error = #expect(throws: CloudModelError.self) { try Self.model().estimate(Self.hour("z9.large")) }
        #expect(error?.description.contains("give the vCPUs") == true)
        #expect(throws: CloudModelError.unknownType(vendor: .aws, type: "z9.large")) {
            try Self.model().estimate(Self.hour("z9.large", vcpus: 4), rules: .upstream)
        }
    }

    @Test("a type whose architecture nobody knows is of match average, not exact")
    func unknownArchitecture() throws {
        let answer = try Self.model().estimate(Self.hour("x3.large", at: 0))
        #expect(answer.match == .average && answer.power == Power(watts: 3))
        #expect(answer.embodied.reason != nil)
    }

    @Test("limits are half of idle and twice full load, and wider the less is known of the machine")
    func limits() throws {
        let exact = try Self.model().estimate(Self.hour("x1.large", at: 25))
        #expect(exact.energyLow.kilowattHours == 0.001 && exact.energyHigh.kilowattHours == 0.02)
        let family = try Self.model().estimate(Self.hour("x2.xlarge", at: 25, vcpus: 2))
        #expect(family.match == .family && family.energyLow == exact.energyLow && family.energyHigh.kilowattHours == 0.032)
        let average = try Self.model().estimate(Self.hour("z9.large", at: 25, vcpus: 2))
        #expect(average.energyLow.kilowattHours == 0.001 && average.energyHigh.kilowattHours == 0.032)
        for answer in [exact, family, average] { #expect(answer.energyLow < answer.energy && answer.energy < answer.energyHigh) }
        var points = Self.hour("x1.large", at: 25)
        points.curve = .spline
        let measured = try Self.model().estimate(points)
        #expect(measured.energyLow.kilowattHours == 0.002 && measured.energyHigh.kilowattHours == 0.024)
    }

    @Test("no watts is a refusal, not 0")
    func noPower() throws {
        #expect(throws: CloudModelError.noPower(vendor: .aws, type: "x4.metal")) { try Self.model().estimate(Self.hour("x4.metal")) }
    }

    @Test("what cannot be is refused by name", arguments: [-1, 100.5, .nan, .infinity])
    func absurdUtilisation(percent: Double) throws {
        let error = #expect(throws: CloudModelError.self) { try Self.model().estimate(Self.hour("x1.large", at: percent)) }
        #expect(error?.description.hasPrefix("utilisation: expected percent") == true)
    }

    @Test("absurd durations and lifetimes are refused; no time is no energy", arguments: [-1, Double.nan, .infinity])
    func absurdTimes(value: Double) throws {
        var observation = Self.hour("x1.large")
        observation.durationSeconds = value
        #expect(throws: CloudModelError.self) { try Self.model().estimate(observation) }
        observation.durationSeconds = 0
        #expect(try Self.model().estimate(observation).energy == .zero)
        observation.lifetimeYears = value == -1 ? 0 : value
        #expect(throws: CloudModelError.self) { try Self.model().estimate(observation) }
    }

    @Test("names are taken as the vendor, its API or a shouting person writes them")
    func spelling() throws {
        for name in ["X2 v4", "Standard_X2_v4", "x2 V4", "STANDARD_X2_V4"] {
            #expect(try Self.model().estimate(Self.hour(name, .azure)).match == .exact, "\(name)")
        }
    }

    @Test("a table without a column or with a text for a number is refused with its place")
    func faults() throws {
        let short = FactorRows(name: "t.csv", header: ["vendor"], rows: [])
        let missing = #expect(throws: FactorRows.Fault.self) { try CloudCatalogue(instances: short, architectures: Self.architectures) }
        #expect(missing?.description == "t.csv: expected a column type, found none")
        let wrong = FactorRows(
            name: "a.csv",
            header: ["scope", "vendor", "architecture", "least_w", "most_w", "version"],
            rows: [["vcpu", "aws", "One", "much", "5", "v"]]
        )
        let fault = #expect(throws: FactorRows.Fault.self) { try CloudCatalogue(instances: Self.instances, architectures: wrong) }
        #expect(fault?.description == "a.csv, row 1, least_w: expected a number, 0 or more, found much")
    }
}

@Suite("The shipped cloud tables")
struct ShippedCloudTableTests {
    @Test("every type has an answer or a refusal that says why, its energy between idle and full, its share at most the whole")
    func everyType() throws {
        let model = try CloudTables.shipped.get()
        var answered = 0
        for row in try CloudTables.rows("cloud_instances.csv").needing(["vendor", "type", "version"]) {
            let vendor = try #require(CloudVendor(name: row.text("vendor")))
            let observation = CloudObservation(
                vendor: vendor,
                instanceType: row.text("type"),
                durationSeconds: 3_600,
                utilisationPercent: 50
            )
            guard !row.text("architecture").isEmpty else { continue }
            let answer = try model.estimate(observation, versions: [row.text("version")])
            answered += 1
            #expect(answer.match != .family)
            #expect(answer.energy.kilowattHours > 0 && answer.energy.kilowattHours < 5, "\(row.text("type"))")
            #expect((answer.share ?? 0.5) > 0 && (answer.share ?? 0.5) <= 1, "\(row.text("type"))")
            if let mass = answer.embodied.mass { #expect(mass.grams > 0 && mass.grams < 2_000, "\(row.text("type")): \(mass.grams)") }
        }
        #expect(answered > 2_500)
    }

    // Computed by hand from the row: Cascade Lake, 0.6389493581523519 to 3.9673047343937564 W, 1610.79 kg, 2 of 96 vCPUs.
    @Test("an m5n.large at 10 % for a second is 5.4e-7 kWh and 0.27 mg, 35 and 96 times less than was once printed")
    func printed() throws {
        let observation = CloudObservation(vendor: .aws, instanceType: "m5n.large", durationSeconds: 1, utilisationPercent: 10)
        let answer = try CloudTables.shipped.get().estimate(observation)
        #expect(abs(answer.energy.kilowattHours / 5.398804976536068e-07 - 1) < 1e-12)
        #expect(abs((answer.embodied.mass?.grams ?? 0) / 0.0002660302907787925 - 1) < 1e-12)
        #expect(answer.match == .exact && answer.version == "ccf-2023")
    }

    @Test("a type that only the later lists have is found there")
    func later() throws {
        let observation = CloudObservation(vendor: .aws, instanceType: "m7i.large", durationSeconds: 3_600, utilisationPercent: 50)
        let answer = try CloudTables.shipped.get().estimate(observation)
        #expect(answer.match == .exact && answer.version == "ccf-2026" && answer.architecture == "Sapphire Rapids")
    }
}
