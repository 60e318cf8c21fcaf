import Documents
import Energy
import HTTPClient
import Postgres
import Store
import Testing
@testable import Collector

@Suite struct ClaimTests {
    private static func claims(_ make: (inout Claims) -> Void) -> Claims {
        var claims = Claims()
        make(&claims)
        return claims
    }

    @Test func aListAllowsWhatItNamesAndNothingElse() {
        let claims = Self.claims {
            $0.instances = ["https://github.com"]
            $0.repositories = ["github.com/ocaml/*"]
            $0.hosts = ["bw-*"]
        }
        func field(_ instance: String?, _ repository: String?, _ hosts: [String] = [], _ pool: String? = nil) -> String? {
            claims.excess(instance: instance, repository: repository, hosts: hosts, pool: pool)?.field
        }
        #expect(field("github.com", "github.com/ocaml/dune", ["bw-07"]) == nil)
        #expect(field("https://GitHub.com", "github.com/OCaml/dune") == nil)
        #expect(field("https://github.com.evil.org", "github.com/ocaml/dune") == "instance")
        #expect(field("github.com", "github.com/ocamlx/dune") == "repository")
        #expect(field("github.com", "gitlab.com/github.com/ocaml/dune") == "repository")
        #expect(field("github.com", nil) == "repository")
        #expect(field("github.com", "github.com/ocaml/dune", ["bw-07", "other"]) == "host")
        #expect(Claims(json: claims.json) == claims)
        #expect(!claims.allows(host: "other", pool: nil))
        #expect(Self.claims { $0.pools = ["p"] }.allows(host: "x", pool: "p"))
        #expect(!Self.claims { $0.pools = ["p"] }.allows(host: "x", pool: nil))
    }

    @Test func aSecretForOneRepositoryNamesNoOther() async throws {
        try await Farm.with { farm in
            _ = try await farm.source("all")
            _ = try await farm.source("mine", claims: Self.claims { $0.repositories = ["github.com/me/*"] })
            try await FrontDoorServer.with(farm) { server in
                let secret = HookTests.secret
                // Of the other's repository: no span, and its visibility stays as it was.
                let other = FrontDoorServer.job(id: 1, repository: "tidepool/mirror", isPrivate: true)
                #expect(try await server.deliver(other, to: "all", secret: secret, id: "a").status == 202)
                let forged = FrontDoorServer.job(id: 2, repository: "tidepool/mirror", isPrivate: false)
                for id in 0..<5 { #expect(try await server.deliver(forged, to: "mine", secret: secret, id: "f\(id)").status == 202) }
                try await farm.settled()
                #expect(try await farm.outcomes() == ["jobs"] + [String](repeating: "refused", count: 5))
                #expect(try await farm.count("span_key") == 1)
                #expect(try await RepositoryTable.isPrivate(name: "github.com/tidepool/mirror", farm.connection) == true)
                // On record once a minute, naming the field.
                let rows = try await AuditLog.list(since: Farm.start - Microseconds.day, limit: 10, farm.connection)
                #expect(rows.map(\.action) == ["claim.refused"])
                #expect(rows.map(\.who) == ["mine"])
                #expect(rows.map(\.subject) == ["repository"])
                // A span of its own name is another span: keys are the source's.
                let own = FrontDoorServer.job(id: 1, repository: "me/mirror")
                #expect(try await server.deliver(own, to: "mine", secret: secret, id: "o").status == 202)
                try await farm.settled()
                #expect(try await farm.count("span_key") == 2)
            }
        }
    }

    @Test func aTokenOfOneSourceDoesNotTakeOverASpanOfAnothersRepository() {
        let mine = Self.claims { $0.repositories = ["github.com/me/*"] }
        #expect(ClaimCheck.excess(ofStored: ["repository": "github.com/me/x"], mine) == nil)
        #expect(ClaimCheck.excess(ofStored: [:], mine) == nil)
        let excess = ClaimCheck.excess(ofStored: ["repository": "github.com/you/secret"], mine)
        #expect(excess?.field == "id")
        #expect(excess.map { "\($0)".contains("secret") } == false)
    }

    @Test func aCeilingOfPrivateLetsNothingBecomePublic() {
        let claims = Self.claims { $0.visibility = .private }
        #expect(ClaimCheck.excess(of: "github.com/me/x", isPrivate: false, claims)?.field == "visibility")
        #expect(ClaimCheck.excess(of: "github.com/me/x", isPrivate: true, claims) == nil)
    }

    @Test func aMinuteHasOneRowOfAKind() {
        let pace = AuditPace()
        #expect(pace.admits("a", "host", now: at(0)))
        #expect(!pace.admits("a", "host", now: at(59)))
        #expect(pace.admits("a", "pool", now: at(59)))
        #expect(pace.admits("a", "host", now: at(60)))
    }
}
