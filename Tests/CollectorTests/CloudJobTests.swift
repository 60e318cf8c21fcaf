import Carbon
import Documents
import Energy
import Postgres
import Store
import Testing
import TestSupport

@testable import Collector

/// Jobs on machines of clouds that show no meter.
@Suite struct CloudJobTests {
    /// An hour on an m5n.large: two vCPUs of Cascade Lake, 1.2778 W to 7.9346 W.
    private static func job(_ id: String, _ more: String) -> String {
        #"{"id": "\#(id)", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T10:00:00Z"\#(more.isEmpty ? "" : ", " + more)}"#
    }

    private static func footprint(_ more: String, _ farm: Farm) async throws -> Footprint {
        farm.clock.now = at(7_200)
        // Another job for other fields: of one job they would all stand.
        let id = try await farm.post(job("\(more.hashValue)", more)).jobID
        return try #require(try await farm.footprint(id))
    }

    private static func reason(_ field: String, _ footprint: Footprint) -> String? {
        footprint.allMissing.first { $0.field == field }?.reason
    }

    private static let london = #""cloud": {"vendor": "aws", "region": "eu-west-2", "instance_type": "m5n.large"}"#

    @Test func aJobOfACloudHasItsTypesEnergyAndItsRegionsPUEZoneAndWater() async throws {
        try await Farm.with { farm in
            // 10 % of two vCPUs' hour.
            let footprint = try await Self.footprint(Self.london + #", "cpu_time_us": 720000000"#, farm)
            #expect(footprint.state == .final && footprint.hostClass == "cloud/aws/m5n.large" && footprint.statement == nil)
            let energy = try #require(footprint.energy)
            let kwh = energy.total.kilowattHours
            // docs/cloud.md: 1.94 W.
            #expect(abs(kwh - 0.0019434) < 1e-6 && energy.quality == .modelled && energy.coverage == 0)
            #expect(
                energy.interval.low < Double(energy.total.microjoules) / 2 && energy.interval.high > Double(energy.total.microjoules) * 2
            )
            let region = try #require(try CloudTables.shipped().regions.region("eu-west-2", of: "aws"))
            #expect(footprint.pue == region.pue.ratio)
            let intensity = try #require(footprint.intensity)
            #expect(intensity.zone == "GB" && intensity.kind == .yearly)
            let grams = try #require(footprint.locationGrams)
            // PUE once.
            #expect(abs(grams.best - kwh * region.pue.ratio * intensity.gramsPerKilowattHour) < 1e-6 * grams.best)
            #expect(grams.low < grams.best && grams.best < grams.high)
            // 1,610.79 kg, a four year's hour of it, two of 96 vCPUs.
            let embodied = try #require(footprint.embodiedGrams)
            #expect(
                abs(embodied.best - 1_610_790.0 / 35_040 * 2 / 96) < 0.001 && embodied.low == embodied.best / 2
                    && embodied.high == embodied.best * 2
            )
            let water = try #require(region.wue)
            #expect(abs(try #require(footprint.waterLitres).best - kwh * water.litresPerKilowattHour) < 1e-9)
            let document = footprint.json(baseURL: "")
            let model = try #require(document.object?["model"]?.object)
            #expect(model["method"]?.string == "ccf" && model["match"]?.string == "exact" && model["region"]?.string == "eu-west-2")
            #expect(model["utilisation"]?.double == 0.1 && model["utilisation_basis"]?.string == "posted")
            #expect(document.object?["account"]?.string == "hosted")
            // Nobody without a token learns from two figures a third.
            #expect(footprint.json(baseURL: "", isPublic: true).object?["model"]?.object?["utilisation"] == nil)
        }
    }

    @Test func withoutCPUTimeHalfIsTakenAndMoreThanThereIsIsAllThereIs() async throws {
        try await Farm.with { farm in
            let half = try await Self.footprint(Self.london, farm)
            #expect(half.cloudModel?.utilisation == 0.5 && half.cloudModel?.isUtilisationPosted == false)
            #expect(abs(try #require(half.energy).total.kilowattHours - (1.2778 + 7.9346) / 2_000) < 1e-6)
            let all = try await Self.footprint(Self.london + #", "cpu_time_us": 72000000000"#, farm)
            #expect(all.cloudModel?.utilisation == 1)
            #expect(abs(try #require(all.energy).total.kilowattHours - 0.0079346) < 1e-6)
            // The limits are the machine's, however busy it was.
            #expect(half.energy?.interval.high == all.energy?.interval.high)
        }
    }

    /// Each with what is null and why; nothing is another place's or 0.
    @Test(arguments: [
        (#""cloud": {"vendor": "aws", "region": "mars-1", "instance_type": "m5n.large"}"#, "co2e.location_g", "cloud_region_unknown", true),
        (#""cloud": {"vendor": "aws", "instance_type": "m5n.large"}"#, "co2e.location_g", "no_pue", true),
        (#""cloud": {"vendor": "aws", "instance_type": "m5n.large"}, "pue": 1.2"#, "co2e.location_g", "no_zone", true),
        (#""cloud": {"vendor": "aws", "instance_type": "m5n.large"}, "grid_zone": "GB" "#, "co2e.location_g", "no_pue", true),
        (#""cloud": {"vendor": "aws", "region": "eu-west-2", "instance_type": "zz.large"}"#, "energy", "cloud_type_unknown", false),
        (#""cloud": {"vendor": "scaleway", "region": "fr-par", "instance_type": "GP1-L"}"#, "energy", "cloud_vendor_unknown", false),
        (
            #""cloud": {"vendor": "aws", "instance_type": "m5n.large"}, "grid_zone": "XX-NOWHERE", "pue": 1.2"#, "co2e.location_g",
            "no_intensity", true
        ),
        (#""cloud": {"vendor": "aws", "instance_type": "m5n.large"}, "grid_zone": "GB", "pue": 1.2"#, "water_l", "no_wue", true),
    ]) func whatIsNotKnownIsNullWithItsReason(posted: String, field: String, reason: String, hasEnergy: Bool) async throws {
        try await Farm.with { farm in
            let footprint = try await Self.footprint(posted, farm)
            #expect(Self.reason(field, footprint) == reason, "\(footprint.missing)")
            #expect((footprint.energy != nil) == hasEnergy)
            if field == "co2e.location_g" { #expect(footprint.locationGrams == nil) }
            let document = try footprint.json(baseURL: "").text
            #expect(!document.contains("\"not_computed\""))
        }
    }

    @Test func aRegionsZoneWithoutFiguresHasItsCountrysWithAFlagAndWiderLimits() async throws {
        try await Farm.with { farm in
            let place = #""cloud": {"vendor": "aws", "region": "us-east-1", "instance_type": "m5n.large"}"#
            let coarse = try await Self.footprint(place, farm)
            #expect(coarse.flags.contains("coarser_zone") && coarse.intensity?.zone == "US")
            let (grams, intensity) = (try #require(coarse.locationGrams), try #require(coarse.intensity))
            #expect(intensity.low <= intensity.gramsPerKilowattHour * 0.1 && intensity.high >= intensity.gramsPerKilowattHour * 3)
            #expect(grams.low < grams.best * 0.2 && grams.high > grams.best * 3)
            // Who states a zone has that one's figures or none.
            let stated = try await Self.footprint(place + #", "grid_zone": "US-MIDA-PJM""#, farm)
            #expect(stated.locationGrams == nil && Self.reason("co2e.location_g", stated) == "no_intensity")
            // And the zone's own as soon as one is kept.
            _ = try await farm.connection.execute(
                Statement(
                    "zone_of_its_own",
                    """
                    INSERT INTO intensity (zone, from_t, to_t, g_per_kwh, low_g_per_kwh, high_g_per_kwh, kind, basis, provider, version)
                    VALUES ('US-MIDA-PJM', '-infinity', 'infinity', 380, 380, 380, 'yearly', 'direct/average/production', 'made up', '2025 1')
                    """
                )
            )
            let own = try await Self.footprint(place, farm)
            #expect(own.intensity?.zone == "US-MIDA-PJM" && !own.flags.contains("coarser_zone"))
        }
    }

    @Test func aFamilyIsReportedAsOneAndASizeThatNobodyKnowsIsAskedFor() async throws {
        try await Farm.with { farm in
            let family = try await Self.footprint(
                #""cloud": {"vendor": "gcp", "region": "europe-west2", "instance_type": "n2-standard-6"}"#,
                farm
            )
            #expect(family.cloudModel?.match == .family && family.cloudModel?.vcpus == 6)
            let average = try await Self.footprint(
                #""cloud": {"vendor": "aws", "region": "eu-west-2", "instance_type": "zz.large", "vcpus": 2}"#,
                farm
            )
            #expect(average.cloudModel?.match == .average && average.cloudModel?.notes.first?.code == "vendor-average")
            #expect(average.embodiedGrams == nil && Self.reason("co2e.embodied_g", average) == "no_embodied_figure")
        }
    }

    @Test func figuresOfAnHourThatChangesAreWeightedByTimeAndTwoBasesAreNoSum() async throws {
        try await Farm.with { farm in
            func add(_ grams: Double, _ from: Double, _ to: Double, _ basis: String) async throws {
                let value = Intensity(
                    zone: "XX-ISLE",
                    gramsPerKilowattHour: grams,
                    low: grams * 0.9,
                    high: grams * 1.1,
                    kind: .actual,
                    basis: try #require(Intensity.Basis(basis)),
                    provider: "test",
                    year: 2026
                )
                _ = try await IntensityTable.add(
                    [IntensityTable.Row(interval: Interval(at(from), at(to)), value: value, version: "1")],
                    now: farm.clock.now,
                    farm.connection
                )
            }
            try await add(100, 0, 900, "direct/average/consumption")
            try await add(300, 900, 3_600, "direct/average/consumption")
            let posted = #""cloud": {"vendor": "aws", "instance_type": "m5n.large"}, "grid_zone": "XX-ISLE", "pue": 1.5"#
            let footprint = try await Self.footprint(posted, farm)
            #expect(footprint.intensity?.gramsPerKilowattHour == 250)
            // The row of the last of its figures.
            #expect(footprint.intensityOrigin?.from == at(900))
            let kwh = try #require(footprint.energy).total.kilowattHours
            #expect(abs(try #require(footprint.locationGrams).best - kwh * 1.5 * 250) < 1e-6)
            try await add(200, 3_600, 7_200, "lifecycle/average/consumption")
            farm.clock.now = at(7_300)
            let two = #"{"id": "2", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T11:00:00Z", \#(posted)}"#
            let mixed = try #require(try await farm.footprint(try await farm.post(two).jobID))
            #expect(mixed.locationGrams == nil && Self.reason("co2e.location_g", mixed) == "basis_changes")
            // No figure of the last hour: none of the whole.
            farm.clock.now = at(10_900)
            let three = #"{"id": "3", "started_at": "2026-09-01T09:30:00Z", "finished_at": "2026-09-01T12:00:00Z", \#(posted)}"#
            let unknown = try #require(try await farm.footprint(try await farm.post(three).jobID))
            #expect(unknown.locationGrams == nil && Self.reason("co2e.location_g", unknown) == "no_intensity")
        }
    }

    @Test func aHostOfACloudWithoutAnyMeterIsSuchAMachineAndItsJobsHaveTheirPartOfIt() async throws {
        try await Farm.with { farm in
            let file = try HostFile(
                text: """
                    hosts:
                      - {name: vm-1, site: London, slots: 2, cloud: {vendor: aws, region: eu-west-2, instance_type: m5n.large}}
                    """,
                name: "hosts.yaml"
            )
            _ = try await HostImport.apply(file, dryRun: false, now: farm.clock.now, farm.connection)
            let footprint = try await Self.footprint(#""host": "vm-1""#, farm)
            #expect(footprint.state == .final && footprint.hostName == "vm-1" && footprint.hostClass == "cloud/aws/m5n.large")
            #expect(footprint.cloudModel?.share == 0.5 && footprint.intensity?.zone == "GB")
            // Yearly figures begin at no instant.
            let intensity = try #require(footprint.json(baseURL: "").object?["intensity"]?.object)
            #expect(intensity["id"]?.string.flatMap { Int64($0) } != nil && intensity["from"] == .null)
            // What the operator says of the machine is not for everybody.
            let public1 = try #require(footprint.json(baseURL: "", isPublic: true).object)
            #expect(public1["host"] == .null && public1["host_class"]?.string == "cloud" && public1["model"] == .null)
            let text = try JSONValue.object(public1).text
            #expect(!text.contains("m5n") && !text.contains("eu-west-2") && !text.contains("vm-1"), "\(text)")
            let reasons = (public1["missing"]?.array ?? []).filter { $0.object?["field"]?.string == "model" }
            #expect(reasons.map { $0.object?["reason"]?.string } == ["token_needed"])
            // What the job itself says is.
            let said = try await Self.footprint(#""host": "vm-1", \#(Self.london.replacing("m5n.large", with: "m5n.xlarge"))"#, farm)
            let public2 = try #require(said.json(baseURL: "", isPublic: true).object)
            #expect(public2["host_class"]?.string == "cloud/aws/m5n.xlarge" && public2["host"] == .null)
            #expect(public2["model"]?.object?["instance_type"]?.string == "m5n.xlarge")
            // Its type, and the region of the record.
            let typed = try await Self.footprint(
                #""host": "vm-1", "cloud": {"vendor": "aws", "instance_type": "m5n.large"}"#,
                farm
            )
            #expect(typed.json(baseURL: "", isPublic: true).object?["model"] == .null)
            // Accounting its hours finds nothing: it is outside every one of them.
            try await farm.account()
            #expect(try await Self.footprint(#""host": "vm-1""#, farm).energy?.total == footprint.energy?.total)
            let whole = try await Self.footprint(Self.london, farm)
            let (part, all) = (try #require(footprint.energy), try #require(whole.energy))
            #expect(abs(part.total.joules - all.total.joules / 2) < 1e-3)
            // Its site's zone comes before the region's.
            let sites = try SiteFile(
                text: "sites: [{site: london, grid_zone: FR, pue: 1.3, wue_l_per_kwh: 0.4, contracts: [{share: 1, g_per_kwh: 20}]}]",
                name: "sites.yaml"
            )
            _ = try await SiteImport.apply(sites, dryRun: false, farm.connection)
            let there = try await Self.footprint(#""host": "vm-1""#, farm)
            #expect(there.intensity?.zone == "FR" && there.pue == 1.3 && there.waterLitres != nil)
            // What it has bought is a figure of its own.
            #expect(Self.reason("co2e.market_g", footprint) == "no_contract")
            let market = try #require(there.marketGrams)
            #expect(
                abs(market.best - part.total.kilowattHours * 1.3 * 20) < 1e-6 && market.low <= market.best && market.best <= market.high
            )
            // Once it has a meter, that is what counts.
            let token = try await farm.token("a", host: "vm-1")
            var reporter = Reporter(host: "vm-1")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            #expect(try await Self.footprint(#""host": "vm-1""#, farm).cloudModel == nil)
        }
    }

    @Test func aClassMayNameATypeOrAPlace() async throws {
        try await Farm.with { farm in
            let file = try HostFile(
                text: """
                    classes:
                      - name: own/runner
                        cloud: {vendor: aws, region: eu-west-2, instance_type: m5n.large}
                        utilisation: 0.2
                        source: us
                        year: 2026
                      - {name: own/place, cloud: {vendor: aws, region: eu-west-2}, vcpus: 2, memory_gib: 8, idle_w: 2, max_w: 12, low_w: 1, high_w: 30, utilisation: 0.5, source: us, year: 2026}
                    """,
                name: "hosts.yaml"
            )
            _ = try await HostImport.apply(file, dryRun: false, now: farm.clock.now, farm.connection)
            let typed = try await Self.footprint(#""host_class": "own/runner""#, farm)
            #expect(typed.cloudModel?.utilisation == 0.2 && typed.intensity?.zone == "GB" && typed.embodiedGrams != nil)
            let placed = try await Self.footprint(#""host_class": "own/place""#, farm)
            #expect(placed.cloudModel == nil && placed.energy?.total == .joules(7 * 3_600) && placed.intensity?.zone == "GB")
            #expect(Self.reason("co2e.embodied_g", placed) == "no_embodied_figure")
            // What the job says of its place comes first.
            let moved = try await Self.footprint(#""host_class": "own/place", "grid_zone": "FR", "pue": 1.1"#, farm)
            #expect(moved.intensity?.zone == "FR" && moved.pue == 1.1)
            #expect(throws: HostClass.Fault.self) {
                try HostClass([
                    "class": "x/y", "cloud": .object(["vendor": "aws", "instance_type": "m5n.large"]), "idle_w": .number(1), "source": "us",
                    "year": .integer(2026),
                ])
            }
        }
    }

    @Test func itsPagesAndTablesTellItAndItsInputsAreNone() async throws {
        try await Farm.with { farm in
            let file = try HostFile(
                text: "hosts: [{name: vm-1, cloud: {vendor: aws, region: eu-west-2, instance_type: m5n.large}}]",
                name: "hosts.yaml"
            )
            _ = try await HostImport.apply(file, dryRun: false, now: farm.clock.now, farm.connection)
            farm.clock.now = at(7_200)
            let own = try await farm.post(Self.job("own", Self.london + #", "visibility": "public", "cpu_time_us": 720000001"#)).jobID
            let onHost = try await farm.post(Self.job("host", #""host": "vm-1""#)).jobID
            try await farm.account()
            try await PageTests.Server.with(farm) { server in
                for id in [own, onHost] {
                    #expect(try await server.page("/v1/jobs/\(id)").contains("\"ccf\""))
                    #expect(try await server.page("/v1/jobs/\(id)/explain").contains("\"ccf\""))
                    #expect(try await server.page("/jobs/\(id)").contains("modelled"))
                }
                let table = try await server.page("/data/jobs.csv?from=2026-09-01T00:00:00Z")
                #expect(table.split(separator: "\r\n").count { $0.contains(",GB,") && $0.contains("modelled") } == 2, "\(table)")
                let seen = try await server.get("/v1/jobs/\(own)")
                #expect(seen.status == 200 && seen.body.contains("\"model\"") && !seen.body.contains("\"utilisation\""), "\(seen.body)")
                #expect(try await server.get("/v1/jobs/\(onHost)").status == 404)
            }
        }
    }

    @Test(arguments: [
        #""cloud": "aws""#, #""cloud": {"region": "eu-west-2"}"#, #""cloud": {"vendor": "aws"}"#,
        #""cloud": {"vendor": "aws", "instance_type": "m5n.large", "vcpus": 0}"#, #""cloud": {"vendor": "aws", "zone": "a"}"#,
        #""grid_zone": "gb""#, #""pue": 0.5"#,
    ]) func aPlaceThatMakesNoSenseIsRefusedByItsField(posted: String) throws {
        let document = try JSONValue(parsing: Array(Self.job("1", posted).utf8))
        let problem = #expect(throws: Problem.self) { try SpanDocument(document, now: at(7_200)) }
        let name = posted.split(separator: "\"")[0]
        let text = problem.map { "\($0)" } ?? ""
        #expect(text.contains("field \(name)"), "\(text)")
    }

    /// Half the time is half of everything, two halves of a machine are one, and no figure lies outside its limits.
    @Test func figuresAddUpOverTimeAndOverPartsOfAMachine() throws {
        let tables = try CloudTables.shipped()
        var random = RandomSource(seed: 20_260_901)
        let types = [("aws", "m5n.large"), ("aws", "c5.4xlarge"), ("gcp", "n2-standard-6"), ("azure", "D4 v4"), ("aws", "zz.large")]
        for _ in 0..<LongRun.rounds(short: 500, long: 20_000) {
            let (vendor, type) = types.randomElement(using: &random) ?? types[0]
            let placement: JSONValue = .object([
                "vendor": .string(vendor), "instance_type": .string(type), "vcpus": .number(Double(Int.random(in: 1...96, using: &random))),
            ])
            func figures(_ share: Double, _ duration: Microseconds, _ cpuTime: Microseconds?) throws -> HostedModel.Figures {
                let word = HostedMachine.Word(cloud: try CloudPlacement(placement))
                let machine = HostedMachine(name: "x", words: [word], hostClass: nil, share: share, tables.regions)
                return try HostedModel.figures(of: machine, duration: duration, cpuTime: cpuTime, tables.model)
            }
            let duration = Microseconds(Int64.random(in: 0...86_400_000_000, using: &random) * 2)
            let used = random.chance(0.3) ? nil : Microseconds(Int64.random(in: 0...86_400_000_000, using: &random) * 2)
            let whole = try figures(1, duration, used)
            #expect(whole.low <= whole.best && whole.best <= whole.high)
            let tolerance = 1e-9 * whole.best.kilowattHours
            let half = try figures(1, Microseconds(duration.count / 2), used.map { Microseconds($0.count / 2) })
            #expect(
                abs(2 * half.best.kilowattHours - whole.best.kilowattHours) <= tolerance,
                "\(type) \(duration) \(String(describing: used))"
            )
            let part = try figures(0.5, duration, used.map { Microseconds($0.count / 2) })
            #expect(
                abs(2 * part.best.kilowattHours - whole.best.kilowattHours) <= tolerance,
                "\(type) \(duration) \(String(describing: used))"
            )
            if case .success(let mass) = whole.embodied, case .success(let other) = part.embodied {
                #expect(
                    mass.low <= mass.best && mass.best <= mass.high && abs(2 * other.best.grams - mass.best.grams) <= 1e-9 * mass.best.grams
                )
            }
        }
    }

    @Test func everyRegionHasAPlaceAndTheTablesAreRead() throws {
        let tables = try CloudTables.shipped()
        #expect(tables.regions.region("eu-west-2", of: "AWS")?.zone.key == "GB")
        #expect(tables.regions.region("eu-west-2", of: "gcp") == nil)
        _ = try EmbodiedTables.shipped()
    }
}
