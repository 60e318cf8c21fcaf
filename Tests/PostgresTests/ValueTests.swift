import Postgres
import TestSupport
import Testing

@Suite("Values go to the server and come back unchanged")
struct ValueTests {
    @Test("Every scalar type keeps its extremes", arguments: [false, true])
    func scalars(asNull: Bool) async throws {
        try await withTestConnection { connection in
            try await connection.executeScript(
                """
                CREATE TABLE t (row int4, i2 int2, i4 int4, i8 int8, f8 float8, b bool, t text, y bytea, z timestamptz, j jsonb, n numeric)
                """
            )
            let insert = Statement("insert_t", "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
            let select = Statement("select_t", "SELECT * FROM t")
            if asNull {
                try await connection.execute(insert, [1] + [PostgresValue?](repeating: nil, count: 10))
                let row = try await connection.query(select).only()
                #expect(try row.int16IfPresent("i2") == nil)
                #expect(try row.int32IfPresent("i4") == nil)
                #expect(try row.int64IfPresent("i8") == nil)
                #expect(try row.doubleIfPresent("f8") == nil)
                #expect(try row.boolIfPresent("b") == nil)
                #expect(try row.stringIfPresent("t") == nil)
                #expect(try row.bytesIfPresent("y") == nil)
                #expect(try row.timestampMicrosecondsIfPresent("z") == nil)
                #expect(try row.jsonIfPresent("j") == nil)
                #expect(try row.numericStringIfPresent("n") == nil)
                #expect(try row.isNull("n"))
                #expect(try !row.isNull("row"))
                return
            }
            let longText = String(repeating: "žluťoučký 🐎 \\ ' \" $1 ;--\n", count: 1000)
            let everyByte = (0...255).map { UInt8($0) }
            try await connection.execute(
                insert,
                [
                    1, .int2(.min), .int4(.min), .int8(.min), .float8(-.greatestFiniteMagnitude), false, "", .bytea([]),
                    .timestamptz(microseconds: -1), .jsonb("{}"), .text("-0.00012"),
                ]
            )
            try await connection.execute(
                insert,
                [
                    2, .int2(.max), .int4(.max), .int8(.max), .float8(.leastNonzeroMagnitude), true, .text(longText), .bytea(everyByte),
                    .timestamptz(microseconds: 1_700_000_000_123_456), .jsonb(#"{"a": [1, null, "ä"]}"#), .int8(.max),
                ]
            )
            let rows = try await connection.query(Statement("select_t_sorted", "SELECT * FROM t ORDER BY row"))
            #expect(rows.count == 2)
            let (low, high) = (rows[0], rows[1])
            #expect(try low.int16("i2") == .min)
            #expect(try low.int32("i4") == .min)
            #expect(try low.int64("i8") == .min)
            #expect(try low.double("f8") == -.greatestFiniteMagnitude)
            #expect(try low.bool("b") == false)
            #expect(try low.string("t") == "")
            #expect(try low.bytes("y") == [])
            #expect(try low.timestampMicroseconds("z") == -1)
            #expect(try low.json("j") == "{}")
            #expect(try low.numericString("n") == "-0.00012")
            #expect(try high.int16("i2") == .max)
            #expect(try high.int32("i4") == .max)
            #expect(try high.int64("i8") == .max)
            #expect(try high.int64("i4") == Int64(Int32.max))
            #expect(try high.double("f8") == .leastNonzeroMagnitude)
            #expect(try high.bool("b") == true)
            #expect(try high.string("t") == longText)
            #expect(try high.bytes("y") == everyByte)
            #expect(try high.timestampMicroseconds("z") == 1_700_000_000_123_456)
            #expect(try high.json("j") == #"{"a": [1, null, "ä"]}"#)
            #expect(try high.numericString("n") == "9223372036854775807")
        }
    }

    @Test("Floats keep NaN and both infinities")
    func specialFloats() async throws {
        try await withTestConnection { connection in
            let echo = Statement("echo_float", "SELECT $1::float8 AS f, $1::float8 = 'infinity' AS is_infinite")
            #expect(try await connection.query(echo, [.float8(.nan)]).only().double("f").isNaN)
            #expect(try await connection.query(echo, [.float8(.infinity)]).only().double("f") == .infinity)
            #expect(try await connection.query(echo, [.float8(.infinity)]).only().bool("is_infinite"))
            #expect(try await connection.query(echo, [.float8(-.infinity)]).only().double("f") == -.infinity)
            let negativeZero = try await connection.query(echo, [.float8(-0.0)]).only().double("f")
            #expect(negativeZero.sign == .minus)
        }
    }

    @Test("Infinite timestamps are the ends of Int64, both ways; the epoch is Unix'")
    func timestamps() async throws {
        try await withTestConnection { connection in
            let echo = Statement("echo_time", "SELECT $1::timestamptz AS t, ($1::timestamptz)::text AS words")
            func words(_ microseconds: Int64) async throws -> String {
                let row = try await connection.query(echo, [.timestamptz(microseconds: microseconds)]).only()
                #expect(try row.timestampMicroseconds("t") == microseconds)
                return try row.string("words")
            }
            try await connection.executeScript("SET timezone = 'UTC'; SET datestyle = 'ISO'")
            #expect(try await words(.max) == "infinity")
            #expect(try await words(.min) == "-infinity")
            #expect(try await words(0) == "1970-01-01 00:00:00+00")
            #expect(try await words(946_684_800_000_000) == "2000-01-01 00:00:00+00")
            #expect(try await words(1) == "1970-01-01 00:00:00.000001+00")
            // The first instant that Postgres can hold, and the last that Unix microseconds can.
            #expect(try await words(-210_866_803_200_000_000) == "4714-11-24 00:00:00+00 BC")
            #expect(try await words(.max - 1) == "294247-01-10 04:00:54.775806+00")
            let later = try await connection.query(Statement("later", "SELECT '294276-12-31T23:59:59.999999Z'::timestamptz")).only()
            #expect(try later.timestampMicroseconds(0) == .max)
            let tooEarly = try await postgresError { _ = try await connection.query(echo, [.timestamptz(microseconds: .min + 1)]) }
            #expect(tooEarly.sqlState == "22008")
        }
    }

    @Test("Numerics read exactly as the server prints them")
    func numerics() async throws {
        let texts = [
            "0", "1", "-1", "10000", "9999", "100000000", "0.1", "0.0001", "0.00001", "1.50", "-12345678901234567890.000100", "1e40",
            "1e-40", "NaN", "Infinity", "-Infinity", "0.00", "123456789.987654321",
        ]
        let echo = Statement("echo_numeric", "SELECT $1::numeric AS n, ($1::numeric)::text AS words")
        try await withTestConnection { connection in
            for text in texts {
                let row = try await connection.query(echo, [.text(text)]).only()
                #expect(try row.numericString("n") == row.string("words"))
            }
        }
    }

    @Test("Arrays keep every element, NULL among them, and emptiness")
    func arrays() async throws {
        try await withTestConnection { connection in
            let row = try await connection.query(
                Statement(
                    "echo_arrays",
                    """
                    SELECT $1::int8[] AS i8, $2::int4[] AS i4, $3::text[] AS t, $4::timestamptz[] AS z, $5::float8[] AS f, $6::int8[] AS empty,
                           $7::int8[] AS with_null, $8::int2[] AS i2, $9::bool[] AS b, $10::bytea[] AS y
                    """
                ),
                [
                    .int8Array([.min, 0, .max]), .int4Array([.min, .max]), .textArray(["", "a,b", "{\"}", "NULL", "\\"]),
                    .timestamptzArray(microseconds: [0, .max, .min]), .float8Array([0.5, .infinity]), .int8Array([Int64]()),
                    .int8Array([1, nil, 3]), .int8Array([7]), .boolArray([true, nil]), .byteaArray([[], [0, 255]]),
                ]
            ).only()
            #expect(try row.int64Array("i8") == [.min, 0, .max])
            #expect(try row.int64Array("i4") == [Int64(Int32.min), Int64(Int32.max)])
            #expect(try row.int64Array("i2") == [7])
            #expect(try row.stringArray("t") == ["", "a,b", "{\"}", "NULL", "\\"])
            #expect(try row.timestampMicrosecondsArray("z") == [0, .max, .min])
            #expect(try row.doubleArray("f") == [0.5, .infinity])
            #expect(try row.int64Array("empty") == [])
            #expect(try row.int64OptionalArray("with_null") == [1, nil, 3])
            let error = try await postgresError { _ = try row.int64Array("with_null") }
            #expect(error.columnName == "with_null" && error.message.contains("NULL"))
        }
    }

    @Test("Whole tables go in through unnest")
    func unnest() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (id int8, name text, at timestamptz)")
            let ids = (0..<10_000).map { Int64($0) }
            let count = try await connection.execute(
                Statement("insert_many", "INSERT INTO t SELECT * FROM unnest($1::int8[], $2::text[], $3::timestamptz[])"),
                [
                    .int8Array(ids), .textArray(ids.map { $0 % 3 == 0 ? nil : "n\($0)" }),
                    .timestamptzArray(microseconds: ids.map { $0 * 1_000_000 }),
                ]
            )
            #expect(count == 10_000)
            let row = try await connection.query(
                Statement("check_many", "SELECT count(*) AS n, count(name) AS named, sum(id)::int8 AS total, max(at) AS last FROM t")
            ).only()
            #expect(try row.int64("n") == 10_000)
            #expect(try row.int64("named") == 6666)
            #expect(try row.int64("total") == 49_995_000)
            #expect(try row.timestampMicroseconds("last") == 9_999_000_000)
        }
    }

