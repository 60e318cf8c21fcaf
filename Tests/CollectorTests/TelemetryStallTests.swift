import HTTPClient
import Store
import TestSupport
import Testing

@testable import Collector

@Suite struct TelemetryStallTests {
    /// A body that does not come takes nobody's turn.
    @Test func sendersThatFallSilentHoldNobodyUp() async throws {
        try await Farm.with { farm in
            let token = Token()
            var draft = TokenTable.Draft(name: "prometheus", scope: .telemetry)
            draft.claims.hosts = ["*"]
            _ = try await TokenTable.insert(draft, sha256: token.sha256, farm.connection)
            try await FrontDoorServer.with(farm) { server in
                let port = try #require(Int(server.url.split(separator: ":").last ?? ""))
                let silent = try (0..<(2 * TelemetryIntake.mostInside)).map { _ in
                    try SlowClient(
                        port: port,
                        sends: "POST /v1/metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(token.text)\r\n"
                            + "Content-Type: application/json\r\nContent-Length: 65536\r\n\r\n{"
                    )
                }
                try await Task.sleep(for: .milliseconds(300))
                let answer = try await server.send(
                    "POST",
                    "/v1/metrics",
                    headers: [("Authorization", "Bearer \(token.text)"), ("Content-Type", "application/json")],
                    body: Array("{}".utf8)
                )
                #expect(answer.status == 200)
                withExtendedLifetime(silent) {}
            }
        }
    }
}
