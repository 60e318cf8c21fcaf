import Documents
import Energy
import HTTPClient
import Postgres
import Store
import Testing
@testable import Collector

@Suite struct TokenTests {
    @Test func anOperatorsWordsAreReadOrNamed() throws {
        #expect(try TokenTerms.scope("ci").scope == .ci)
        #expect(try TokenTerms.scope("read:ocaml/*,mirage/mirage").repositories == ["ocaml/*", "mirage/mirage"])
        for wrong in ["reader", "ci:ocaml/*", "read:", "read:ocaml", "read:/x", "read:a/b,"] {
            #expect(throws: TokenTerms.Fault.self) { try TokenTerms.scope(wrong) }
        }
        let now = Farm.start
        #expect(try TokenTerms.expiry("90d", now: now) == now + Microseconds(90 * Microseconds.day.count))
        #expect(try TokenTerms.expiry("2026-12-31", now: now) == RFC3339.parse("2026-12-31T00:00:00Z"))
        for wrong in ["yesterday", "2026-08-31", "-1d", ""] {
            #expect(throws: TokenTerms.Fault.self) { try TokenTerms.expiry(wrong, now: now) }
        }
        #expect(
            TokenTerms.repositories(["ocaml/*", "gitlab.com/a/*", "*"], forges: ["github.com", "codeberg.org"])
                == ["github.com/ocaml/*", "codeberg.org/ocaml/*", "gitlab.com/a/*", "*"]
        )
    }

    @Test func aTokenCountsUntilItExpiresOrIsRevokedAndSaysWhenItWasUsed() async throws {
        try await Farm.with { farm in
            let long = Token()
            let short = Token()
            _ = try await TokenTable.insert(TokenTable.Draft(name: "long", scope: .read), sha256: long.sha256, farm.connection)
            var draft = TokenTable.Draft(name: "short", scope: .read)
            // The database's clock decides.
            draft.expiresAt = Timestamp(microseconds: 1_600_000_000_000_000)
            _ = try await TokenTable.insert(draft, sha256: short.sha256, farm.connection)
            try await FrontDoorServer.with(farm) { server in
                func status(_ token: Token) async throws -> Int {
                    try await server.send("GET", "/v1/jobs", headers: [("Authorization", "Bearer \(token.text)")]).status
                }
                #expect(try await status(long) == 200)
                #expect(try await status(short) == 401)
                let clock = ContinuousClock()
                let time = try await clock.measure { for _ in 0..<50 { _ = try await status(long) } }
                print("50 reads with one token: \(time)")
                #expect(try await TokenTable.revoke(name: "long", farm.connection))
                try await Task.sleep(for: .milliseconds(1_100))
                #expect(try await status(long) == 401)
            }
            let listed = try await TokenTable.all(farm.connection)
            #expect(listed.map { $0.state(now: farm.clock.now) } == ["revoked", "expired"])
        }
    }

    @Test func aRevokedTokenWritesNothingMoreAtOnce() async throws {
        try await Farm.with { farm in
            let token = Token()
            _ = try await TokenTable.insert(TokenTable.Draft(name: "ci", scope: .ci), sha256: token.sha256, farm.connection)
            try await FrontDoorServer.with(farm) { server in
                func post(_ id: String) async throws -> Int {
                    let answer = try await server.send(
                        "POST",
                        "/v1/spans",
                        headers: [("Authorization", "Bearer \(token.text)"), ("Content-Type", "application/json")],
                        body: Array("{\"id\":\"\(id)\",\"started_at\":\"2026-09-01T09:00:10Z\"}".utf8)
                    )
                    return answer.status
                }
                let before = try await post("1")
                let isRevoked = try await TokenTable.revoke(name: "ci", farm.connection)
                let after = try await post("2")
                #expect(before == 202)
                #expect(isRevoked)
                #expect(after == 401)
            }
        }
    }

    @Test func lastUsesAreWrittenOnceAMinute() async throws {
        try await Farm.with { farm in
            let grant = try await TokenTable.insert(TokenTable.Draft(name: "r", scope: .read), sha256: Token().sha256, farm.connection)
            let uses = TokenUses()
            let start = ContinuousClock.now
            uses.note(grant.id)
            #expect(uses.take(now: start) == [grant.id])
            uses.note(grant.id)
            #expect(uses.take(now: start + .seconds(59)) == [])
            #expect(uses.take(now: start + .seconds(60)) == [grant.id])
            uses.note(grant.id)
            try await TokenUseRecorder(pool: farm.pool, uses: uses, log: LogLines().logger).record()
            try await TokenTable.noteUse(tokenIDs: [grant.id], farm.connection)
            #expect(try await TokenTable.all(farm.connection).first?.lastUsedAtMicroseconds != nil)
        }
    }

    @Test func aGrantIsKnownForASecondAndNoLonger() {
        let cache = GrantCache()
        let start = ContinuousClock.now
        cache.note(nil, sha256: [1], now: start)
        #expect(cache.find(sha256: [1], now: start) == .some(nil))
        #expect(cache.find(sha256: [1], now: start + .seconds(1)) == nil)
        #expect(cache.find(sha256: [2], now: start) == nil)
    }
}
