import Foundation
import Postgres
import Testing

/// What the database must say in the end.
struct KillLedger {
    let database: DatabaseServer

    /// Batches committed, of all streams.
    func batches() async throws -> Int64 {
        try await database.query("SELECT coalesce(sum(cursor_seq), 0)::int8 AS n FROM stream").only().int64("n")
    }

    /// Batches of knots committed of made-up hosts; the first of each only opens its stream.
    func loadBatches() async throws -> Int64 {
        try await database.query(
            "SELECT coalesce(sum(cursor_seq - 1), 0)::int8 AS n FROM stream JOIN host h USING (host_id) WHERE h.name LIKE 'load-%'"
        ).only().int64("n")
    }

    /// µJ of each of a host's meters, as the database has them.
    func energy(of host: String) async throws -> [String: Int64] {
        let rows = try await database.query(
            """
            SELECT c.name, coalesce(t.value, 0) AS value FROM curve c JOIN host h USING (host_id)
            LEFT JOIN curve_tail t USING (host_id, curve_id) WHERE h.name = '\(host)' AND c.kind = 'meter'
            """
        )
        return Dictionary(uniqueKeysWithValues: try rows.map { (try $0.string("name"), try $0.int64("value")) })
    }

    /// Waits until all of a host's energy is there, and no more than that.
    func expectEnergy(of host: KillHost, seconds: Double = 120) async throws {
        let spent = await host.spent
        var found: [String: Int64] = [:]
        do {
            try await eventually("the energy of \(host.name)", seconds: seconds) {
                found = try await energy(of: host.name)
                return spent.allSatisfy { (found[$0.key] ?? 0) >= $0.value } ? () : nil
            }
        } catch {
            print(await host.log.suffix(3_000))
            #expect(found == spent, "\(host.name): \(error)")
            throw error
        }
        #expect(found == spent, "\(host.name)")
    }

    /// Every knot and gap that the agent sealed is there, once, and nothing else.
    func expectKnots(of host: KillHost) async throws {
        let cursors = try await database.query(
            "SELECT s.incarnation, s.cursor_seq FROM stream s JOIN host h USING (host_id) WHERE h.name = '\(host.name)'"
        )
        let sent = try SentReadings(
            spool: host.spool,
            cursors: Dictionary(try cursors.map { (try $0.string("incarnation"), try $0.int64("cursor_seq")) }) { max($0, $1) }
        )
        // A batch that was under way when its agent was killed may come between these questions: it was sealed.
        let sealed = try SentReadings(spool: host.spool, cursors: nil)
        let rows = try await database.query(
            """
            SELECT c.name, k.t, k.value - c.base AS value FROM knot k JOIN curve c USING (host_id, curve_id) JOIN host h USING (host_id)
            WHERE h.name = '\(host.name)'
            """
        )
        let stored = try rows.map {
            SentReadings.Knot(curve: try $0.string("name"), timeUs: try $0.timestampMicroseconds("t"), value: try $0.int64("value"))
        }
        #expect(!stored.isEmpty)
        #expect(Set(stored).count == stored.count, "no knot twice")
        let missing = sent.knots.subtracting(stored)
        #expect(missing.isEmpty, "\(missing.count) knots of \(host.name) are missing")
        if sealed.isWhole {
            let others = Set(stored).subtracting(sealed.knots)
            #expect(others.isEmpty, "\(host.name) never sealed \(others.count)")
        }
        let gaps = try await database.query(
            """
            SELECT c.name, g.from_t, g.to_t FROM gap g JOIN curve c USING (host_id, curve_id) JOIN host h USING (host_id)
            WHERE h.name = '\(host.name)'
            """
        ).map {
            SentReadings.Gap(
                curve: try $0.string("name"),
                fromUs: try $0.timestampMicroseconds("from_t"),
                toUs: try $0.timestampMicroseconds("to_t")
            )
        }
        #expect(sent.gaps.subtracting(gaps).isEmpty, "\(host.name) declared gaps that are missing")
        if sealed.isWhole { #expect(Set(gaps).subtracting(sealed.gaps).isEmpty, "\(host.name) never declared \(gaps)") }
    }

    /// Of each made-up host all batches up to its cursor are there, and none behind it.
    ///
    /// - Returns: knots of all of them.
    @discardableResult
    func expectLoad(knotsPerBatch: Int = 40) async throws -> Int64 {
        let rows = try await database.query(
            """
            SELECT h.name, s.cursor_seq, (SELECT count(*) FROM knot k WHERE k.host_id = h.host_id) AS knots
            FROM host h JOIN stream s USING (host_id) WHERE h.name LIKE 'load-%'
            """
        )
        var sum: Int64 = 0
        for row in rows {
            let knots = try row.int64("knots")
            let cursor = try row.int64("cursor_seq")
            let name = try row.string("name")
            #expect(knots == (cursor - 1) * Int64(knotsPerBatch), "\(name), batch \(cursor)")
            sum += knots
        }
        return sum
    }
}