    @Test("Text stands for any type that the server can parse")
    func textForms() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s, \"odd\"')")
            let row = try await connection.query(
                Statement(
                    "echo_forms",
                    "SELECT $1::uuid AS u, $2::mood AS m, ($3::interval)::text AS i, ($4::inet)::text AS a, $5::mood[]::text[] AS ms, $6::jsonb AS j"
                ),
                [
                    "0F0e0d0c-0b0a-0908-0706-050403020100", "ok", "1 day 02:00:00", "::1/128", .textArray(["sad", nil, "it's, \"odd\""]),
                    "[1]",
                ]
            ).only()
            #expect(try row.string("u") == "0f0e0d0c-0b0a-0908-0706-050403020100")
            #expect(try row.string("m") == "ok")
            #expect(try row.string("i") == "1 day 02:00:00")
            #expect(try row.string("a") == "::1/128")
            #expect(try row.json("j") == "[1]")
            let error = try await postgresError { _ = try row.stringArray("ms") }
            #expect(error.message.contains("NULL"))
        }
    }

    @Test("A parameter is never read as SQL")
    func injection() async throws {
        let texts = ["'; DROP TABLE t; --", "$1", "\\'; DROP TABLE t; --", "' OR '1'='1", "E'\\x27'", "/*", "\u{FF07}; DROP TABLE t"]
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (v text)")
            for text in texts {
                try await connection.execute(Statement("insert_v", "INSERT INTO t VALUES ($1)"), [.text(text)])
                let found = try await connection.query(Statement("find_v", "SELECT v FROM t WHERE v = $1"), [.text(text)])
                #expect(try found.only().string("v") == text)
            }
            let count = try await connection.query(Statement("count_v", "SELECT count(*) FROM t")).only().int64(0)
            #expect(count == Int64(texts.count))
        }
    }

    @Test("A parameter of the wrong kind, size or number is refused before it is sent, without its value in the error")
    func wrongParameters() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (i4 int4, z timestamptz, s text, y bytea)")
            let insert = Statement("insert_t", "INSERT INTO t VALUES ($1, $2, $3)")
            let blob = try await postgresError {
                try await connection.execute(Statement("insert_y", "INSERT INTO t (y) VALUES ($1)"), [.text("\\x00 is text, not a byte")])
            }
            #expect(blob.kind == .usage)
            let cases: [([PostgresValue?], String)] = [
                ([.text("secret"), nil, .int8(123_456)], "$3"), ([.bool(true), nil, nil], "$1"), ([.int8(5_000_000_000), nil, nil], "$1"),
                ([nil, .int8(123_456), nil], "$2"), ([nil, nil, .text("nul\0secret")], "$3"), ([nil], "3 parameters, 1"),
                ([.timestamptz(microseconds: 123_456), nil, nil], "$1"),
            ]
            for (parameters, part) in cases {
                let error = try await postgresError { try await connection.execute(insert, parameters) }
                #expect(error.kind == .usage)
                #expect(error.statementName == "insert_t")
                #expect(error.description.contains(part), "\(error)")
                #expect(!error.debugDescription.contains("secret") && !error.debugDescription.contains("123456"))
            }
            #expect(try await connection.query(Statement("count_t", "SELECT count(*) FROM t")).only().int64(0) == 0)
            #expect(connection.isUsable)
        }
    }

    @Test("A column read as another type names statement, column and what was found")
    func wrongAccessors() async throws {
        try await withTestConnection { connection in
            let row = try await connection.query(
                Statement("mixed", "SELECT 'x' AS s, 1::int8 AS big, sum(1::int8) AS total, NULL::int4 AS none")
            )
            .only()
            let asInteger = try await postgresError { _ = try row.int64("s") }
            #expect(asInteger.description.contains("\"mixed\"") && asInteger.description.contains("found text"))
            #expect(asInteger.columnName == "s")
            let narrowed = try await postgresError { _ = try row.int32("big") }
            #expect(narrowed.message.contains("found int8"))
            let sum = try await postgresError { _ = try row.int64("total") }
            #expect(sum.description.contains("::int8"))
            let null = try await postgresError { _ = try row.int32("none") }
            #expect(null.message.contains("found NULL"))
            let missing = try await postgresError { _ = try row.int32("nowhere") }
            #expect(missing.message.contains("\"big\""))
            _ = try await postgresError { _ = try row.int32(4) }
            _ = try await postgresError { _ = try row.int32(-1) }
        }
    }
}
