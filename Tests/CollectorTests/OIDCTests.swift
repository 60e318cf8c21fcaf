import Documents
import Energy
import Foundation
import HTTPClient
import Postgres
import Store
import Testing
@testable import Collector

@Suite struct OIDCTests {
    static let issuer = "https://token.actions.githubusercontent.com"
    static let audience = "https://collector.example.org"

    /// The recorded tokens; nil where they are not beside the project.
    private static func vectors() throws -> JSONValue? {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "../../../shared/vectors/webhooks/oidc_tokens.json"
        )
        guard let data = FileManager.default.contents(atPath: path.standardizedFileURL.path) else {
            print("skipped: ../shared/vectors/webhooks/oidc_tokens.json is not there")
            return nil
        }
        return try JSONValue(parsing: Array(data))
    }

    @Test func recordedTokensAreBelievedOrNotAsTheySay() async throws {
        guard let vectors = try Self.vectors()?.object else { return }
        let keys = JSONWebKey.set(vectors["jwks"] ?? .null)
        let cases = try #require(vectors["cases"]?.array)
        #expect(cases.count == 10)
        for one in cases {
            let fields = try #require(one.object)
            let name = fields["name"]?.string ?? "?"
            let time = Timestamp(microseconds: (fields["verify_at"]?.integer ?? 0) * 1_000_000)
            let result: Result<[String: JSONValue], OIDCVerifier.Refusal>
            do {
                result = .success(
                    try await OIDCVerifier.verify(
                        fields["token"]?.string ?? "",
                        keys: keys,
                        issuer: Self.issuer,
                        audience: Self.audience,
                        now: time
                    )
                )
            } catch {
                result = .failure(error)
            }
            switch (fields["expect"]?.string ?? "", result) {
            case (let expected, .success(let claims)):
                #expect(expected.hasPrefix("accept"), "\(name) was believed")
                let binding = try OIDCBinding(claims: claims, issuer: Self.issuer)
                #expect(binding.owner == "90210001")
                #expect(binding.fields["repository"] == "github.com/tidepool/opam-mirror")
                #expect(binding.fields["id"] == "51230000001")
                #expect(binding.fields["run_id"] == "17890000042")
                #expect(binding.fields["instance"] == "https://github.com")
                #expect(binding.isPublic)
            case (let expected, .failure(let refusal)):
                #expect(expected.hasPrefix("reject"), "\(name): \(refusal)")
                if name == "unknown kid" { #expect(refusal == .unknownKey("example-kid-2")) }
            }
        }
    }

    @Test func everyFlippedBitOfATokenIsSeen() async throws {
        guard let vectors = try Self.vectors()?.object, let valid = vectors["cases"]?.array?.first?.object else { return }
        let keys = JSONWebKey.set(vectors["jwks"] ?? .null)
        let token = Array((valid["token"]?.string ?? "").utf8)
        let now = Timestamp(microseconds: (valid["verify_at"]?.integer ?? 0) * 1_000_000)
        // The last character holds bits that base64 leaves unused.
        for index in stride(from: 0, to: token.count - 1, by: 37) {
            var changed = token
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            await #expect(throws: OIDCVerifier.Refusal.self, "at \(index)") {
                try await OIDCVerifier.verify(
                    String(decoding: changed, as: UTF8.self),
                    keys: keys,
                    issuer: Self.issuer,
                    audience: Self.audience,
                    now: now
                )
            }
        }
    }

    @Test func aTokenSpeaksOfItsOwnJobWhateverTheBodySays() throws {
        var grant = TokenGrant(id: 0, name: "o", scope: .ci, hostName: nil, source: "o")
        let posted: JSONValue = .object(["id": "other", "repository": "github.com/you/x", "host": "bw-07", "revision": .integer(9)])
        #expect(grant.binding(posted) == posted)
        grant.bound = ["id": "51", "repository": "github.com/me/x", "visibility": "private"]
        let bound = try #require(grant.binding(posted).object)
        #expect(bound["id"] == "51")
        #expect(bound["repository"] == "github.com/me/x")
        #expect(bound["visibility"] == "private")
        #expect(bound["host"] == "bw-07")
        #expect(bound["revision"] == nil)
        let envelope = grant.binding(.object(["type": "job.span", "data": posted])).object?["data"]?.object
        #expect(envelope?["id"] == "51")
    }

    @Test func anIssuersClaimsAreBoundOrTheMissingOneIsNamed() throws {
        let gitlab: [String: JSONValue] = [
            "namespace_id": "72", "project_path": "tidepool/opam-mirror", "pipeline_id": "66001", "job_id": "880001", "sha": "9f2c",
            "ref": "main", "runner_id": .integer(31), "project_visibility": "internal",
        ]
        let binding = try OIDCBinding(claims: gitlab, issuer: "https://gitlab.example.org")
        #expect(binding.fields["repository"] == "gitlab.example.org/tidepool/opam-mirror")
        #expect(binding.fields["runner_id"] == "31")
        #expect(!binding.isPublic)
        #expect(throws: OIDCBinding.Unbound(claim: "check_run_id")) {
            try OIDCBinding(claims: ["repository_owner_id": "1", "run_id": "2", "repository": "a/b", "sha": "x"], issuer: "https://x.org")
        }
        #expect(throws: OIDCBinding.Unbound.self) { try OIDCBinding(claims: [:], issuer: "https://x.org") }
    }

    @Test func aTokenIsGoodForItsJobAFewTimes() {
        let replays = TokenReplays()
        func admits(_ jti: String?, _ digest: UInt8, _ job: String, _ seconds: Double) -> Bool {
            replays.admits(jti: jti, digest: [digest], job: job, until: at(300), issuer: "i", now: at(seconds))
        }
        #expect(!admits(nil, 1, "1/2", 0))
        for _ in 0..<TokenReplays.usesPerToken { #expect(admits("j", 1, "1/2", 0)) }
        #expect(!admits("j", 1, "1/2", 0))
        #expect(admits("k", 2, "1/2", 0))
        #expect(!admits("k", 3, "1/2", 0))
        #expect(!admits("k", 2, "1/3", 0))
    }

    @Test func anIssuerOutOfReachIsAskedOnceAMinuteAndItsKeysAreNone() async throws {
        let clock = TestClock(Farm.start)
        let keys = IssuerKeys(client: HTTPClient(), now: { clock.now })
        // Nobody listens there.
        #expect(await keys.keys(of: "http://127.0.0.1:9").isEmpty)
        #expect(await keys.keys(of: "http://127.0.0.1:9", unknown: "k").isEmpty)
    }

    @Test func aTokenOfAnIssuerThatNobodyConfiguredOpensNothing() async throws {
        guard let vectors = try Self.vectors()?.object, let valid = vectors["cases"]?.array?.first?.object else { return }
        try await Farm.with { farm in
            try await FrontDoorServer.with(farm) { server in
                let answer = try await server.send(
                    "POST",
                    "/v1/spans",
                    headers: [("Authorization", "Bearer \(valid["token"]?.string ?? "")"), ("Content-Type", "application/json")],
                    body: Array("{\"id\":\"1\",\"started_at\":\"2026-09-01T09:00:10Z\"}".utf8)
                )
                #expect(answer.status == 401)
                #expect(try await farm.count("span_key") == 0)
            }
        }
    }
}
