import Foundation
import Testing

/// Names are whatever CI says they are.
@Suite struct RoundTripTests {
    static let names = [
        "a/b", "/a//b/", "a@b", "100%", "%2F", "q\"uo'te", "line\nbreak\r\nnext\r", "é漢字🦊", " spaced ", "a+b&c=d?e#f;g", "..", "-",
        "comma,", "\\",
        // To Swift a mark and what it stands on are one Character.
        "\"\u{301},\u{301}\n\u{301}", "<script>&amp;", "=1+1", "e\u{301}", "\u{e9}",
    ]

    @Test func idsAndNamesComeBackAsTheyWereFromEveryRouteAndTheCSV() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let ci = try await collector.token("ci")
                var ids: [String: String] = [:]
                for name in Self.names {
                    let span: [String: Any] = [
                        "id": name, "instance": name, "job": name, "service": name, "host": name, "runner": name, "ref": name,
                        "started_at": "2026-11-01T09:00:10Z", "finished_at": "2026-11-01T09:04:55Z",
                    ]
                    ids[Self.exact(name)] = try await collector.post(
                        String(decoding: try JSONSerialization.data(withJSONObject: span), as: UTF8.self)
                    )
                }
                #expect(Set(ids.values).count == Self.names.count)

                let csv = try await collector.get("/data/jobs.csv?from=2026-10-31T00:00:00Z&to=2026-11-02T00:00:00Z")
                let records = Self.records(csv.body)
                let header = try #require(records.first)
                #expect(records.allSatisfy { $0.count == header.count })
                let rows = records.dropFirst().map { Dictionary(zip(header, $0)) { first, _ in first } }
                #expect(rows.count == Self.names.count)

                for name in Self.names {
                    let id = try #require(ids[Self.exact(name)])
                    let one = try await collector.get("/v1/jobs/\(id)")
                    #expect(one.status == 200)
                    let key = try #require(one.json["key"] as? String)
                    #expect(Self.exact(key).contains(Self.exact("/\(name)/1")), "\(key)")
                    for field in ["job", "service", "runner", "ref"] {
                        #expect(Self.exact(one.json[field] as? String) == Self.exact(name), "\(field) of \(name)")
                    }
                    for (filter, value) in [("key", key), ("service", name), ("runner", name)] {
                        let found = try await collector.get("/v1/jobs?\(filter)=\(Self.encoded(value))&from=2026-10-31T00:00:00Z")
                        #expect(found.status == 200, "\(filter)=\(value): \(found.body)")
                        let jobs = found.json["jobs"] as? [[String: Any]] ?? []
                        #expect(jobs.map { $0["id"] as? String } == [id], "\(filter)=\(value)")
                    }
                    let row = try #require(rows.first { $0["job_id"] == id })
                    #expect(Self.exact(row["key"]) == Self.exact(key))
                    for field in ["job", "service"] { #expect(Self.exact(row[field]) == Self.exact(name), "\(field) of \(name)") }
                    #expect(try await collector.send("DELETE", "/v1/spans/\(id)", token: ci).status == 204)
                    #expect(try await collector.get("/v1/jobs/\(id)").status == 404)
                }
            }
        }
    }

    @Test func hostsWithAnyNameHaveTheirLedger() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                for (index, name) in Self.names.enumerated() {
                    let batch: [String: Any] = [
                        "host": name, "bootId": "b", "incarnation": String(repeating: "a", count: 32), "seq": 1, "facts": ["cpus": 2],
                    ]
                    let token = try await collector.token("agent", host: name, name: "agent-\(index)")
                    let body = Array(try JSONSerialization.data(withJSONObject: batch))
                    let sent = try await collector.send("POST", "/v1/readings", token: token, body: body)
                    guard sent.status == 200 else {
                        // A name that no host may have is refused, not mended.
                        #expect(sent.status == 422, "\(name): \(sent.body)")
                        continue
                    }
                    let hours = try await collector.get("/v1/hosts/\(Self.encoded(name))/hours")
                    #expect(hours.status == 200, "\(name): \(hours.body)")
                    #expect(Self.exact(hours.json["host"] as? String) == Self.exact(name))
                }
            }
        }
    }

    /// Texts that look the same are not the same name.
    private static func exact(_ text: String?) -> String {
        (text ?? "nothing").unicodeScalars.map { String($0.value, radix: 16) }.joined(separator: " ")
    }

    private static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain = (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45 || byte == 95
            return isPlain ? String(UnicodeScalar(byte)) : String(format: "%%%02X", Int(byte))
        }.joined()
    }

    /// RFC 4180.
    private static func records(_ text: String) -> [[String]] {
        var records: [[String]] = [[]]
        var field = String.UnicodeScalarView()
        var isQuoted = false
        var previous: Unicode.Scalar?
        for scalar in text.unicodeScalars {
            if scalar == "\"" {
                if !isQuoted, previous == "\"" { field.append(scalar) }
                isQuoted.toggle()
            } else if isQuoted {
                field.append(scalar)
            } else if scalar == "," {
                records[records.count - 1].append(String(field))
                field = .init()
            } else if scalar == "\n" {
                records[records.count - 1].append(String(field))
                field = .init()
                records.append([])
            } else if scalar != "\r" {
                field.append(scalar)
            }
            previous = scalar
        }
        return records.filter { !$0.isEmpty }
    }
}
