import Accounting
import Carbon
import Documents
import Energy
import Postgres
import Store
import Testing
import TestSupport
@testable import Collector

/// What a site has bought, its water and the making of its machines: dated, of jobs, of sums and of hosts alike, and null where not known.
@Suite struct HostTermsTests {
    private static func site(_ json: String, from: Timestamp = HostRecordTable.always, _ farm: Farm) async throws {
        try await SiteTable.set(try JSONValue(parsing: Array(json.utf8)), site: "Orsay", from: from, farm.connection)
    }

    private static func host(_ name: String, _ json: String, from: Timestamp = HostRecordTable.always, _ farm: Farm) async throws {
        let host = try #require(try await HostTable.find(name: name, farm.connection))
        try await HostRecordTable.set(
            try JSONValue(parsing: Array(json.utf8)),
            hostID: host.id,
            from: from,
            now: farm.clock.now,
            marking: true,
            farm.connection
        )
    }

    private static let machine = """
        {"site": "orsay", "embodied": {"kg_co2e": 1200, "low_kg_co2e": 900, "high_kg_co2e": 1800, "lifetime_years": 5,
            "from": "2026-01-01T00:00:00Z", "source": "own-lca"}}
        """
    private static let contracts = """
        {"grid_zone": "FR", "pue": 1.25, "wue_l_per_kwh": 0.4,
         "contracts": [{"share": 0.75, "g_per_kwh": 12, "instrument": "ppa", "source": "made up"}],
         "residual_mix": {"g_per_kwh": 60, "low_g_per_kwh": 50, "high_g_per_kwh": 80, "source": "made up"}}
        """
    /// 0.75 x 12 + 0.25 x 60.
    private static let gramsPerKilowattHour = 24.0
    /// 1,200 kg over 5 x 8,760 h.
    private static let gramsPerHour = 1_200_000.0 / 43_800

    /// A host that draws 100 W for four hours, idles at 40 W, and a job on half of its 4 CPUs for an hour and a half.
    private static func job(_ farm: Farm, on name: String = "one") async throws -> String {
        let token = try await farm.token(name, host: name)
        var reporter = Reporter(host: name)
        farm.clock.now = at(4 * 3_600 + 600)
        let energy = (0...5).map { knot(Double($0) * 3_600, Double($0) * 360_000) }
        _ = try await farm.commit(reporter.batch(energy: energy, idleWatts: 40, completeUntil: at(4 * 3_600 + 600)), token: token)
        return try await farm.post(
            """
            {"id": "\(name)", "host": "\(name)", "started_at": "2026-09-01T09:30:00Z", "finished_at": "2026-09-01T11:00:00Z", "cpus": 2,
             "service": "ci"}
            """
        ).jobID
    }

