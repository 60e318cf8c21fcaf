import Documents
import HTTPClient
import Postgres
import Store
import Testing
@testable import Collector

@Suite struct SourceTests {
    @Test func bothSecretsCountWhileRotatingAndTheOldOneNoLongerAfterwards() async throws {
        try await Farm.with { farm in
            let source = try await farm.source("my-org", secret: "the-first-secret")
            try await SourceTable.rotate(to: "the-second-secret", sourceID: source.id, overlapSeconds: 3_600, farm.connection)
            try await FrontDoorServer.with(farm) { server in
                for (index, secret) in ["the-first-secret", "the-second-secret"].enumerated() {
                    #expect(try await server.deliver(FrontDoorServer.job(), to: "my-org", secret: secret, id: "a\(index)").status == 202)
                }
                // A third one: the first ends at once, the second counts on.
                try await SourceTable.rotate(to: "the-third-secret", sourceID: source.id, overlapSeconds: 3_600, farm.connection)
                try await Task.sleep(for: .milliseconds(1_200))
                var statuses: [Int] = []
                for (index, secret) in ["the-first-secret", "the-second-secret", "the-third-secret"].enumerated() {
                    statuses.append(try await server.deliver(FrontDoorServer.job(), to: "my-org", secret: secret, id: "b\(index)").status)
                }
                #expect(statuses == [401, 202, 202])
                try await SourceTable.rotate(to: "the-fourth-secret", sourceID: source.id, overlapSeconds: 0, farm.connection)
                try await Task.sleep(for: .milliseconds(1_200))
                #expect(try await server.deliver(FrontDoorServer.job(), to: "my-org", secret: "the-third-secret", id: "c").status == 401)
                #expect(try await SourceTable.revoke(name: "my-org", farm.connection))
                try await Task.sleep(for: .milliseconds(1_200))
                #expect(try await server.deliver(FrontDoorServer.job(), to: "my-org", secret: "the-fourth-secret", id: "d").status == 401)
                #expect(try await farm.count("source_secret") == 0)
            }
        }
    }

    @Test func theLastWordOfAForgeCountsWhateverTheOrder() async throws {
        try await Farm.with { farm in
            for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
                let name = "github.com/a/\(order)"
                for step in order {
                    try await RepositoryTable.note(
                        name: name,
                        isPrivate: step == 2,
                        statedAt: at(Double(step)),
                        source: "s",
                        farm.connection
                    )
                }
                #expect(try await RepositoryTable.isPrivate(name: name, farm.connection) == true)
            }
            // Of two words at one moment the private one.
            try await RepositoryTable.note(name: "x", isPrivate: true, statedAt: at(0), source: "s", farm.connection)
            try await RepositoryTable.note(name: "x", isPrivate: false, statedAt: at(0), source: "s", farm.connection)
            #expect(try await RepositoryTable.isPrivate(name: "x", farm.connection) == true)
        }
    }
}
