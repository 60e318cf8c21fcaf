import Foundation
import Testing

/// `wattle factors check` as a reviewer runs it.
@Suite struct FactorsCommandTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test func theShippedTablesAndThoseOfTheProjectAreRight() async throws {
        try await Scratch.with { scratch in
            for arguments in [[], [Self.root.appendingPathComponent("config/factors").path]] {
                let run = try await Program.run("wattle", ["factors", "check"] + arguments, in: scratch)
                #expect(run.code == 0, "\(run.output)")
                #expect(run.output == "10 tables, nothing wrong\n")
            }
        }
    }

    @Test func everyFindingHasItsFileAndLineAndTheEndIsOne() async throws {
        try await Scratch.with { scratch in
            let folder = scratch.path + "/factors"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let table = """
                zone,iso3,name,year,g_per_kwh,low_g_per_kwh,high_g_per_kwh,kind,basis,provider,source,licence
                CF,CAF,Central African Republic,2022,0,,,yearly,lifecycle/average/production,p,s,CC BY 4.0
                TM,TKM,Turkmenistan,2022,1306.025,,,yearly,lifecycle/average/production,p,s,

                """
            try table.write(toFile: folder + "/country_intensity.csv", atomically: true, encoding: .utf8)
            let run = try await Program.run("wattle", ["factors", "check", folder], in: scratch)
            #expect(run.code == 1)
            #expect(run.output.contains("country_intensity.csv:2: g_per_kwh: expected a number of 0.1 to 1200.0, found 0\n"))
            #expect(run.output.contains("country_intensity.csv:3: g_per_kwh: expected a number of 0.1 to 1200.0, found 1306.025\n"))
            #expect(run.output.contains("country_intensity.csv:3: licence: expected a text, found nothing\n"))
            let json = try await Program.run("wattle", ["factors", "check", folder, "--format", "json"], in: scratch)
            #expect(json.code == 1)
            let answer = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
            #expect((answer["findings"] as? [[String: Any]])?.contains { $0["rule"] as? String == "missing" } == true)
            #expect(try await Program.run("wattle", ["factors", "check", scratch.path + "/none"], in: scratch).code == 2)
        }
    }
}
