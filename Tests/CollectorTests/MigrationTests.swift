import Accounting
import Carbon
import Energy
import Logging
import Migrations
import Postgres
import Testing

@testable import Store
import TestSupport

/// A database that has data already is brought up to date, and keeps them.
@Suite struct MigrationTests {
    @Test func anAccountedHourFromBeforeTheEngineKeepsItsFiguresAndIsAccountedAnew() async throws {
        let connection = try await PostgresConnection.connect(
            to: try await TestPostgres.database(),
            applicationName: "test",
            connectTimeout: .seconds(10),
            logger: Logger(label: "test")
        )
        let result: Result<Void, any Error>
        do {
            for step in Migrations.all where step.number <= 3 {
                try await connection.transaction { tx in try await tx.executeScript(step.sql) }
            }
            try await connection.transaction { tx in
                try await tx.executeScript(
                    """
                    INSERT INTO host (name) VALUES ('old');
                    INSERT INTO intensity (zone, from_t, to_t, g_per_kwh, low_g_per_kwh, high_g_per_kwh, kind, basis, provider, version)
                    VALUES ('FR', '-infinity', 'infinity', 50, 40, 60, 'yearly', 'lifecycle/average/production', 'p', '2024 x');
                    INSERT INTO host_hour (host_id, hour, component, metered_uj, metered_low_uj, metered_high_uj, job_dynamic_uj, system_uj,
                        agent_uj, idle_uj, unknown_uj, idle_reserved_uj, idle_busy_uj, idle_equal_uj, unmetered_us, unmetered_max_uj, flags,
                        quality, pue, intensity_id, co2e_ug, co2e_job_dynamic_ug, co2e_system_ug, co2e_agent_ug, co2e_idle_ug, co2e_unknown_ug)
                    VALUES (1, '2026-09-01 09:00Z', 'cpu', 10, 10, 10, 4, 1, 1, 3, 1, 2, 2, 2, 0, 0, 0, 'measured', 1, 1, 10, 4, 1, 1, 3, 1);
                    INSERT INTO slice VALUES (1, '2026-09-01 09:00Z', 'cpu', 7, '2026-09-01 09:00Z', '2026-09-01 09:10Z', 4, 2, 2, 2, 6, 6, 2, 2,
                        1, 1, 0, 600000000, 'declared', 0.5, 'measured');
                    INSERT INTO accounted_hour (host_id, hour) VALUES (1, '2026-09-01 09:00Z');
                    """
                )
            }
            for step in Migrations.all where step.number > 3 {
                try await connection.transaction { tx in try await tx.executeScript(step.sql) }
            }
            let hour = Hour(containing: Farm.start)
            let row = try #require(try await HourLedger.read(hostID: 1, hour.interval, connection).first)
            #expect(row.accounts.metered == 10 && row.intensityIDs == [1] && row.emissions?.total == 10)
            let slice = try #require(try await HourLedger.slices(hostID: 1, hour.interval, connection).first)
            #expect(slice.slice.dynamic == 4 && slice.intensity?.value.gramsPerKilowattHour == 50)
            let marks = try await connection.query(Statement("marks", "SELECT reason FROM dirty")).map { try $0.string("reason") }
            #expect(marks == ["upgrade"])
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await connection.close()
        try result.get()
    }
}
