import Documents
import Energy
import Postgres
import Store
import Testing
import TestSupport
@testable import Collector

/// What people without a token see: nothing finer than three digits, and nothing that tells where a job ran.
@Suite struct PublicViewTests {
    /// A public job whose figures have many digits, on a pool of its own name.
    private static let job = """
        {"id": "1", "host": "bremusa", "pool": "pool-of-bremusa", "started_at": "2026-09-01T09:10:00.123457Z",
         "finished_at": "2026-09-01T09:20:07.654321Z", "cpu_share": 0.234567, "job": "build", "visibility": "public",
         "cpu_time_us": 123456789, "memory_max_bytes": 987654321}
        """

    private static let figures = ["energy", "co2e", "usage", "share"]
    private static let columns = ["kwh", "_g", "coverage", "share"]

    /// Significant digits of a number's decimal text.
    private static func digits(_ text: String) -> Int {
        let digits = text.filter { $0.isNumber }.drop { $0 == "0" }
        return text.contains(".") ? digits.count : String(digits.reversed().drop { $0 == "0" }).count
    }

    private static func mostDigits(_ value: JSONValue) -> Int {
        switch value {
        case .number(let number): digits(Digits.plain(number))
        case .integer(let number): digits("\(number)")
        case .string(let text): text.allSatisfy { $0.isNumber } ? digits(text) : 0
        case .array(let values): values.map(mostDigits).max() ?? 0
        case .object(let fields): fields.values.map(mostDigits).max() ?? 0
        case .null, .bool: 0
        }
    }

    /// A metered host with 100.37 W and some.
    private static func metered(_ farm: Farm) async throws {
        let token = try await farm.token("a", host: "bremusa")
        var reporter = Reporter(host: "bremusa")
        let batch = reporter.batch(
            energy: [knot(0, 0), knot(3_600, 361_234.567)],
            busy: [Knot(time: at(0), value: 0), Knot(time: at(3_600), value: 7_123_456_789)],
            idleWatts: 21.345
        )
        _ = try await farm.commit(batch, token: token)
        farm.clock.now = at(7_300)
    }

    @Test func noFigureOfAPublicFootprintHasMoreThanThreeDigits() async throws {
        try await Farm.with { farm in
            try await Self.metered(farm)
            let job = try await farm.post(Self.job)
            try await farm.account()
            var footprint = try #require(try await farm.footprint(job.jobID))
            // Limits so near that a reader is told many digits.
            let total = Double(try #require(footprint.energy).total.microjoules)
            footprint.energy?.bounds = (total * 0.999_99, total * 1.000_01)
            let grams = try #require(footprint.locationGrams).best
            footprint.locationGrams = Footprint.Figure(best: grams, low: grams * 0.999_99, high: grams * 1.000_01)
            #expect(footprint.energy != nil && footprint.locationGrams != nil && footprint.share != nil && footprint.cpuTime != nil)
            let whole = try #require(footprint.json(baseURL: "").object)
            let shown = try #require(footprint.json(baseURL: "", isPublic: true).object)
            for name in Self.figures {
                #expect(Self.mostDigits(whole[name] ?? .null) > 3, "\(name) of a reader's")
                #expect(Self.mostDigits(shown[name] ?? .null) <= 3, "\(name): \(shown[name].map { (try? $0.text) ?? "" } ?? "")")
            }
            #expect(shown["usage"]?.object?["cpu_seconds"] == .null && shown["usage"]?.object?["memory_max_bytes"] == .null)
            let reasons = shown["missing"]?.array?.compactMap(\.object).filter { $0["field"]?.string?.hasPrefix("usage.") == true } ?? []
            #expect(reasons.compactMap { $0["field"]?.string }.sorted() == ["usage.cpu_seconds", "usage.memory_max_bytes"])
            #expect(reasons.allSatisfy { $0["reason"] == .string("token_needed") })
            // The factor is anyone's, in all its digits.
            #expect(shown["intensity"] == whole["intensity"])

            func record(isPublic: Bool) -> [String: String] {
                let line = JobsCSV.record(footprint, isPublic: isPublic).split(separator: "\r\n", omittingEmptySubsequences: false)[0]
                let values = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
                return Dictionary(uniqueKeysWithValues: zip(JobsCSV.columns, values))
            }
            let (reader, anyone) = (record(isPublic: false), record(isPublic: true))
            #expect(reader.count == JobsCSV.columns.count && anyone.count == reader.count)
            for column in JobsCSV.columns
            where column != "intensity_g_per_kwh" && Self.columns.contains(where: { column == $0 || column.hasSuffix($0) }) {
                #expect(Self.digits(anyone[column] ?? "") <= 3, "\(column): \(anyone[column] ?? "")")
            }
            for column in ["energy_kwh", "co2e_location_g"] { #expect(Self.digits(reader[column] ?? "") > 3, "\(column)") }
            #expect(anyone["energy_kwh"]?.isEmpty == false && anyone["co2e_location_g"]?.isEmpty == false)
            #expect(anyone["pool"] == "" && reader["pool"] == "pool-of-bremusa")
        }
    }

    @Test func withoutATokenAPoolIsNeitherToldNorAskedFor() async throws {
        try await Farm.with { farm in
            try await Self.metered(farm)
            let job = try await farm.post(Self.job).jobID
            try await farm.account()
            try await PageTests.Server.with(farm) { server in
                for path in ["/v1/jobs?pool=pool-of-bremusa", "/data/jobs.csv?pool=pool-of-bremusa", "/jobs?pool=pool-of-bremusa"] {
                    #expect(try await server.get(path).status == 401, "\(path)")
                    #expect(try await server.page(path).contains(job), "\(path)")
                }
                for path in ["/v1/jobs", "/v1/jobs/\(job)", "/data/jobs.csv", "/jobs", "/jobs/\(job)"] {
                    let answer = try await server.get(path)
                    #expect(answer.status == 200 && answer.body.contains(job), "\(path)")
                    #expect(!answer.body.contains("bremusa"), "\(path)")
                }
            }
        }
    }

    @Test func anAnswerOfManyStatementsIsEndedAsAWhole() async throws {
        try await Farm.with { farm in
            var site = Site(pool: farm.pool, metrics: CollectorMetrics(), now: { Farm.start }, baseURL: "")
            site.longestAnswer = .milliseconds(300)
            let start = ContinuousClock.now
            let problem = await #expect(throws: Problem.self) {
                try await site.bounded { connection in
                    // Each is quick; together they would never end.
                    while true { _ = try await connection.execute(Statement("nap", "SELECT pg_sleep(0.05)")) }
                }
            }
            #expect(problem?.type == "question-too-large")
            #expect(ContinuousClock.now - start < .seconds(10))
            // The connection serves the next one.
            let one = try await site.bounded { try await $0.query(Statement("one", "SELECT 1::int8 AS n")).only().int64("n") }
            #expect(one == 1)
        }
    }
}
