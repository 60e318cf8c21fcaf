import CIEvents
import Crypto
import Documents
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Postgres
import Store

/// Where CI systems deliver their webhooks: verified over the raw bytes, stored, answered; what they mean is worked out later.
struct HookRoutes: Sendable {
    let site: Site
    let sources: SourceDirectory
    let systems: @Sendable (_ kind: String) -> (any CISystem.Type)?
    let rates: RateLimit
    let signal: EventSignal
    let refusals: RefusalTally

    func add(to router: Router<WattleContext>) {
        router.post("v1/hooks/:kind/:source") { request, context in try await deliver(request, context) }
    }

    /// GitHub sends up to 25 MB; what the others send is a few kB.
    private static func bodyBytes(kind: String) -> Int { kind == "github" ? 25 << 20 : 1 << 20 }

    /// As many secrets are tried for each source, made up ones among them: the time tells neither how many there are nor whether any is.
    private static let secretsTried = 2

    private func deliver(_ request: Request, _ context: WattleContext) async throws -> Response {
        let kind = try context.pathPart("kind")
        guard let system = systems(kind) else { throw Problem.notFound("there is no kind of hook named \(kind.prefix(60))") }
        let name = try context.pathPart("source")
        let delivery = Delivery(
            headers: Self.headers(request),
            body: try await request.body(limit: Self.bodyBytes(kind: kind)),
            receivedAt: site.now()
        )
        var live = try await sources.find(name)
        if live?.source.kind != kind { live = nil }
        var secrets = live?.secrets ?? []
        while secrets.count < Self.secretsTried { secrets.append(system.newSecret()) }
        do {
            try system.verify(delivery, secrets: secrets, now: delivery.receivedAt)
        } catch {
            throw refusal(error.cause.rawValue, live, context)
        }
        guard let live else { throw refusal(RefusedDelivery.Cause.wrongSignature.rawValue, nil, context) }

        let verdict = try rates.require(
            "source \(live.source.name)",
            requestsPerSecond: live.source.claims.requestsPerSecond,
            now: delivery.receivedAt
        )
        if let type = delivery.headers["content-type"], type.lowercased().hasPrefix("application/x-www-form-urlencoded") {
            throw Problem(
                type: "unsupported-media-type",
                title: "The body is a form",
                detail:
                    "expected application/json, found \(type.prefix(60)); choose the content type application/json in the hook's settings",
                status: .unsupportedMediaType
            )
        }
        let id = try await store(delivery, system, live)
        signal.send()
        return try JSONValue.object(["event": .integer(id)]).response(status: .accepted, headers: verdict.fields)
    }

    private func store(_ delivery: Delivery, _ system: any CISystem.Type, _ live: SourceDirectory.Live) async throws -> Int64 {
        let mask = CredentialMask(secrets: live.secrets + [live.source.apiToken].compactMap { $0 })
        func text(_ text: String, limit: Int) -> String {
            String(mask.masked(String(text.unicodeScalars.filter { $0.value != 0 })).prefix(limit))
        }
        var headers: [String: String] = [:]
        for header in system.keptHeaders.map({ $0.lowercased() }) {
            if let value = delivery.headers[header] { headers[header] = text(value, limit: 500) }
        }
        let key = text(system.eventKey(delivery), limit: 300)
        let eventName = text(system.eventName(delivery), limit: 200)
        let body = mask.masked(delivery.body)
        let sha256 = Array(SHA256.hash(data: delivery.body))
        let (id, isNew) = try await site.pool.withConnection { [headers] connection in
            try await EventTable.insert(
                sourceID: live.source.id,
                key: key,
                name: eventName,
                headers: headers,
                body: body,
                sha256: sha256,
                receivedAt: delivery.receivedAt,
                connection
            )
        }
        (isNew ? site.metrics.eventsStored : site.metrics.eventsRepeated).increment()
        return id
    }

    /// One answer to all that is not believed, whether or not there is such a source.
    private func refusal(_ cause: String, _ live: SourceDirectory.Live?, _ context: WattleContext) -> Problem {
        site.metrics.eventsRefused.increment()
        if let live { refusals.note(source: live.source.name, cause: cause) }
        return Problem(
            type: "unverified",
            title: "The delivery is not believed",
            detail:
                "expected a delivery signed with a live secret of this source, found none; check the URL and the secret where the hook is"
                + " set up (the collector's source list and audit say what came), or make a new secret: wattle-collector source rotate NAME",
            status: .unauthorized,
            extra: ["cause": .string(cause)]
        )
    }

    private static func headers(_ request: Request) -> [String: String] {
        var headers: [String: String] = [:]
        for field in request.headers { headers[field.name.canonicalName] = field.value }
        return headers
    }
}
