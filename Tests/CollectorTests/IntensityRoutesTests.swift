import Carbon
import Documents
import Energy
import Foundation
import HTTPClient
import Postgres
import Store
import Testing
@testable import Collector

/// Intensities, best windows, estimates and models over real HTTP: what is not known is null with a reason, and bases are never mixed.
@Suite struct IntensityRoutesTests {
    /// 2026-09-01T10:00:00Z is `now`; `minutes` are from there.
    private static func at(_ minutes: Int64) -> Timestamp { Farm.start + .hour + .seconds(minutes * 60) }

    private static let direct = "direct/average/consumption"
    private static let marginal = "direct/marginal/consumption"

    /// Steps of half an hour from a minute on.
    private static func add(
        _ farm: Farm,
        _ zone: String,
        from minute: Int64,
        _ values: [Double],
        kind: String = "actual",
        basis: String = direct,
        provider: String = "gb-carbon-intensity",
        version: String = "1"
    ) async throws {
        for (index, value) in values.enumerated() {
            let start = at(minute + Int64(index) * 30)
            _ = try await farm.connection.execute(
                Statement(
                    "test_intensity",
                    """
                    INSERT INTO intensity (zone, from_t, to_t, g_per_kwh, low_g_per_kwh, high_g_per_kwh, kind, basis, provider, version, fetched_at)
                    VALUES ($1, $2, $3, $4, $4, $4, $5, $6, $7, $8, $9)
                    """
                ),
                [
                    .text(zone), .timestamptz(microseconds: start.microseconds),
                    .timestamptz(microseconds: (start + .seconds(1_800)).microseconds), .float8(value), .text(kind), .text(basis),
                    .text(provider), .text(version), .timestamptz(microseconds: at(-120).microseconds),
                ]
            )
        }
    }

    private static func provider(_ farm: Farm, _ name: String, mayBeRedistributed: Bool = true) async throws {
        _ = try await farm.connection.execute(
            Statement(
                "test_provider",
                """
                INSERT INTO grid_provider (provider, source, licence, may_be_redistributed) VALUES ($1, 'a source', 'CC-BY-4.0', $2)
                ON CONFLICT DO NOTHING
                """
            ),
            [.text(name), .bool(mayBeRedistributed)]
        )
    }

    private static func object(_ body: String) throws -> [String: JSONValue] {
        try #require(try JSONValue(parsing: Array(body.utf8)).object, "\(body.prefix(300))")
    }

    private static func post(
        _ server: PageTests.Server,
        _ path: String,
        _ body: String,
        type: String = "application/json",
        token: String? = nil
    ) async throws -> (status: Int, body: String) {
        var headers = [("Content-Type", type)]
        if let token { headers.append(("Authorization", "Bearer \(token)")) }
        let answer = try await server.client.send(
            HTTPRequest(method: "POST", url: server.url + path, headers: headers, body: Array(body.utf8))
        )
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }

    /// Great Britain with an hour of actual values, and four hours of forecasts that fall to 80 g/kWh and rise again.
    private static func greatBritain(_ farm: Farm) async throws {
        try await provider(farm, "gb-carbon-intensity")
        try await add(farm, "GB", from: -60, [210, 205])
        try await add(farm, "GB", from: 0, [200, 190, 150, 80, 90, 120, 180, 220], kind: "forecast")
    }

    @Test func theFiguresInUseAreToldWithWhatComes() async throws {
        try await Farm.with { farm in
            try await Self.greatBritain(farm)
            let clock = farm.clock
            try await PageTests.Server.with(farm) { server in
                let body = try await server.get("/v1/intensity/GB?from=2026-09-01T09:00:00Z&to=2026-09-01T15:00:00Z")
                #expect(body.status == 200, "\(body.body)")
                let answer = try Self.object(body.body)
                let pieces = (answer["pieces"]?.array ?? []).map { $0.object ?? [:] }
                #expect(pieces.count == 11, "\(body.body)")
                #expect(pieces.first?["kind"] == .string("actual") && pieces.first?["g_per_kwh"] == .integer(210))
                #expect(pieces.first?["source"] == .string("a source") && pieces.first?["fetched_at"] == .string("2026-09-01T08:00:00Z"))
                #expect(answer["now"]?.object?["kind"] == .string("forecast"))
                // What nobody forecasts is the yearly figure of the zone, with its own basis, and in no sum with the others.
                #expect(pieces.last?["kind"] == .string("yearly") && pieces.last?["basis"] != pieces.first?["basis"])
                #expect(answer["bases"]?.array?.first == .string(Self.direct))
                #expect(answer["latest"]?.object?["stale"] == .bool(false))
                #expect(answer["latest"]?.object?["to"] == .string("2026-09-01T10:00:00Z"))
                // Three hours on nothing has come: the last figure is not the present one.
                clock.now = Self.at(190)
                let later = try Self.object(try await server.page("/v1/intensity/GB"))
                #expect(later["latest"]?.object?["stale"] == .bool(true))
                #expect(later["latest"]?.object?["age_s"] == .integer(11_400))
                #expect(later["now"]?.object?["kind"] == .string("forecast"))
            }
        }
    }

