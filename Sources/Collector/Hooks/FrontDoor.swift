import CIEvents
import Energy
import HTTPClient
import Logging
import Postgres
import ServiceLifecycle
import Store

/// What the routes and the worker of the front door share.
struct FrontDoor: Sendable {
    let sources: SourceDirectory
    let systems: @Sendable (_ kind: String) -> (any CISystem.Type)?
    let rates = RateLimit()
    let signal = EventSignal()
    let refusals = RefusalTally()
    let pace = AuditPace()
    let uses = TokenUses()
    let oidc: OIDCAuthority

    init(
        pool: PostgresPool,
        now: @escaping @Sendable () -> Timestamp,
        systems: @escaping @Sendable (_ kind: String) -> (any CISystem.Type)? = { CISystems.named($0) }
    ) {
        sources = SourceDirectory(pool: pool)
        self.systems = systems
        oidc = OIDCAuthority(sources: sources, keys: IssuerKeys(client: HTTPClient(maximumBodyBytes: 1 << 20), now: now), now: now)
    }

    func services(_ site: Site, log: Logger) -> [any Service] {
        [
            EventWorker(
                pool: site.pool,
                log: log,
                now: site.now,
                metrics: site.metrics,
                systems: systems,
                signal: signal,
                refusals: refusals,
                pace: pace
            ),
            TokenUseRecorder(pool: site.pool, uses: uses, log: log),
        ]
    }

    func traces(_ site: Site) -> TraceRoutes { TraceRoutes(site: site, rates: rates, pace: pace) }

    func hooks(_ site: Site) -> HookRoutes {
        HookRoutes(site: site, sources: sources, systems: systems, rates: rates, signal: signal, refusals: refusals)
    }
}
