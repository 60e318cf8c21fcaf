import Foundation
import Testing

/// Tables that grow with the farm are keyed by host, so that they can be distributed by it. A query that reads or writes one without saying
/// of which host would ask every shard, or every partition.
@Suite struct StorageQueryTests {
    /// Those with rows for every knot, curve, workload, span and host-hour.
    private static let hotTables = [
        "knot", "curve_hour", "curve_tail", "gap", "workload", "span", "slice", "stored_slice", "host_hour",
    ]

    /// By statement: why it may.
    private static let exceptions = [
        "copy_host_hour": "writes rows, whose first column is the host (hostHourColumns)",
        "copy_slice": "writes rows, one of whose columns is the host (sliceColumns)",
        "hosts_of_day": "asks which hosts there are: once a day of knots and round, from key to key",
        "day_is_empty": "once a day of knots and round: ends with the first knot found",
    ]

    struct Query: Hashable {
        let file: String
        let name: String
        let sql: String

        var isHot: Bool {
            sql.firstMatch(
                of: try! Regex("\\b(?:FROM|JOIN|INTO|UPDATE|COPY)\\s+(?:ONLY\\s+)?(?:\(hotTables.joined(separator: "|")))\\b")
                    .wordBoundaryKind(.simple)
            ) != nil
        }

        /// The host is given, joined by, or written.
        var namesItsHost: Bool {
            let ways = [
                #"\bhost_id\s*=(?!\s*excluded)"#, #"\bUSING\s*\((?:\w+,\s*)*host_id\b"#,
                #"\b(?:INTO|COPY)\s+\w+\s*\((?:\w+,\s*)*host_id\b"#,
                // What belongs to a stream's curves, and the directory's key.
                #"\bUSING\s*\(stream_id, ref\)"#, #"\bjob_id\s*="#,
            ]
            return ways.contains { sql.firstMatch(of: try! Regex($0).wordBoundaryKind(.simple)) != nil }
        }
    }

    /// The string literals of a source file that are SQL, each with the name of its statement.
    static func queries(in text: String, file: String) -> [Query] {
        let code = text.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.drop { $0 == " " }.hasPrefix("//") }.joined(separator: "\n")
        let literal = #/"""(?<long>[\s\S]*?)"""|"(?<short>(?:[^"\\\n]|\\.)*)"/#
        let opening = #/Statement\(\s*(?:"(?<name>[^"]*)"|name),\s*$/#
        return code.matches(of: literal).compactMap { match in
            let sql = String(match.output.long ?? match.output.short ?? "")
            let before = code[..<match.range.lowerBound].suffix(200)
            let name = before.firstMatch(of: opening)?.output.name.map(String.init)
            let query = Query(file: file, name: name ?? String(sql.prefix(40)), sql: sql)
            return query.isHot ? query : nil
        }
    }

    private static func queries() throws -> [Query] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        var queries: [Query] = []
        for folder in ["Sources/Store", "Sources/Collector"] {
            let files = FileManager.default.enumerator(at: root.appending(path: folder), includingPropertiesForKeys: nil)
            for case let url as URL in files ?? .init() where url.pathExtension == "swift" {
                queries += Self.queries(in: try String(contentsOf: url, encoding: .utf8), file: url.lastPathComponent)
            }
        }
        return queries
    }

    @Test func everyQueryOfATableThatGrowsWithTheFarmNamesItsHost() throws {
        let queries = try Self.queries()
        #expect(queries.count > 60)
        for query in queries where !query.namesItsHost {
            #expect(
                Self.exceptions[query.name] != nil,
                "\(query.file): \(query.name) reads or writes a hot table: expected host_id in it, found none\n\(query.sql)"
            )
        }
    }

    @Test func noExceptionIsKeptThatNothingNeeds() throws {
        let needed = Set(try Self.queries().filter { !$0.namesItsHost }.map(\.name))
        for name in Self.exceptions.keys.sorted() { #expect(needed.contains(name), "\(name) is no exception any more") }
    }

    @Test(arguments: [
        (#"Statement("a", "SELECT t FROM knot WHERE t > $1")"#, false),
        (#"Statement("a", "DELETE FROM ONLY gap")"#, false),
        (#"Statement("a", "SELECT max(host_id) FROM span")"#, false),
        (#"Statement("a", "SELECT t FROM knot WHERE host_id = $1")"#, true),
        (#"Statement("a", "SELECT t FROM host h JOIN span s USING (host_id)")"#, true),
    ])
    func aQueryWithoutAHostIsFound(_ code: String, isRight: Bool) throws {
        let found = Self.queries(in: code, file: "x")
        #expect(found.map(\.name) == ["a"])
        #expect(found.map(\.namesItsHost) == [isRight])
    }
}