    @Test func whatCannotBeAskedIsRefusedWithWhatToDo() async throws {
        try await Farm.with { farm in
            try await PageTests.Server.with(farm) { server in
                for (path, status, word) in [
                    ("intensity/ZZ", 404, "grid:"), ("intensity/fr", 404, "upper case"), ("intensity/US-NOWHERE", 404, "known are US"),
                    ("intensity/FR?from=2026-09-02T00:00:00Z&to=2026-09-01T00:00:00Z", 422, "after from"),
                    ("intensity/FR?from=2026-01-01T00:00:00Z&to=2026-09-01T00:00:00Z", 422, "31 days"),
                    ("intensity/FR?basis=average", 400, "basis"), ("intensity/FR?since=x", 400, "since"),
                    ("intensity/FR/best", 400, "duration"), ("intensity/FR/best?duration=2", 422, "90m"),
                    ("intensity/FR/best?duration=49h", 422, "at most the time"), ("intensity/FR,FR/best?duration=1h", 422, "each once"),
                    ("intensity/FR,ZZ/best?duration=1h", 404, "ZZ"),
                ] {
                    let body = try await server.page("/v1/\(path)", status)
                    #expect(body.contains(word), "\(path): \(body)")
                }
            }
        }
    }

    @Test func aTimeWithoutAFigureIsNullWithItsReason() async throws {
        try await Farm.with { farm in
            try await Self.provider(farm, "own")
            try await Self.add(farm, "XX-ISLAND", from: -120, [300], provider: "own")
            try await PageTests.Server.with(farm) { server in
                let answer = try Self.object(try await server.page("/v1/intensity/XX-ISLAND"))
                let piece = answer["now"]?.object ?? [:]
                #expect(piece["g_per_kwh"] == .null && piece["reason"] == .string("no_figure"))
                #expect(answer["latest"]?.object?["g_per_kwh"] == .integer(300) && answer["latest"]?.object?["stale"] == .bool(true))
                let best = try Self.object(try await server.page("/v1/intensity/XX-ISLAND/best?duration=1h"))
                #expect(best["best"] == .null && best["saving"] == .null)
                let estimate = try await Self.post(server, "/v1/estimate", #"{"energy_wh": 1000, "zone": "XX-ISLAND"}"#)
                let found = try Self.object(estimate.body)
                #expect(found["co2e"]?.object?["location_g"] == .null, "\(estimate.body)")
                #expect(found["missing"]?.array?.contains { $0.object?["reason"] == .string("no_intensity") } == true)
                #expect(try await server.get("/emissions/bylocation?location=XX-ISLAND").status == 204)
                #expect(try await server.get("/emissions/forecasts/current?location=XX-ISLAND").status == 204)
            }
        }
    }

    @Test func valuesThatMayNotBeHandedOnAreOnlyTheReaders() async throws {
        try await Farm.with { farm in
            try await Self.provider(farm, "paid", mayBeRedistributed: false)
            try await Self.add(farm, "NZ-NZN", from: 0, [123, 77, 141, 160], kind: "forecast", provider: "paid")
            // Nobody said whether this one's may.
            try await Self.add(farm, "NZ-NZS", from: 0, [123, 77], kind: "forecast", provider: "unheard-of")
            // What came may be told, and how far off the forecasts of it were would tell of those that may not: another provider's figures.
            try await Self.provider(farm, "free")
            for zone in ["NZ-A", "NZ-B"] {
                let other = zone == "NZ-A" ? "paid" : "free"
                try await Self.add(farm, zone, from: -60, [222, 222], kind: "forecast", provider: other, version: "0")
                try await Self.add(farm, zone, from: -60, [200, 200], kind: "estimated", provider: other)
                try await Self.add(farm, zone, from: -60, [210, 210, 210, 210, 210], provider: "free")
            }
            try await PageTests.Server.with(farm) { server in
                for path in [
                    "/v1/intensity/NZ-A?to=2026-09-01T11:00:00Z", "/v1/intensity/NZ-A/best?duration=30m&until=2026-09-01T12:00:00Z",
                ] {
                    func error(_ body: String) throws -> JSONValue? {
                        let answer = try Self.object(body)
                        return answer["forecast_error"] ?? answer["zones"]?.array?.first?.object?["forecast_error"]
                    }
                    let hidden = try await server.get(path)
                    #expect(try error(hidden.body) == .null && hidden.body.contains("not_redistributable"), "\(hidden.body)")
                    #expect(try error(try await server.page(path))?.object?["pairs"] == .integer(2))
                    let free = try await server.get(path.replacing("NZ-A", with: "NZ-B"))
                    #expect(try error(free.body)?.object?["pairs"] == .integer(2), "\(free.body)")
                }
                for zone in ["NZ-NZN", "NZ-NZS"] {
                    let seen = try await server.get("/v1/intensity/\(zone)?to=2026-09-01T11:00:00Z")
                    #expect(!seen.body.contains("123") && !seen.body.contains(":77"), "\(seen.body)")
                    let piece = try Self.object(seen.body)["now"]?.object ?? [:]
                    #expect(piece["g_per_kwh"] == .null && piece["reason"] == .string("not_redistributable"))
                    #expect(piece["id"]?.integer != nil && piece["provider"]?.string != nil && piece["fetched_at"]?.string != nil)
                }
                let read = try Self.object(try await server.page("/v1/intensity/NZ-NZN?to=2026-09-01T11:00:00Z"))
                #expect(read["now"]?.object?["g_per_kwh"] == .integer(123))
                let best = try await server.get("/v1/intensity/NZ-NZN/best?duration=30m&until=2026-09-01T12:00:00Z")
                let window = try Self.object(best.body)
                #expect(window["best"]?.object?["from"] == .string("2026-09-01T10:30:00Z"), "\(best.body)")
                #expect(window["best"]?.object?["g_per_kwh"] == .null && window["saving"] == .null)
                let question = #"{"energy_wh": 1000, "zone": "NZ-NZN", "pue": 1}"#
                let hidden = try await Self.post(server, "/v1/estimate", question)
                #expect(try Self.object(hidden.body)["co2e"]?.object?["location_g"] == .null && !hidden.body.contains("123"))
                let shown = try await Self.post(server, "/v1/estimate", question, token: server.readToken)
                #expect(try Self.object(shown.body)["co2e"]?.object?["location_g"]?.object?["best"] == .integer(123), "\(shown.body)")
                #expect(try await server.get("/emissions/bylocation?location=NZ-NZN").status == 401)
                #expect(try await server.get("/emissions/bylocation?location=NZ-NZN", token: server.readToken).status == 200)
            }
        }
    }

    @Test func theBestWindowIsOfZonesThatCountTheSame() async throws {
        try await Farm.with { farm in
            try await Self.greatBritain(farm)
            try await Self.provider(farm, "test")
            try await Self.add(farm, "FR-X", from: 0, [60, 70, 100, 100], kind: "forecast", provider: "test")
            try await Self.add(farm, "US-X", from: 0, [10, 10, 10, 10], kind: "forecast", basis: Self.marginal, provider: "test")
            // Forecasts of what came: 10 too many, 20 too few.
            try await Self.add(farm, "GB", from: -60, [220, 185], kind: "forecast", version: "0")
            try await PageTests.Server.with(farm) { server in
                let gb = try Self.object(try await server.page("/v1/intensity/GB/best?duration=1h&until=2026-09-01T14:00:00Z"))
                #expect(gb["best"]?.object?["from"] == .string("2026-09-01T11:30:00Z"))
                #expect(gb["best"]?.object?["g_per_kwh"] == .integer(85) && gb["best"]?.object?["kind"] == .string("forecast"))
                #expect(abs((gb["saving"]?.double ?? 0) - (1 - 85.0 / 195)) < 1e-6)
                let error = gb["zones"]?.array?.first?.object?["forecast_error"]?.object
                #expect(error?["pairs"] == .integer(2) && error?["mean_absolute_g_per_kwh"] == .integer(15))
                let two = try Self.object(try await server.page("/v1/intensity/GB,FR-X/best?duration=1h&until=2026-09-01T14:00:00Z"))
                #expect(two["best"]?.object?["zone"] == .string("FR-X"))
                #expect(abs((two["saving"]?.double ?? 0) - (1 - 65.0 / 195)) < 1e-6)
                #expect(two["zones"]?.array?.count == 2)
                let mixed = try await server.page("/v1/intensity/GB,US-X/best?duration=1h&until=2026-09-01T12:00:00Z", 422)
                #expect(mixed.contains("mixed-bases") && mixed.contains(Self.marginal))
                // Of one basis that is asked for, a zone that has none has no window, and none of another stands in.
                let asked = try Self.object(
                    try await server.page("/v1/intensity/GB,US-X/best?duration=1h&until=2026-09-01T12:00:00Z&basis=\(Self.marginal)")
                )
                #expect(asked["best"]?.object?["zone"] == .string("US-X"))
                #expect(asked["zones"]?.array?.first?.object?["best"] == .null)
                #expect(
                    try await server.page("/emissions/bylocations/best?location=GB&location=US-X", 422).contains("mixed-bases")
                )
            }
        }
    }

