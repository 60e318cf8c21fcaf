import Energy
import Logging
import Postgres
import ServiceLifecycle
import Store

/// Packs settled hours, drops days that are packed, and deletes what is kept for a time only. Any number of collectors may do it: each hour
/// is taken by an advisory lock, and each step is right whoever did the one before it.
struct StorageKeeper: Service {
    /// What a round did.
    struct Done: Sendable, Hashable {
        /// Hours of curves that were packed, knots that were deleted after it, and days that were dropped.
        var packed = 0
        var released = 0
        var dropped = 0
        /// Partitions that were made again for what came late.
        var remade = 0
        var events = 0
        var packedHoursDeleted = 0
        var ledgerHoursDeleted = 0
        /// Host-hours that had to be accounted first, and are packed after it.
        var marked = 0
        /// Host-hours that could not be packed or released, because of what was packed before.
        var failed = 0
    }

    let pool: PostgresPool
    let log: Logger
    let now: @Sendable () -> Timestamp
    let metrics: CollectorMetrics
    var terms = StorageTerms()
    var interval: Duration = .seconds(600)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            // Collectors that start together do not begin together.
            var rest = interval * Double.random(in: 0.1...0.3)
            while !Task.isCancelled {
                do { try await Task.sleep(for: rest) } catch { return }
                rest = interval * Double.random(in: 0.9...1.1)
                do {
                    let done = try await keep()
                    if done != Done() { log.info("storage was kept", metadata: ["done": "\(done)"]) }
                } catch {
                    if !Task.isCancelled { log.warning("the upkeep of storage waits", metadata: ["error": "\(error)"]) }
                }
            }
        }
    }

    /// One round: all that can be done now.
    @discardableResult
    func keep() async throws -> Done {
        var done = Done()
        let now = now()
        done.remade = try await pool.withConnection { try await KnotPartitions.remake($0) }
        let before = terms.before(terms.packAfterDays, now)
        for day in try await pool.withConnection({ try await KnotPartitions.days($0) }) where day < before {
            try await pack(day, before: before, &done)
            guard day + .day <= before else { continue }
            if try await pool.withConnection({ try await KnotPartitions.dropIfEmpty(day: day, $0) }) { done.dropped += 1 }
        }
        try await deleteOld(now, &done)
        metrics.curveHoursPacked.increment(by: done.packed)
        metrics.knotsReleased.increment(by: done.released)
        metrics.knotDaysDropped.increment(by: done.dropped)
        metrics.packingFailed.increment(by: done.failed)
        metrics.eventsDeleted.increment(by: done.events)
        return done
    }

    private func pack(_ day: Timestamp, before: Timestamp, _ done: inout Done) async throws {
        var last: Int32 = .min
        while true {
            let hosts = try await pool.withConnection { try await KnotPartitions.hosts(day: day, after: last, limit: 500, $0) }
            guard let latest = hosts.last else { return }
            last = latest
            for hostID in hosts {
                let hours = try await pool.withConnection { try await KnotPartitions.hours(hostID: hostID, day: day, $0) }
                let ended = hours.filter { $0.end <= before }
                done.marked += try await pool.withConnection { try await PackedHours.markForgotten(hostID: hostID, hours: ended, $0) }
                for hour in ended {
                    try Task.checkCancellation()
                    try await pack(hostID, hour, &done)
                }
            }
        }
    }

    private func pack(_ hostID: Int32, _ hour: Hour, _ done: inout Done) async throws {
        do {
            done.packed += try await pool.withConnection { try await PackedHours.pack(hostID: hostID, hour: hour, $0) }
            done.released += try await pool.withConnection { try await PackedHours.release(hostID: hostID, hour: hour, $0) }
        } catch let error as PostgresError where error.isRetryable {
            // Another collector had it at the same moment.
        } catch let error as PackedHours.Corrupted {
            // The knots that are left stay, and with them the day; the others go on.
            done.failed += 1
            log.error("an hour cannot be packed", metadata: ["error": "\(error)"])
        } catch let error as PackedHour.Malformed {
            done.failed += 1
            log.error("an hour cannot be packed", metadata: ["host": "\(hostID)", "hour": "\(hour.number)", "error": "\(error)"])
        }
    }

    private func deleteOld(_ now: Timestamp, _ done: inout Done) async throws {
        if let days = terms.eventsDays {
            var deleted = 0
            repeat {
                deleted = try await pool.withConnection { try await Retention.deleteEvents(before: terms.before(days, now), $0) }
                done.events += deleted
            } while deleted > 0
        }
        guard terms.packedDays != nil || terms.ledgerDays != nil else { return }
        for host in try await pool.withConnection({ try await HostTable.all($0) }) {
            if let days = terms.ledgerDays {
                var deleted = 0
                repeat {
                    deleted = try await pool.withConnection {
                        try await Retention.deleteLedger(hostID: host.id, before: terms.before(days, now), $0)
                    }
                    done.ledgerHoursDeleted += deleted
                } while deleted > 0
            }
            if let days = terms.packedDays {
                done.packedHoursDeleted += try await pool.withConnection {
                    try await Retention.deletePackedHours(hostID: host.id, before: terms.before(days, now), $0)
                }
            }
        }
    }
}
