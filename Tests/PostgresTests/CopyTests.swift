@testable import Postgres
import TestSupport
import Testing

@Suite("COPY moves many rows, all or none")
struct CopyTests {
    private static let table =
        "CREATE TABLE t (a int4, b int8, c int2, d timestamptz, e text, f bool, g float8, h bytea, i int8[], j jsonb)"
    private static let copyIn = Statement("copy_in", "COPY t FROM STDIN (FORMAT binary)")

    private func rows(_ count: Int) -> CopyBuffer {
        var buffer = CopyBuffer(columns: 10)
        for row in 0..<count {
            buffer.beginRow()
            buffer.append(int4: Int32(row))
            buffer.append(int8: row % 7 == 0 ? nil : Int64(row) << 30)
            buffer.append(int2: Int16(truncatingIfNeeded: row))
            buffer.append(timestamptzMicroseconds: Int64(row) * 1_000_001)
            buffer.append(text: "row \(row) ä")
            buffer.append(bool: row.isMultiple(of: 2))
            buffer.append(float8: Double(row) / 3)
            buffer.append(bytea: [UInt8(truncatingIfNeeded: row), 0, 255])
            buffer.append(int8Array: row % 3 == 0 ? [] : [Int64(row), -1])
            buffer.append(jsonb: #"{"n": \#(row)}"#)
        }
        return buffer
    }

    @Test("100 000 rows come back as the very bytes that went in")
    func roundTrip() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript(Self.table)
            let buffer = rows(100_000)
            #expect(try await connection.copyIn(Self.copyIn, rows: buffer) == 100_000)
            let row = try await connection.query(
                Statement(
                    "check",
                    """
                    SELECT count(*) AS n, count(b) AS b, sum(a::int8)::int8 AS a, max(d) AS d, max(length(e)) AS e, bool_or(f) AS f,
                           sum(cardinality(i))::int8 AS i, max((j->>'n')::int4) AS j, sum(g) AS g FROM t
                    """
                )
            ).only()
            #expect(try row.int64("n") == 100_000)
            #expect(try row.int64("b") == 85_714)
            #expect(try row.int64("a") == 4_999_950_000)
            #expect(try row.timestampMicroseconds("d") == 99_999 * 1_000_001)
            #expect(try row.int32("e") == 11)
            #expect(try row.int64("i") == 2 * 66_666)
            #expect(try row.int32("j") == 99_999)

            try await connection.executeScript("CREATE TABLE u (LIKE t)")
            var dump: [UInt8] = []
            var chunks = 0
            try await connection.copyOut(Statement("dump_t", "COPY (SELECT * FROM t ORDER BY a) TO STDOUT (FORMAT binary)")) { chunk in
                dump += chunk
                chunks += 1
            }
            #expect(chunks > 10, "it comes in pieces")
            // The server's own encoding of the rows is ours, byte for byte: header of 19 bytes, rows, trailer of 2.
            #expect(dump.count == 19 + buffer.byteCount + 2)
            #expect(dump.dropFirst(19).dropLast(2).elementsEqual(buffer.withRows { [UInt8]($0) }))
        }
    }

    @Test("A row that breaks a rule leaves nothing behind, and the connection usable")
    func failure() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (a int4 CHECK (a < 90000))")
            var buffer = CopyBuffer(columns: 1)
            for row in 0..<100_000 {
                buffer.beginRow()
                buffer.append(int4: Int32(row))
            }
            let copy = Statement("copy_a", "COPY t (a) FROM STDIN (FORMAT binary)")
            let error = try await postgresError { try await connection.copyIn(copy, rows: buffer) }
            #expect(error.isCheckViolation && error.statementName == "copy_a")
            let count = Statement("count", "SELECT count(*) FROM t")
            #expect(try await connection.query(count).only().int64(0) == 0)

            var wrongType = CopyBuffer(columns: 1)
            wrongType.beginRow()
            wrongType.append(int8: 1)
            let mismatch = try await postgresError { try await connection.copyIn(copy, rows: wrongType) }
            #expect(mismatch.isDataException)

            var missingField = CopyBuffer(columns: 2)
            missingField.beginRow()
            missingField.append(int4: 1)
            missingField.beginRow()
            missingField.append(int4: 1)
            missingField.append(int4: 1)
            let incomplete = try await postgresError { try await connection.copyIn(copy, rows: missingField) }
            #expect(incomplete.kind == .usage && incomplete.message.contains("row 0"))

            let noCopy = try await postgresError { try await connection.copyIn(Statement("s", "SELECT 1"), rows: buffer) }
            #expect(noCopy.kind == .usage)
            let wrongWay = try await postgresError { try await connection.copyIn(Statement("o", "COPY t TO STDOUT"), rows: buffer) }
            #expect(wrongWay.kind == .usage)
            let absent = try await postgresError { try await connection.copyIn(Statement("n", "COPY nowhere FROM STDIN"), rows: buffer) }
            #expect(absent.isUndefinedTable)
            #expect(try await connection.copyIn(copy, rows: CopyBuffer(columns: 1)) == 0)
            #expect(try await connection.query(count).only().int64(0) == 0)
        }
    }

    @Test("A cancelled COPY writes nothing")
    func cancelled() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let connection = try await PostgresConnection.connect(to: connectionString)
            let other = try await PostgresConnection.connect(to: connectionString)
            try await connection.executeScript(Self.table)
            let buffer = rows(1000)
            try await other.executeScript("BEGIN; LOCK TABLE t")
            let error = try await withThrowingTaskGroup(of: PostgresError.self) { group in
                group.addTask { try await postgresError { try await connection.copyIn(Self.copyIn, rows: buffer) } }
                // Another one again: within a transaction pg_stat_activity stands still.
                let observer = try await PostgresConnection.connect(to: connectionString)
                try await waitUntilActive(connection.backendProcessID, observer)
                group.cancelAll()
                return try #require(try await group.next())
            }
            #expect(error.isCancelled)
            try await other.executeScript("COMMIT")
            #expect(try await connection.query(Statement("count", "SELECT count(*) FROM t")).only().int64(0) == 0)
        }
    }

    @Test("copyOut stops when its reader throws, and text formats come too", .timeLimit(.minutes(5)))
    func readerThrows() async throws {
        struct Enough: Error {}
        try await withTestConnection { connection in
            let endless = Statement("endless", "COPY (SELECT generate_series(1, 10000000000)) TO STDOUT (FORMAT csv)")
            await #expect(throws: Enough.self) {
                try await connection.copyOut(endless) { chunk in
                    #expect(chunk.starts(with: Array("1\n2\n3\n".utf8)))
                    throw Enough()
                }
            }
            #expect(connection.isUsable)
            var text: [UInt8] = []
            try await connection.copyOut(Statement("csv", "COPY (SELECT 1, 'a,b') TO STDOUT (FORMAT csv, HEADER false)")) { text += $0 }
            #expect(String(decoding: text, as: UTF8.self) == "1,\"a,b\"\n")
            let failing = try await postgresError {
                try await connection.copyOut(Statement("f", "COPY (SELECT 1 / (5 - g) FROM generate_series(1, 9) g) TO STDOUT")) { _ in }
            }
            #expect(failing.sqlState == "22012")
            #expect(connection.isUsable)
        }
    }

    @Test("Streamed rows come in batches, in order, once; the connection is busy meanwhile")
    func stream() async throws {
        struct Enough: Error {}
        try await withTestConnection { connection in
            let series = Statement("series", "SELECT g, 'row ' || g AS name FROM generate_series(1, $1::int4) g")
            var sizes: [Int] = []
            var next: Int32 = 1
            try await connection.stream(series, [2500], batchSize: 1000) { rows in
                sizes.append(rows.count)
                for row in rows {
                    #expect(try row.int32("g") == next)
                    next += 1
                }
                // With the last batch the statement has ended.
                if rows.count < 1000 { return }
                let busy = try await postgresError { _ = try await connection.query(Statement("one", "SELECT 1")) }
                #expect(busy.kind == .usage && busy.message.contains("series"))
            }
            #expect(sizes == [1000, 1000, 500])
            await #expect(throws: Enough.self) {
                try await connection.stream(series, [50_000_000], batchSize: 10) { _ in throw Enough() }
            }
            try await connection.stream(series, [0]) { _ in Issue.record("no rows, no batch") }
            let late = try await postgresError {
                try await connection.stream(Statement("late", "SELECT 1 / (5 - g) FROM generate_series(1, 9) g"), batchSize: 1) { _ in }
            }
            #expect(late.sqlState == "22012")
            #expect(try await connection.query(Statement("one", "SELECT 1")).only().int64(0) == 1)
        }
    }
}
