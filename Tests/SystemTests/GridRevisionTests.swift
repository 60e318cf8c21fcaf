import Foundation
import Logging
import Postgres
import Testing

/// A forecast that becomes an actual figure, with the real collector and a provider on loopback.
@Suite(.serialized) struct GridRevisionTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test func aJobThatSpansARevisionHasAnotherStatementAndTheFormerVersionOfItsHoursIsKept() async throws {
        try await Scratch.with { scratch in
            let path = Program.directory.path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")
            let run = try await Program.run(
                "python3",
                [Self.root.path + "/docs/examples/grid-revision.py", "--keep", scratch.path + "/demo"],
                environment: ["PATH": path],
                in: scratch
            )
            #expect(run.code == 0, "\(run.output)\n\(run.errors.suffix(2_000))")
            let lines = run.output.split(separator: "\n").map(String.init)
            try #require(lines.count == 3, "\(run.output)")
            #expect(lines[0].hasPrefix("forecast  0.100 kWh  20.0 g  sha256:"))
            #expect(lines[1].hasPrefix("actual    0.100 kWh  14.5 g  sha256:"))

            let database = scratch.path + "/demo/postgres"
            let cluster = try await EmbeddedCluster.start(directory: database, log: Logger(label: "test"))
            let connection = try await PostgresConnection.connect(to: cluster.connectionString)
            // Of both hours of the job a version that was made of the forecast, and another one now.
            let hours = try await connection.query(
                Statement(
                    "versions",
                    """
                    SELECT a.version, count(DISTINCT v.inputs_sha256) AS former FROM accounted_hour a JOIN accounted_version v USING (host_id, hour)
                    WHERE v.inputs_sha256 <> a.inputs_sha256 AND EXISTS (SELECT FROM slice s WHERE s.host_id = a.host_id AND s.hour = a.hour)
                    GROUP BY a.hour, a.version ORDER BY a.hour
                    """
                )
            )
            #expect(hours.count == 2)
            for hour in hours {
                #expect(try hour.int32("version") >= 2)
                #expect(try hour.int64("former") >= 1)
            }
            // And both figures of each half hour.
            let kinds = try await connection.query(
                Statement(
                    "kinds",
                    """
                    SELECT count(*) FILTER (WHERE kind = 'forecast') AS forecasts, count(*) FILTER (WHERE kind = 'actual') AS actuals
                    FROM intensity WHERE zone = 'GB' AND g_per_kwh IN (120, 150, 200)
                    """
                )
            ).only()
            #expect(try kinds.int64("forecasts") == 1 && kinds.int64("actuals") == 2)
            await connection.close()
            try await cluster.stop()
            try await EmbeddedClusterLeftover.remove(database)
        }
    }

    @Test(arguments: [
        ("[{zone: DE, providers: [gb-carbon-intensity]}]", "expected the zone GB"),
        ("[{zone: DE, providers: [electricity-maps]}]", "WATTLE_ELECTRICITY_MAPS_KEY"),
    ]) func aCollectorThatCouldNotAskDoesNotStart(grid: String, message: String) async throws {
        try await Scratch.with { scratch in
            let file = try scratch.file("collector.yaml", "grid: \(grid)\n")
            let run = try await Program.run(
                "wattle-collector",
                ["serve", "--embedded", scratch.path + "/postgres", "--config", file],
                in: scratch
            )
            #expect(run.code == 2)
            #expect(run.errors.contains(message), "\(run.errors)")
            #expect(!FileManager.default.fileExists(atPath: scratch.path + "/postgres"))
        }
    }
}