    @Test func anEstimateIsEnergyTimesBuildingTimesTheGridOfItsTime() async throws {
        try await Farm.with { farm in
            try await Self.greatBritain(farm)
            try await PageTests.Server.with(farm) { server in
                let question =
                    #"{"energy_kwh": 2, "error": 0, "zone": "GB", "from": "2026-09-01T09:30:00Z", "to": "2026-09-01T10:30:00Z", "pue": 1.5"#
                let answer = try Self.object(try await Self.post(server, "/v1/estimate", question + "}").body)
                let grams = try #require(answer["co2e"]?.object?["location_g"]?.object)
                #expect(abs((grams["best"]?.double ?? 0) - 3 * 202.5) < 0.1)
                #expect(answer["facility_energy"]?.object?["best_kwh"] == .integer(3))
                #expect(answer["intensity"]?.object?["kind"] == .string("forecast"))
                #expect(answer["intensity"]?.object?["kinds"] == .array([.string("actual"), .string("forecast")]))
                #expect(answer["coverage"] == .integer(1))
                let drawn = try Self.object(
                    try await Self.post(server, "/v1/estimate", question + #", "method": "monte_carlo", "draws": 20000, "seed": 4}"#).body
                )
                let (low, drawnLow) = (
                    grams["low"]?.double ?? 0, drawn["co2e"]?.object?["location_g"]?.object?["low"]?.double ?? 0
                )
                #expect(abs(low - drawnLow) < 0.02 * 600, "\(low) \(drawnLow)")
                // Over the end of the forecasts another basis begins: these are in no sum.
                let far = try Self.object(
                    try await Self.post(
                        server,
                        "/v1/estimate",
                        #"{"power_w": 100, "zone": "GB", "from": "2026-09-01T13:00:00Z", "to": "2026-09-01T15:00:00Z"}"#
                    ).body
                )
                #expect(far["co2e"]?.object?["location_g"] == .null)
                #expect(far["missing"]?.array?.contains { $0.object?["reason"] == .string("several_bases") } == true)
                let own = try Self.object(
                    try await Self.post(
                        server,
                        "/v1/estimate",
                        #"{"energy_wh": 500, "g_per_kwh": 212, "basis": "\#(Self.direct)", "pue": 1}"#
                    ).body
                )
                #expect(own["co2e"]?.object?["location_g"]?.object?["best"]?.double == 106)
            }
        }
    }

    @Test func estimatesThatMakeNoSenseAreRefusedByTheirField() async throws {
        try await Farm.with { farm in
            try await PageTests.Server.with(farm) { server in
                for (body, field) in [
                    (#"{"energy_wh": -5, "zone": "FR"}"#, "energy_wh"), (#"{"energy_wh": 5, "zone": "ZZ"}"#, "zone"),
                    (#"{"energy_wh": 5}"#, "zone"), (#"{"energy_wh": 5, "zone": "FR", "pue": 0.9}"#, "pue"),
                    (#"{"energy_wh": 5, "zone": "FR", "from": "2026-09-02T00:00:00Z", "to": "2026-09-01T00:00:00Z"}"#, "to"),
                ] {
                    let answer = try await Self.post(server, "/v1/estimate", body)
                    #expect(answer.status == 422, "\(body): \(answer.body)")
                    #expect(try Self.object(answer.body)["field"] == .string(field), "\(answer.body)")
                }
                #expect(try await Self.post(server, "/v1/estimate", "{").status == 400)
                #expect(try await Self.post(server, "/v1/estimate", #"{"energy_wh": NaN, "zone": "FR"}"#).status == 400)
                #expect(try await Self.post(server, "/v1/estimate", "{}", type: "text/plain").status == 415)
                let long = #"{"energy_wh": 5, "zone": "\#(String(repeating: "A", count: 70_000))"}"#
                #expect(try await Self.post(server, "/v1/estimate", long).status == 413)
            }
        }
    }

    @Test func clientsOfTheCarbonAwareSDKAreAnswered() async throws {
        try await Farm.with { farm in
            try await Self.greatBritain(farm)
            try await Self.provider(farm, "test")
            try await Self.add(farm, "FR-X", from: 0, [60, 70], kind: "forecast", provider: "test")
            try await PageTests.Server.with(farm) { server in
                let times = "time=2026-09-01T10:00:00Z&toTime=2026-09-01T14:00:00Z"
                let best = try JSONValue(
                    parsing: Array(try await server.page("/emissions/bylocations/best?location=GB&location=FR-X&\(times)").utf8)
                )
                #expect(best.array?.count == 1)
                #expect(best.array?.first?.object?["location"] == .string("FR-X"))
                #expect(best.array?.first?.object?["rating"] == .integer(60))
                #expect(best.array?.first?.object?["duration"] == .string("00:30:00"))
                #expect(best.array?.first?.object?["time"] == .string("2026-09-01T10:00:00+00:00"))
                // A cloud's region is where it is, and an instant is told with its whole step.
                let one = try JSONValue(parsing: Array(try await server.page("/emissions/bylocation?location=uksouth").utf8))
                #expect(one.array?.first?.object?["location"] == .string("uksouth"))
                #expect(
                    one.array?.first?.object?["rating"] == .integer(200) && one.array?.first?.object?["duration"] == .string("00:30:00")
                )
                let all = try JSONValue(parsing: Array(try await server.page("/emissions/bylocations?location=GB&\(times)").utf8))
                #expect(all.array?.count == 8)
                let forecast = try JSONValue(
                    parsing: Array(
                        try await server.page(
                            "/emissions/forecasts/current?location=GB&dataStartAt=2026-09-01T10:00:00Z&dataEndAt=2026-09-01T14:00:00Z&windowSize=60"
                        ).utf8
                    )
                ).array?.first?.object
                #expect(forecast?["windowSize"] == .integer(60) && forecast?["forecastData"]?.array?.count == 7)
                #expect(forecast?["optimalDataPoints"]?.array?.first?.object?["value"] == .integer(85))
                #expect(forecast?["optimalDataPoints"]?.array?.first?.object?["timestamp"] == .string("2026-09-01T11:30:00+00:00"))
                // A name that is misspelt does not answer with everything, and an unknown place is not another one.
                #expect(try await server.page("/emissions/bylocation?location=GB&startTime=x", 400).contains("startTime"))
                _ = try await server.page("/emissions/bylocation?location=atlantis", 404)
                _ = try await server.page("/emissions/bylocation", 400)
            }
        }
    }

    @Test func modelsAnswerWhatTheirPublishedExamplesAsk() async throws {
        try await Farm.with { farm in
            try await PageTests.Server.with(farm) { server in
                let observations = """
                    [{"timestamp": "2023-07-06T00:00", "duration": 3600, "cpu-util": 10, "provider": "aws", "instance_type": "m5n.large"}]
                    """
                let answer = try await Self.post(server, "/v1/models/ccf", observations)
                let first = try JSONValue(parsing: Array(answer.body.utf8)).array?.first?.object
                // 1.94356979155298 W for an hour.
                #expect(abs((first?["energy"]?.double ?? 0) - 0.00194356979155298) < 1e-12, "\(answer.body)")
                #expect(first?["duration"] == .integer(3_600) && first?["embodied-carbon"]?.double != nil)
                let wrong = try await Self.post(
                    server,
                    "/v1/models/ccf",
                    #"[{"duration": 1, "cpu-util": 10, "vendor": "aws", "instance-type": "m5n.large"}, {"duration": -1, "cpu-util": 10, "vendor": "acme"}]"#
                )
                #expect(wrong.status == 422)
                let problem = try Self.object(wrong.body)
                #expect(problem["index"] == .integer(1) && (problem["faults"]?.array?.count ?? 0) >= 2, "\(wrong.body)")
                #expect(try await Self.post(server, "/v1/models/ccf", observations, type: "text/csv").status == 415)

                let csv = """
                    cpuDescription,memory,country,cpuUtilization,powerUsageEffectiveness,dailyUptime,machineName
                    Intel Xeon Silver 4114,32,France,40,1.3,24,one
                    Intel Xeon Silver 4114,32,Atlantis,40,1.3,24,two
                    Intel Xeon Silver 4114,32,France,400,1.3,24,three

                    """
                let machines = try await Self.post(server, "/v1/models/on-premise", csv, type: "text/csv")
                let found = try Self.object(machines.body)
                let rows = (found["machines"]?.array ?? []).map { $0.object ?? [:] }
                #expect(rows.count == 2 && found["faults"]?.array?.count == 1, "\(machines.body)")
                #expect((rows.first?["energy_kwh"]?.double ?? 0) > 0 && (rows.first?["co2e_g"]?.double ?? 0) > 0)
                #expect(rows.first?["intensity"]?.object?["zone"] == .string("FR"))
                // Nowhere is not the world.
                #expect(rows.last?["co2e_g"] == .null && (rows.last?["energy_kwh"]?.double ?? 0) > 0)
                for (body, column) in [("a,b\n1,2\n", "cpuDescription"), ("", ""), ("cpuDescription,memory\n", "rows")] {
                    let refused = try await Self.post(server, "/v1/models/on-premise", body, type: "text/csv")
                    #expect(refused.status == 422, "\(refused.body)")
                    #expect(try Self.object(refused.body)["field"] == .string(column), "\(refused.body)")
                }
            }
        }
    }

    @Test func thePublishedVectorsOfTheCCFModelAreAnsweredOverHTTP() async throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().path + "/../../../shared/vectors/ccf.json"
        guard FileManager.default.fileExists(atPath: path) else {
            print("skipped: ../shared/vectors/ccf.json is not there")
            return
        }
        let all = try JSONValue(parsing: Array(try Data(contentsOf: URL(filePath: path)))).object?["vectors"]?.array ?? []
        // Those without measured points, which are not shipped, and of a utilisation that there is.
        let vectors = all.compactMap(\.object).filter {
            $0["do_not_match"] == nil && ($0["error"]?.isNull ?? true) && $0["interpolation"]?.string == "linear"
                && ($0["cpu_util"]?.double ?? 0) <= 100
                && ($0["energy_kwh"]?.double != nil || $0["energy_kwh_corrected"]?.double != nil)
        }
        try #require(vectors.count > 5, "\(all.first?.object?.keys.sorted() ?? [])")
        try await Farm.with { farm in
            try await PageTests.Server.with(farm) { server in
                let observations = vectors.map { vector in
                    JSONValue.object([
                        "vendor": vector["vendor"] ?? .null, "instance-type": vector["instance_type"] ?? .null,
                        "duration": vector["duration_s"] ?? .null, "cpu-util": vector["cpu_util"] ?? .null,
                    ])
                }
                let answer = try await Self.post(server, "/v1/models/ccf", try JSONValue.array(observations).text)
                let answers = try #require(try JSONValue(parsing: Array(answer.body.utf8)).array, "\(answer.body.prefix(500))")
                #expect(answers.count == vectors.count)
                for (found, vector) in zip(answers, vectors) {
                    let a = found.object?["energy"]?.double ?? .nan
                    let b = vector["energy_kwh_corrected"]?.double ?? vector["energy_kwh"]?.double ?? .nan
                    #expect(abs(a - b) <= 1e-12 * abs(b), "\(vector["id"] ?? .null): \(a) \(b)")
                }
            }
        }
    }
}
