import Documents
import Energy
import HTTPTypes
import Testing
import TestSupport
@testable import Collector

@Suite struct SpanDocumentTests {
    static let now = at(100_000)

    static func parse(_ json: String) throws -> SpanDocument {
        try SpanDocument(try JSONValue(parsing: Array(json.utf8)), now: now)
    }

    @Test(arguments: [
        (#"{"started_at": "2026-09-01T09:00:00Z"}"#, "id"),
        (#"{"id": "1"}"#, "started_at"),
        (#"{"id": "1", "started_at": "yesterday"}"#, "started_at"),
        (#"{"id": "1", "started_at": "2026-02-30T09:00:00Z"}"#, "started_at"),
        (#"{"id": "1", "started_at": "2036-09-01T09:00:00Z"}"#, "started_at"),
        (#"{"id": "1", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T08:59:59Z"}"#, "finished_at"),
        (#"{"id": "1", "started_at": "1970-01-01T00:00:00Z", "finished_at": "2026-09-01T08:59:59Z"}"#, "366 days"),
        (#"{"id": "1", "started_at": "2026-09-01T09:00:00Z", "cpu_share": 1.7}"#, "cpu_share"),
        (#"{"id": "1", "started_at": "2026-09-01T09:00:00Z", "capacity_share": -0.1}"#, "cpu_share"),
        (#"{"id": "1", "started_at": "2026-09-01T09:00:00Z", "cpus": 0}"#, "cpus"),
        (#"{"id": "1", "started_at": "2026-09-01T09:00:00Z", "cpu_time_us": -5}"#, "cpu_time_us"),
        (#"{"id": "1", "started_at": "2026-09-01T09:00:00Z", "host": 7}"#, "host"),
        (#"{"id": "1", "started_at": "2026-09-01T09:00:00Z", "visibility": "secret"}"#, "visibility"),
        (#"{"id": "1", "started_at": "2026-09-01T09:00:00Z", "attempt": 0}"#, "attempt"),
        (#"[]"#, "span"),
    ])
    func aSpanThatMakesNoSenseIsRefusedNamingTheField(json: String, field: String) throws {
        do {
            _ = try Self.parse(json)
            Issue.record("expected a refusal of \(json)")
        } catch let problem as Problem {
            #expect(problem.status == .unprocessableContent)
            #expect(problem.detail.contains(field))
        }
    }

    @Test(
        arguments: [
            "host", "hostname", "pool", "repository", "instance", "service", "activity", "team", "runner", "runner_name", "runner_id",
            "runner_group", "run_id", "job_id", "external_id", "host_class", "op", "systemd_unit",
        ]
    )
    func namesHaveAtMost512Bytes(field: String) throws {
        func post(_ value: JSONValue) throws -> SpanDocument {
            try SpanDocument(.object(["id": "1", "started_at": "2026-09-01T09:00:00Z", field: value]), now: Self.now)
        }
        #expect(try post(.string(String(repeating: "é", count: 256))).fields[field] != nil)
        for value in [JSONValue.string(String(repeating: "é", count: 256) + "x"), .object([:]), .array(["a"])] {
            let problem = #expect(throws: Problem.self) { try post(value) }
            #expect(problem?.status == .unprocessableContent && problem?.detail.hasPrefix("field \(field): ") == true)
        }
    }

    @Test(arguments: [
        ("labels", #""linux""#, "labels"), ("labels", #"["linux", 7]"#, "labels[1]"),
        ("labels", "[" + Array(repeating: #""x""#, count: 101).joined(separator: ",") + "]", "labels"),
        ("labels", #"[""# + String(repeating: "x", count: 513) + #""]"#, "labels[0]"),
        ("release", #""pkg:opam/dune@3""#, "release"), ("release", #"["pkg:opam/dune@3"]"#, "release[0]"),
        ("release", #"{"purl": 3}"#, "release.purl"), ("release", #"[{}, {"relation": []}]"#, "release[1].relation"),
        ("release", "[" + Array(repeating: "{}", count: 101).joined(separator: ",") + "]", "release"),
        ("release", #"{"purl": ""# + String(repeating: "x", count: 2_001) + #""}"#, "release.purl"),
    ])
    func listsHaveFewMembersOfOneKind(field: String, value: String, named: String) throws {
        let problem = #expect(throws: Problem.self) {
            try Self.parse(#"{"id": "1", "started_at": "2026-09-01T09:00:00Z", "\#(field)": \#(value)}"#)
        }
        #expect(problem?.detail.hasPrefix("field \(named): ") == true, "\(problem?.detail ?? "")")
    }

    @Test func idsMayBeNumbersAndReleasesOneOrMany() throws {
        for extra in [
            #""run_id": 4711, "runner_id": 3, "job_id": 5, "external_id": 6, "runner_group": """#, #""labels": [], "release": []"#,
            #""labels": ["linux"], "release": {"purl": "pkg:opam/dune@3", "relation": null}"#, #""release": [{"purl": "pkg:opam/dune@3"}]"#,
        ] { _ = try Self.parse(#"{"id": "1", "started_at": "2026-09-01T09:00:00Z", \#(extra)}"#) }
    }

    @Test func unknownFieldsAreKeptAndTheEnvelopeIsOpened() throws {
        let span = try Self.parse(
            #"{"type": "job.span", "timestamp": "2026-09-01T09:04:56.100Z", "data": {"id": "1", "started_at": "2026-09-01T09:00:00Z", "capacity_share": 0.04, "shoe_size": 43}}"#
        )
        #expect(span.fields["shoe_size"] == .integer(43))
        #expect(span.fields["cpu_share"] == .number(0.04))
        #expect(span.eventTime == RFC3339.parse("2026-09-01T09:04:56.100Z"))
    }

    @Test(arguments: 0..<30) func whoeverComesLastTheLargestWriterWins(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        var documents = [
            #"{"id": "1", "started_at": "2026-09-01T09:00:00Z", "host": "a"}"#,
            #"{"id": "1", "started_at": "2026-09-01T09:00:01Z", "finished_at": "2026-09-01T09:10:00Z", "outcome": "success"}"#,
            #"{"id": "1", "started_at": "2026-09-01T09:00:01Z", "finished_at": "2026-09-01T09:10:00Z", "host": "b", "revision": 3}"#,
            #"{"id": "1", "started_at": "2026-09-01T09:00:00.5Z", "finished_at": "2026-09-01T09:09:59Z", "source": "wattle-run"}"#,
        ].shuffled(using: &random)
        documents += [documents[0], documents[2]]
        var registers = SpanRegisters()
        for document in documents {
            registers.merge(try SpanRegisters(SpanWrite(try Self.parse(document))))
            registers = SpanRegisters(stored: try JSONValue(parsing: Array(try registers.stored.text.utf8)))
        }
        #expect(registers.fields["started_at"] == .string("2026-09-01T09:00:00.5Z"))
        #expect(registers.fields["finished_at"] == .string("2026-09-01T09:09:59Z"))
        #expect(registers.fields["host"] == .string("b"))
        #expect(registers.fields["outcome"] == .string("success"))
        registers.merge(try .deletion(at: Self.now))
        #expect(registers.isDeleted)
    }
}

@Suite struct FormatTests {
    @Test func jobIDsAreComputedFromTheKeyAlone() {
        let key = SpanKey(source: "my-farm", instance: "ci.example.org", id: "opam-ci/4711/build/1", attempt: 1)
        #expect(key.text == "my-farm/ci.example.org/opam-ci/4711/build/1/1")
        #expect(key.jobID == key.jobID)
        #expect(SpanKey.isJobID(key.jobID))
        // Lengths are part of what is hashed: moving a letter from one part to the next makes another job.
        #expect(
            SpanKey(source: "a", instance: "bc", id: "1", attempt: 1).jobID
                != SpanKey(source: "ab", instance: "c", id: "1", attempt: 1).jobID
        )
    }

    @Test(
        arguments: [
            ("2026-09-01T09:00:00Z", 1_788_253_200_000_000), ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59.999999Z", 951_868_799_999_999),
            ("2026-09-01T11:30:00.5+02:30", 1_788_253_200_500_000), ("2026-09-01T09:00:00.123456789Z", 1_788_253_200_123_456),
        ] as [(String, Int64)]
    )
    func timesAreReadToTheMicrosecond(text: String, microseconds: Int64) {
        #expect(RFC3339.parse(text)?.microseconds == microseconds)
    }

    @Test(arguments: [
        "", "2026-09-01", "2026-09-01T09:00:00", "2026-13-01T09:00:00Z", "2026-09-01T09:00:00.Z", "2026-09-01T24:00:00Z",
        "2026-09-01T09:00:00Zjunk",
    ])
    func whatIsNoTimeIsNotRead(text: String) {
        #expect(RFC3339.parse(text) == nil)
    }

    @Test(arguments: 0..<20) func timesComeBackAsTheyWent(seed: UInt64) {
        var random = RandomSource(seed: seed)
        for _ in 0..<100 {
            let t = Timestamp(microseconds: Int64.random(in: 0...4_102_444_800_000_000, using: &random))
            #expect(RFC3339.parse(RFC3339.format(t)) == t)
        }
    }

    @Test func numbersHaveNoMoreDigitsThanTheirBoundsAllow() {
        #expect(Digits.rounded(0.0123456789, low: 0.0119, high: 0.0127) == 0.012346)
        #expect(Digits.rounded(123_456, low: 100_000, high: 150_000) == 123_500)
        #expect(Digits.rounded(0, low: -1, high: 1) == 0)
        #expect(Digits.plain(1.25e-7) == "0.000000125")
        #expect(Digits.plain(-1.5e-5) == "-0.000015")
        #expect(Digits.plain(3e20) == "300000000000000000000")
        #expect(Digits.plain(12) == "12")
        #expect(Digits.plain(0.5) == "0.5")
    }

    @Test func theHeaderOfJobsCSVIsTheContracts() {
        #expect(JobsCSV.columns.count == 54)
        #expect(
            JobsCSV.header.hasPrefix(
                "job_id,key,state,source,service,activity,repository,commit,pipeline,job,attempt,release_purl,relation,host"
            )
        )
        #expect(JobsCSV.header.hasSuffix("units,unit,missing_reason,statement,flags,water_l\r\n"))
    }

    @Test func tokensAreHashedAndHaveAForm() {
        let token = Token()
        #expect(Token(token.text)?.sha256 == token.sha256)
        #expect(Token("wtl_short") == nil)
        #expect(Token().text != token.text)
    }
}
