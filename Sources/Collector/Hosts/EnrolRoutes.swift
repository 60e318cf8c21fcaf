import Documents
import Hummingbird
import Postgres
import Store

/// Where machines of a pool get their agent's token.
struct EnrolRoutes: Sendable {
    let site: Site

    static let bodyBytes = 64 << 10
    static let namesPerHost = 32

    func add(to router: Router<WattleContext>) {
        router.post("v1/enrol") { request, context in try await enrol(request, context) }
    }

    private struct Refused: Error {
        let outcome: HostEnrolment.Outcome
    }

    private func enrol(_ request: Request, _ context: WattleContext) async throws -> Response {
        let grant = try context.requireGrant(.enrol)
        guard grant.scope == .enrol else {
            throw Problem.forbidden(
                "scope",
                "expected a token of scope enrol, which names the pool, found one of scope \(grant.scope.rawValue)"
            )
        }
        let wish = try Self.wish(try await request.body(limit: Self.bodyBytes))
        let token = Token()
        let sha256 = token.sha256
        let outcome: HostEnrolment.Outcome
        do {
            outcome = try await site.pool.withConnection { connection in
                try await connection.transaction { tx in
                    let outcome = try await HostEnrolment.enrol(wish, by: grant, sha256: sha256, tx)
                    // Nothing of a refused wish stays, not the use it would have cost either.
                    guard case .enrolled = outcome else { throw Refused(outcome: outcome) }
                    return outcome
                }
            }
        } catch let refused as Refused {
            outcome = refused.outcome
        }
        switch outcome {
        case .enrolled(let host, _):
            return try JSONValue.object(["host": .string(host), "token": .string(token.text)]).response(status: .created)
        case .noUsesLeft:
            throw Problem.forbidden(
                "no-uses-left",
                "the enrol token \(grant.name) has been used up, or was revoked or expired meanwhile;"
                    + " make another with: wattle-collector token create --scope enrol"
            )
        case .taken(let host):
            throw Problem(
                type: "host-taken",
                title: "Another machine has this name",
                detail: "the host \(host) is another machine, which reported within the last hour; give this one another name"
                    + " (the agent's setting host), or take the other out of service with: wattle-collector host retire \(host),"
                    + " then host retire --undo \(host)",
                status: .conflict
            )
        case .otherHost(let host):
            throw Problem.forbidden(
                "other-pool",
                "the name belongs to the host \(host), which is not an enrolled machine of the pool \(grant.pool ?? "of this token");"
                    + " give this machine another name, or make it a token of its own with:"
                    + " wattle-collector token create --scope agent --host \(host)"
            )
        }
    }

    static func wish(_ body: [UInt8]) throws -> HostEnrolment.Wish {
        let fields: [String: JSONValue]?
        do {
            fields = try JSONValue(parsing: body).object
        } catch {
            fields = nil
        }
        guard let fields else {
            throw Problem.badRequest(
                "malformed-json",
                "The body is not a JSON object",
                "expected {\"host\": NAME, \"machine_id_sha256\": 64 hex digits, \"names\": [...]}"
            )
        }
        func refuse(_ field: String, _ expected: String, _ found: JSONValue?) -> Problem {
            var problem = Problem.unprocessable(
                "invalid-enrolment",
                "The machine is not described",
                "field \(field): expected \(expected), found \(found?.described ?? "nothing")"
            )
            problem.extra["field"] = .string(field)
            return problem
        }
        guard let host = fields["host"]?.string, HostName.isUsable(host) else {
            throw refuse("host", HostName.expectation, fields["host"])
        }
        guard let machineID = fields["machine_id_sha256"]?.string.flatMap(MachineID.bytes) else {
            throw refuse("machine_id_sha256", "64 hex digits", fields["machine_id_sha256"])
        }
        var names: [String] = []
        if let value = fields["names"], !value.isNull {
            guard let list = value.array, list.count <= Self.namesPerHost else {
                throw refuse("names", "a list of at most \(Self.namesPerHost) names", value)
            }
            for one in list {
                guard let name = one.string, HostName.isUsable(name) else { throw refuse("names", HostName.expectation, one) }
                names.append(name)
            }
        }
        return HostEnrolment.Wish(host: host, machineID: machineID, names: names)
    }
}

/// What a host may be called.
enum HostName {
    static let expectation = "a name of 1 to 253 bytes without spaces, slashes and control characters"

    static func isUsable(_ name: String) -> Bool {
        (1...253).contains(name.utf8.count) && name.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F && $0 != "/" }
    }
}
