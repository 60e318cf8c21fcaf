import Documents
import Energy
import Postgres
import Store
import Testing

@testable import Collector

@Suite struct HostEnrolmentTests {
    private static func enrolToken(_ farm: Farm, pool: String = "linux", uses: Int?) async throws -> TokenGrant {
        let token = Token()
        _ = try await farm.connection.execute(
            Statement("insert_enrol", "INSERT INTO token (name, scope, sha256, pool, uses_left) VALUES ($1, 'enrol', $2, $1, $3)"),
            [.text(pool), .bytea(token.sha256), uses.map { .int4(Int32($0)) }]
        )
        return try #require(try await TokenTable.find(sha256: token.sha256, farm.connection))
    }

    private static func enrol(_ host: String, machine: UInt8, by grant: TokenGrant, _ farm: Farm) async throws
        -> (outcome: HostEnrolment.Outcome, token: Token)
    {
        let token = Token()
        let wish = HostEnrolment.Wish(host: host, machineID: [UInt8](repeating: machine, count: 32), names: [])
        struct Refused: Error { let outcome: HostEnrolment.Outcome }
        do {
            let outcome = try await farm.connection.transaction { tx in
                let outcome = try await HostEnrolment.enrol(wish, by: grant, sha256: token.sha256, tx)
                guard case .enrolled = outcome else { throw Refused(outcome: outcome) }
                return outcome
            }
            return (outcome, token)
        } catch let refused as Refused {
            return (refused.outcome, token)
        }
    }

    private static func isLive(_ token: Token, _ farm: Farm) async throws -> Bool {
        try await TokenTable.find(sha256: token.sha256, farm.connection) != nil
    }

    @Test func aPoolTokenMakesHostsOfItsPoolAsOftenAsItMay() async throws {
        try await Farm.with { farm in
            let grant = try await Self.enrolToken(farm, uses: 2)
            let first = try await Self.enrol("pod-1", machine: 1, by: grant, farm)
            let second = try await Self.enrol("pod-2", machine: 2, by: grant, farm)
            #expect(try await Self.isLive(first.token, farm))
            #expect(try await Self.isLive(second.token, farm))
            let host = try #require(try await HostTable.find(name: "pod-1", farm.connection))
            #expect(host.pool == "linux" && host.isEphemeral)
            #expect(try await Self.enrol("pod-3", machine: 3, by: grant, farm).outcome == .noUsesLeft)
            #expect(try await farm.count("host") == 2)
            #expect(try await farm.count("audit") == 2)
            #expect(try await TokenTable.find(sha256: first.token.sha256, farm.connection)?.hostName == "pod-1")
        }
    }

    @Test func theSameMachineGetsANewTokenForItsOldOne() async throws {
        try await Farm.with { farm in
            let grant = try await Self.enrolToken(farm, uses: nil)
            let first = try await Self.enrol("pod-1", machine: 1, by: grant, farm)
            let again = try await Self.enrol("POD-1", machine: 1, by: grant, farm)
            #expect(try await !Self.isLive(first.token, farm))
            #expect(try await Self.isLive(again.token, farm))
            #expect(try await farm.count("host") == 1)
        }
    }

    @Test func anotherMachinesNameIsTakenUntilThatOneIsSilentAndARefusalCostsNoUse() async throws {
        try await Farm.with { farm in
            let grant = try await Self.enrolToken(farm, uses: 2)
            let first = try await Self.enrol("pod-1", machine: 1, by: grant, farm)
            #expect(try await Self.enrol("pod-1", machine: 2, by: grant, farm).outcome == .taken(host: "pod-1"))
            _ = try await farm.connection.execute(Statement("quiet", "UPDATE host SET seen_at = now() - interval '2 hours'"))
            guard case .enrolled = try await Self.enrol("pod-1", machine: 2, by: grant, farm).outcome else {
                Issue.record("expected the silent machine's name to be free")
                return
            }
            #expect(try await !Self.isLive(first.token, farm))
        }
    }

    @Test func aTokenReachesNoHostOutsideItsPool() async throws {
        try await Farm.with { farm in
            let grant = try await Self.enrolToken(farm, uses: nil)
            let other = try await Self.enrolToken(farm, pool: "arm", uses: nil)
            try await HostTable.make(name: "bremusa", farm.connection)
            _ = try await Self.enrol("arm-1", machine: 7, by: other, farm)
            #expect(try await Self.enrol("bremusa", machine: 1, by: grant, farm).outcome == .otherHost(host: "bremusa"))
            #expect(try await Self.enrol("arm-1", machine: 7, by: grant, farm).outcome == .otherHost(host: "arm-1"))
            #expect(try await HostTable.find(name: "arm-1", farm.connection)?.pool == "arm")
            // One that an operator gave a token, though it has not reported yet.
            _ = try await farm.token("given", host: "waits")
            #expect(try await Self.enrol("waits", machine: 3, by: grant, farm).outcome == .otherHost(host: "waits"))
        }
    }

    @Test(arguments: [
        (#"{"host": "", "machine_id_sha256": "M"}"#, "host"), (#"{"host": "a b", "machine_id_sha256": "M"}"#, "host"),
        (#"{"host": "a", "machine_id_sha256": "12"}"#, "machine_id_sha256"),
        (#"{"host": "a", "machine_id_sha256": "M", "names": ["x/y"]}"#, "names"),
        (#"{"host": "a", "machine_id_sha256": "M", "names": "x"}"#, "names"), ("[]", ""),
    ])
    func aMachineThatIsNotDescribedIsRefusedByField(body: String, field: String) throws {
        let body = body.replacing("\"M\"", with: "\"\(String(repeating: "0a", count: 32))\"")
        do {
            _ = try EnrolRoutes.wish(Array(body.utf8))
            Issue.record("taken: \(body)")
        } catch let problem as Problem {
            #expect(problem.extra["field"]?.string ?? "" == field)
        }
        #expect(MachineID.bytes(String(repeating: "fF", count: 32)) == [UInt8](repeating: 255, count: 32))
    }
}
