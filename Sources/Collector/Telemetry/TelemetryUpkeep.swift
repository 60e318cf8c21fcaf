import Energy
import Logging
import Postgres
import ServiceLifecycle
import Store

/// Stores which series became no meter and which targets do not answer, and ends curves of which nothing is heard any more. Any number of collectors may do it.
struct TelemetryUpkeep: Service {
    let intake: TelemetryIntake
    let pool: PostgresPool
    let log: Logger
    let now: @Sendable () -> Timestamp
    var interval: Duration = .seconds(60)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do { try await Task.sleep(for: interval * Double.random(in: 0.9...1.1)) } catch { break }
                await keepUp()
            }
        }
        // What was counted since the last round is kept too.
        await keepUp()
    }

    func keepUp() async {
        do {
            let unmapped = intake.tallies.takeUnmapped()
            let mended = intake.tallies.takeMended()
            try await pool.withConnection { connection in
                try await connection.transaction { tx in
                    try await TelemetryTable.note(unmapped, now: now(), tx)
                    try await TelemetryTable.forget(mended, tx)
                    _ = try await TelemetryTable.endSilent(now: now(), tx)
                }
            }
        } catch {
            if !Task.isCancelled { log.warning("the upkeep of telemetry waits", metadata: ["error": "\(error)"]) }
        }
    }
}