    @Test func aJobHasItsPartOfContractsWaterAndTheMachine() async throws {
        try await Farm.with { farm in
            let id = try await Self.job(farm)
            try await Self.site(Self.contracts, farm)
            try await Self.host("one", Self.machine, farm)
            try await farm.account()
            let footprint = try #require(try await farm.footprint(id))
            #expect(farm.settledFootprints == 1)
            let energy = try #require(footprint.energy)
            let kilowattHours = Double(energy.total.microjoules) / 3.6e12
            // Half of 60 W is its dynamic part and half of 40 W what it reserved.
            #expect(abs(kilowattHours - 0.075) < 1e-6)
            let market = try #require(footprint.marketGrams)
            #expect(abs(market.best - kilowattHours * 1.25 * Self.gramsPerKilowattHour) < 1e-9)
            #expect(market.low < market.best && market.best < market.high)
            let embodied = try #require(footprint.embodiedGrams)
            #expect(abs(embodied.best - 0.5 * 1.5 * Self.gramsPerHour) < 1e-9)
            #expect(abs(embodied.low / embodied.best - 0.75) < 1e-9 && abs(embodied.high / embodied.best - 1.5) < 1e-9)
            // Of the machines' energy, without the building's.
            let water = try #require(footprint.waterLitres)
            #expect(abs(water.best - kilowattHours * 0.4) < 1e-9)
            let location = try #require(footprint.locationGrams)
            #expect(location.best != market.best && footprint.intensity?.zone == "FR")
            let explanation = try #require(
                try await JobExplanation.read(jobID: id, for: .everything, now: farm.clock.now, policy: .reserved, farm.connection)
            )
            func told(_ name: String) -> Double {
                explanation.slices.indices.reduce(0) { sum, i in
                    let slices = explanation.json(baseURL: "").object?["slices"]?.array
                    return sum + (slices?[i].object?["terms"]?.object?[name]?.double ?? 0)
                }
            }
            #expect(abs(told("market_g") - market.best) < 1e-9 && abs(told("embodied_g") - embodied.best) < 1e-9)
            #expect(abs(told("water_l") - water.best) < 1e-9)
            let document = try #require(footprint.statement).document
            let figures = try #require(document.object?["figures"]?.object)
            let stated = try #require(figures["co2e_embodied_ug"]?.object?["best"]?.wholeNumber)
            #expect(abs(stated - Int64((embodied.best * 1e6).rounded())) <= 1)
            #expect(document.object?["terms"]?.array?.count == 1)
        }
    }

    @Test func whatNobodySaidIsNullWithItsReason() async throws {
        try await Farm.with { farm in
            let id = try await Self.job(farm)
            try await farm.account()
            func missing() async throws -> [String: String] {
                let footprint = try #require(try await farm.footprint(id))
                #expect(footprint.marketGrams == nil && footprint.embodiedGrams == nil && footprint.waterLitres == nil)
                return Dictionary(footprint.allMissing.map { ($0.field, $0.reason) }) { $1 }
            }
            let first = try await missing()
            #expect(first["co2e.market_g"] == "no_contract" && first["co2e.embodied_g"] == "no_embodied_figure")
            #expect(first["water_l"] == "no_wue")
            // Contracts for a part alone say nothing of the rest.
            try await Self.site(#"{"contracts": [{"share": 0.5, "g_per_kwh": 12}]}"#, farm)
            try await Self.host("one", #"{"site": "orsay"}"#, farm)
            try await farm.account()
            #expect(try await missing()["co2e.market_g"] == "no_residual_mix")
        }
    }

    @Test func aZoneOfTheSiteWithoutAFigureIsNoZoneThatNobodySaid() async throws {
        try await Farm.with { farm in
            let id = try await Self.job(farm)
            _ = try await farm.connection.execute(Statement("no_zone_of_its_own", "UPDATE host SET grid_zone = NULL"))
            func reason() async throws -> String? {
                try await farm.account()
                return try await farm.footprint(id)?.allMissing.first { $0.field == "co2e.location_g" }?.reason
            }
            #expect(try await reason() == "no_zone")
            try await Self.host("one", Self.machine, farm)
            try await Self.site(#"{"grid_zone": "XX"}"#, farm)
            #expect(try await reason() == "no_intensity")
        }
    }

    @Test func anotherContractCountsFromItsDayAndChangesNothingBefore() async throws {
        try await Farm.with { farm in
            let id = try await Self.job(farm)
            try await Self.host("one", Self.machine, farm)
            try await Self.site(#"{"grid_zone": "FR", "contracts": [{"share": 1, "g_per_kwh": 100}]}"#, farm)
            try await Self.site(
                #"{"grid_zone": "FR", "pue": 2, "contracts": [{"share": 1, "g_per_kwh": 10}]}"#,
                from: at(3_600),
                farm
            )
            try await farm.account()
            let footprint = try #require(try await farm.footprint(id))
            // Half an hour before at 0.025 kWh, an hour after at 0.05 kWh and twice the building.
            #expect(abs(try #require(footprint.marketGrams).best - (0.025 * 100 + 0.05 * 2 * 10)) < 1e-5)
        }
    }

    @Test func zoneAndBuildingOfAHostAreItsSitesWhereItSaysNothingAndItsOwnElse() async throws {
        try await Farm.with { farm in
            _ = try await Self.job(farm)
            try await Self.site(#"{"grid_zone": "DE", "pue": 1.5}"#, from: at(3_600), farm)
            try await Self.host("one", #"{"site": "ORSAY"}"#, farm)
            let host = try #require(try await HostTable.find(name: "one", farm.connection))
            func dated(_ seconds: Double) async throws -> HostRow? {
                try await HostTable.find(id: host.id, at: at(seconds), farm.connection)
            }
            #expect(try await dated(0)?.gridZone == "FR")
            #expect(try await dated(3_600)?.gridZone == "DE")
            #expect(try await dated(3_600)?.pue == 1.5)
            try await farm.account()
            let zones = try await farm.connection.query(
                Statement(
                    "zones_of_hours",
                    """
                    SELECT l.pue, i.zone FROM host_hour l LEFT JOIN intensity i ON i.intensity_id = ANY(l.intensity_ids) ORDER BY hour LIMIT 2
                    """
                )
            ).map { "\(try $0.stringIfPresent("zone") ?? "none") \(try $0.double("pue"))" }
            #expect(zones == ["FR 1.0", "DE 1.5"])
            // What is said later of the site accounts its hosts' hours anew.
            try await Self.site(#"{"grid_zone": "GB", "pue": 1.5}"#, from: at(3_600), farm)
            #expect(try await farm.count("dirty") > 0)
            try await Self.host("one", #"{"site": "orsay", "grid_zone": "IS"}"#, farm)
            #expect(try await dated(3_600)?.gridZone == "IS")
            #expect(try await HostTable.all(at: at(3_600), farm.connection).map(\.gridZone) == ["IS"])
        }
    }

    /// By job, by hour, by day, and by host with its idle account: the same sums of each kind.
    @Test(arguments: [UInt64(5), 6]) func carbonIsTheSameWhetherSummedByJobByHourOrByHost(seed: UInt64) async throws {
        try await Farm.with { farm in
            try await RollUpTests.fill(farm, seed: seed)
            try await Self.site(Self.contracts, farm)
            // Another building and other contracts from the second day's noon on.
            try await Self.site(
                #"{"grid_zone": "FR", "pue": 1.1, "wue_l_per_kwh": 1, "contracts": [{"share": 1, "g_per_kwh": 5}]}"#,
                from: at(1.5 * 86_400),
                farm
            )
            for host in ["one", "two"] { try await Self.host(host, Self.machine, farm) }
            try await farm.account()
            let whole = try await RollUpTests.answer(farm)
            let total = whole.total
            let location = try #require(total.uncertain.grams()).best
            let market = try #require(total.market?.grams()).best
            let water = try #require(total.waterLitres)
            let embodied = try #require(total.embodied)
            #expect(location > 0 && market > 0 && water > 0 && embodied.best.grams > 0)
            func near(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-6 * max(abs(a), abs(b)) }
            for keys in [[RollUpKey.service], [.host], [.job, .repository]] {
                for bucket in [nil, RollUpBucket.hour, .day, .month] {
                    let rows = try await RollUpTests.answer(farm) { ($0.keys, $0.bucket) = (keys, bucket) }.rows.values
                    let energetic = rows.filter { $0.energy > 0 }
                    #expect(near(energetic.reduce(0) { $0 + ($1.uncertain.grams()?.best ?? .nan) }, location), "\(keys) \(bucket as Any)")
                    #expect(near(energetic.reduce(0) { $0 + ($1.market?.grams()?.best ?? .nan) }, market), "\(keys) \(bucket as Any)")
                    #expect(near(energetic.reduce(0) { $0 + ($1.waterLitres ?? .nan) }, water), "\(keys) \(bucket as Any)")
                    #expect(
                        near(rows.reduce(0) { $0 + ($1.embodied?.best.grams ?? .nan) }, embodied.best.grams),
                        "\(keys) \(bucket as Any)"
                    )
                }
            }
            // Job by job.
            let jobs = try await farm.connection.query(Statement("all_jobs", "SELECT job_id FROM span_key WHERE host_id IS NOT NULL"))
                .map { try $0.string("job_id") }
            var sums = (location: 0.0, market: 0.0, water: 0.0, embodied: 0.0)
            for id in jobs {
                let footprint = try #require(try await farm.footprint(id))
                sums.location += try #require(footprint.locationGrams).best
                sums.market += try #require(footprint.marketGrams).best
                sums.water += try #require(footprint.waterLitres).best
                sums.embodied += try #require(footprint.embodiedGrams).best
            }
            #expect(near(sums.location, location) && near(sums.market, market) && near(sums.water, water))
            #expect(near(sums.embodied, embodied.best.grams))
            // Host by host: what no job has is idle, system, agent and unknown.
            let clock = farm.clock
            var hosts = (location: 0.0, embodied: 0.0, jobs: 0.0)
            for name in ["one", "two"] {
                let host = try #require(try await HostTable.find(name: name, farm.connection))
                let reader = FootprintReader(farm.connection, now: clock.now, policy: .reserved)
                let hours = try await reader.hours(host: host, interval: RollUpTests.window(), withJobs: false)
                let carbon = try await reader.carbon(of: host, hours, over: RollUpTests.window())
                hosts.location += Double(try #require(carbon.location)) / 1e6
                hosts.embodied += try #require(carbon.embodied).best.grams
                hosts.jobs += carbon.embodiedOfJobs.grams
                let rest = try await farm.connection.query(
                    Statement(
                        "rest_of_host",
                        """
                        SELECT sum((metered_uj - job_dynamic_uj - idle_reserved_uj) * pue * i.g_per_kwh)::float8 / 3.6e12 AS g
                        FROM host_hour l JOIN intensity i ON i.intensity_id = l.intensity_ids[1] WHERE host_id = $1
                        """
                    ),
                    [.int4(host.id)]
                ).only().double("g")
                hosts.location -= rest
            }
            #expect(abs(hosts.location - location) < 1e-3)
            #expect(near(hosts.jobs, embodied.best.grams))
            #expect(near(hosts.embodied, 2 * 72 * Self.gramsPerHour) && hosts.jobs < hosts.embodied)
        }
    }

    @Test func aStoreWithoutJobsOrMetersHasItsPartOfBeingMade() async throws {
        try await Farm.with { farm in
            try await HostTable.make(name: "pool-1", farm.connection)
            try await Self.host("pool-1", #"{"embodied": {"kg_co2e": 4380, "lifetime_years": 5, "from": "2026-01-01T00:00:00Z"}}"#, farm)
            let host = try #require(try await HostTable.find(name: "pool-1", farm.connection))
            let now = at(10 * 3_600 + 1_800)
            let reader = FootprintReader(farm.connection, now: now, policy: .reserved)
            let interval = Interval(at(0), at(86_400))
            let carbon = try await reader.carbon(
                of: host,
                try await reader.hours(host: host, interval: interval, withJobs: false),
                over: interval
            )
            // Ten and a half hours have passed, at 100 g each.
            #expect(abs(try #require(carbon.embodied).best.grams - 1_050) < 1e-6)
            #expect(carbon.json.object?["location_ug"] == .null && carbon.json.object?["embodied_idle_ug"] == .string("1050000000"))
        }
    }

    @Test func aMassThatIsKnownBetterLaterChargesWhatIsLeftOfIt() async throws {
        try await Farm.with { farm in
            try await HostTable.make(name: "known", farm.connection)
            func record(_ embodied: String, from: Timestamp) async throws {
                try await Self.host("known", "{\(embodied)}", from: from, farm)
            }
            let service = #""lifetime_years": 2, "from": "2026-09-01T09:00:00Z""#
            try await record(#""embodied": {"kg_co2e": 876, \#(service)}"#, from: HostRecordTable.always)
            // A disk more after half a year; a record that is silent for a while; limits that came later.
            try await record(#""embodied": {"kg_co2e": 900, \#(service)}"#, from: at(4_380 * 3_600))
            try await record(#""slots": 2"#, from: at(8_760 * 3_600))
            try await record(
                #""embodied": {"kg_co2e": 900, "low_kg_co2e": 700, "high_kg_co2e": 1200, \#(service)}"#,
                from: at(9_760 * 3_600)
            )
            let host = try #require(try await HostTable.find(name: "known", farm.connection))
            let terms = try #require(try await HostTerms.read(of: [host.id], farm.connection)[host.id])
            let hours = (0..<(2 * 8_760 + 10)).map { Hour(number: Farm.start.hour.number + Int64($0)) }
            let charged = hours.map { terms.at($0).embodiedPerHour }
            #expect(abs(try #require(charged[0]).best.grams - 50) < 1e-6)
            #expect(charged[9_000] == nil)
            let told = charged.compactMap { $0 }
            let silent = 1_000 * (900_000.0 - 219_000) / (1.5 * 8_760)
            #expect(abs(told.reduce(0) { $0 + $1.best.grams } + silent - 900_000) < 1e-3)
            #expect(told.allSatisfy { $0.low <= $0.best && $0.best <= $0.high })
        }
    }

    @Test func aSiteIsOneWhateverTheServersLocaleSaysOfItsLetters() async throws {
        try await Farm.with { farm in
            _ = try await Self.job(farm)
            try await SiteTable.set(
                try JSONValue(parsing: Array(#"{"grid_zone": "GB", "pue": 1.4, "wue_l_per_kwh": 1}"#.utf8)),
                site: "Évry NORD",
                from: HostRecordTable.always,
                farm.connection
            )
            try await Self.host("one", #"{"site": "Évry Nord"}"#, farm)
            let host = try #require(try await HostTable.find(name: "one", farm.connection))
            let dated = try #require(try await HostTable.find(id: host.id, at: at(0), farm.connection))
            #expect(dated.gridZone == "GB" && dated.pue == 1.4)
            #expect(try await HostTerms.read(of: [host.id], farm.connection)[host.id]?.at(Farm.start.hour).water != nil)
        }
    }

    @Test func aHostOnAnotherOneStandsWhereThatOneDoes() async throws {
        try await Farm.with { farm in
            for name in ["machine", "guest"] { try await HostTable.make(name: name, farm.connection) }
            try await Self.host("machine", #"{"site": "orsay"}"#, farm)
            try await Self.host("guest", #"{"parent": "machine", "slots": 1}"#, farm)
            let machine = try #require(try await HostTable.find(name: "machine", farm.connection))
            let guest = try #require(try await HostTable.find(name: "guest", farm.connection))
            try await HostTable.place(guest.id, pool: nil, parentID: machine.id, farm.connection)
            try await Self.site(#"{"grid_zone": "GB", "pue": 1.2}"#, farm)
            func dated(_ seconds: Double) async throws -> String {
                let row = try await HostTable.find(id: guest.id, at: at(seconds), farm.connection)
                return "\(row?.gridZone ?? "none") \(row?.pue ?? 0) \(row?.slots ?? 0)"
            }
            #expect(try await dated(0) == "GB 1.2 1.0")
            try await Self.site(#"{"grid_zone": "GB", "pue": 1.5}"#, from: at(3_600), farm)
            #expect(try await dated(0) == "GB 1.2 1.0")
            #expect(try await dated(3_600) == "GB 1.5 1.0")
            let entries = try await farm.connection.query(
                Statement("described_guest", "SELECT described_host($1, $2) AS record"),
                [.int4(guest.id), .timestamptz(microseconds: at(3_600).microseconds)]
            ).map { try $0.json("record") }
            #expect(entries.first?.contains("1.5") == true)
            try await Self.host("guest", #"{"parent": "machine", "slots": 1, "pue": 1.1}"#, farm)
            #expect(try await dated(3_600) == "GB 1.1 1.0")
        }
    }

    @Test func whatNobodyKeptOfReservationsIsNotNothing() async throws {
        try await Farm.with { farm in
            let id = try await Self.job(farm)
            try await Self.host("one", Self.machine, farm)
            try await farm.account()
            _ = try await farm.connection.execute(Statement("forget_reservations", "UPDATE stored_slice SET reserved_us = NULL"))
            #expect(try await RollUpTests.answer(farm).total.embodied == nil)
            let footprint = try #require(try await farm.footprint(id))
            #expect(footprint.embodiedGrams == nil)
            #expect(footprint.allMissing.contains { $0.field == "co2e.embodied_g" && $0.reason == "not_accounted" })
        }
    }

    @Test func aStatementHasWhatCountedInItsJobsHoursOnly() async throws {
        try await Farm.with { farm in
            let id = try await Self.job(farm)
            try await Self.site(Self.contracts, farm)
            try await Self.host("one", Self.machine, farm)
            try await farm.account()
            let before = try #require(try await farm.footprint(id)?.statement).digest
            // Next year it has other slots and its site another contract.
            try await Self.host("one", Self.machine.replacing(#""site""#, with: #""slots": 7, "site""#), from: at(3e7), farm)
            try await Self.site(#"{"grid_zone": "FR", "pue": 1.25}"#, from: at(3e7), farm)
            try await farm.account()
            #expect(try await farm.footprint(id)?.statement?.digest == before)
        }
    }

    @Test func ofAJobThatChangedItsGridNoMeanIsToldAndPartsOfAnHourAreNotNegative() async throws {
        try await Farm.with { farm in
            let id = try await Self.job(farm)
            try await Self.host("one", #"{"grid_zone": "FR", "pue": 1.0}"#, farm)
            try await Self.host(
                "one",
                Self.machine.replacing(#""site""#, with: #""grid_zone": "GB", "pue": 1.5, "site""#),
                from: at(3_600),
                farm
            )
            try await farm.account()
            let footprint = try #require(try await farm.footprint(id))
            #expect(footprint.intensity == nil && footprint.locationGrams != nil)
            #expect(footprint.allMissing.contains { $0.field == "intensity" && $0.reason == "several_zones" })
            // A third of its energy before, two thirds after.
            #expect(abs(try #require(footprint.pue) - 4.0 / 3) < 1e-6)
            let host = try #require(try await HostTable.find(name: "one", farm.connection))
            let reader = FootprintReader(farm.connection, now: farm.clock.now, policy: .reserved)
            let interval = Interval(at(3_600), at(3_600 + 600))
            let hours = try await reader.hours(host: host, interval: interval, withJobs: false)
            let carbon = try await reader.carbon(of: host, hours, over: interval)
            #expect(carbon.embodiedOfJobs <= (try #require(carbon.embodied)).best)
        }
    }

    @Test func aLifeThatIsProlongedChargesTheSameMassOnce() async throws {
        try await Farm.with { farm in
            try await HostTable.make(name: "old", farm.connection)
            func record(_ years: Double, from: Timestamp) async throws {
                try await Self.host(
                    "old",
                    #"{"embodied": {"kg_co2e": 876, "lifetime_years": \#(years), "from": "2026-09-01T09:00:00Z"}}"#,
                    from: from,
                    farm
                )
            }
            try await record(1, from: HostRecordTable.always)
            // After half of it another year and a half.
            let half = at(4_380 * 3_600)
            try await record(2, from: half)
            let host = try #require(try await HostTable.find(name: "old", farm.connection))
            let terms = try #require(try await HostTerms.read(of: [host.id], farm.connection)[host.id])
            let hours = (0..<(2 * 8_760 + 10)).map { Hour(number: Farm.start.hour.number + Int64($0)) }
            let charged = hours.map { terms.at($0).embodiedPerHour?.best.grams ?? .nan }
            #expect(abs(charged[0] - 100) < 1e-6)
            #expect(abs(charged[5_000] - 876_000 / 2 / (1.5 * 8_760)) < 1e-6)
            #expect(charged[2 * 8_760] == 0)
            #expect(abs(charged.reduce(0, +) - 876_000) < 1e-3)
            // Before it served nothing is known of it: that is not 0.
            #expect(terms.at(Hour(number: Farm.start.hour.number - 1)).embodiedPerHour == nil)
        }
    }
}

extension HostTermsTests {
    @Test func figuresOfTwoBasesAreNeverInOneSum() async throws {
        try await Farm.with { farm in
            let ids = [try await Self.job(farm), try await Self.job(farm, on: "two")]
            try await Self.host("two", #"{"grid_zone": "XX"}"#, farm)
            _ = try await farm.connection.execute(
                Statement(
                    "other_basis",
                    """
                    INSERT INTO intensity (zone, from_t, to_t, g_per_kwh, low_g_per_kwh, high_g_per_kwh, kind, basis, provider, version)
                    VALUES ('XX', '-infinity', 'infinity', 700, 600, 800, 'yearly', 'direct/marginal/consumption', 'made up', '2025 1')
                    """
                )
            )
            try await farm.account()
            let whole = try await RollUpTests.answer(farm)
            #expect(whole.total.locationGrams == nil && whole.total.byBasis.count == 2)
            let fields = RollUpJSON(isPublic: false).fields(whole.total)
            #expect(fields["co2e"]?.object?["location_g"] == .null && fields["co2e"]?.object?["by_basis"]?.array?.count == 2)
            #expect(try JSONValue.object(fields).text.contains(#"{"field":"co2e.location_g","reason":"several_bases"}"#))
            let byHost = try await RollUpTests.answer(farm) { $0.keys = [.host] }
            var sum = 0.0
            for figures in byHost.rows.values { sum += try #require(figures.locationGrams).best }
            #expect(abs(sum - whole.total.byBasis.values.reduce(0) { $0 + ($1.grams()?.best ?? .nan) }) < 1e-6)
            for id in ids { #expect(try await farm.footprint(id)?.locationGrams != nil) }
        }
    }

    @Test func aFigureThatMayNotBeHandedOnIsWithheldFromThoseWithoutAToken() async throws {
        try await Farm.with { farm in
            let id = try await Self.job(farm)
            try await farm.account()
            let provider = try #require(try await farm.footprint(id)?.intensity).provider
            func seen(isPublic: Bool) async throws -> [String: JSONValue] {
                let footprint = try #require(try await farm.footprint(id))
                return try #require(footprint.json(baseURL: "", isPublic: isPublic).object?["intensity"]?.object)
            }
            #expect(try await seen(isPublic: true)["g_per_kwh"] != .null)
            try await GridProviderTable.put(
                [GridProviderTable.Terms(provider: provider, source: "made up", licence: "all rights reserved", mayBeRedistributed: false)],
                farm.connection
            )
            let hidden = try await seen(isPublic: true)
            #expect(hidden["g_per_kwh"] == .null && hidden["low_g_per_kwh"] == .null && hidden["high_g_per_kwh"] == .null)
            #expect(hidden["id"] != .null && hidden["provider"] == .string(provider) && hidden["basis"] != .null)
            #expect(try await seen(isPublic: false)["g_per_kwh"] != .null)
            let footprint = try #require(try await farm.footprint(id))
            #expect(footprint.publicView.allMissing.contains { $0.field == "intensity.g_per_kwh" && $0.reason == "not_redistributable" })
            let cells = JobsCSV.record(footprint, isPublic: true).split(separator: ",", omittingEmptySubsequences: false)
            #expect(cells[try #require(JobsCSV.columns.firstIndex(of: "intensity_g_per_kwh"))] == "")
        }
    }
}
