public import Energy
public import Postgres

/// What the reconciliation of sources with their systems needs of the store.
public enum ReconciliationTable {
    /// Takes a source for this connection, until it is given back or the connection ends; false where another collector has it.
    public static func take(sourceID: Int32, _ connection: PostgresConnection) async throws -> Bool {
        try await connection.query(
            Statement("take_source", "SELECT pg_try_advisory_lock(hashtext('wattle reconciliation'), $1) AS taken"),
            [.int4(sourceID)]
        ).only().bool("taken")
    }

    public static func giveBack(sourceID: Int32, _ connection: PostgresConnection) async throws {
        _ = try await connection.query(
            Statement("give_source_back", "SELECT pg_advisory_unlock(hashtext('wattle reconciliation'), $1)"),
            [.int4(sourceID)]
        )
    }

    /// A run that has a job of which no end is known.
    public struct OpenRun: Sendable, Hashable {
        /// As all sources share it: `github.com/ocaml/dune`.
        public let repository: String
        public let runID: String
    }

    /// Runs of a source with jobs that are open for longer than they should be, the newest first.
    ///
    /// - Parameters:
    ///   - from: jobs that started before are given up.
    ///   - to: jobs that started later may well run.
    public static func openRuns(
        source: String,
        startedFrom from: Timestamp,
        to: Timestamp,
        limit: Int,
        _ connection: PostgresConnection
    ) async throws -> [OpenRun] {
        try await connection.query(
            Statement(
                "open_runs",
                """
                SELECT repository, document ->> 'run_id' AS run_id, max(started_at) AS last_started_at FROM span_key
                WHERE source = $1 AND started_at >= $2 AND started_at < $3 AND finished_at IS NULL AND alias_of IS NULL AND NOT is_deleted
                    AND repository IS NOT NULL AND document ->> 'run_id' IS NOT NULL
                GROUP BY repository, run_id ORDER BY last_started_at DESC LIMIT $4
                """
            ),
            [
                .text(source), .timestamptz(microseconds: from.microseconds), .timestamptz(microseconds: to.microseconds),
                .int8(Int64(limit)),
            ]
        ).map { OpenRun(repository: try $0.string("repository"), runID: try $0.string("run_id")) }
    }
}
