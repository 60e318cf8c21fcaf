public import Energy
import GridFeeds
import HTTPClient
import Hummingbird
public import Logging
import NIOCore
public import Postgres
public import ServiceLifecycle
import Store
public import Telemetry

/// The collector's parts, wired: HTTP and the accounting worker over one pool.
public struct CollectorServices: Sendable {
    /// In the order in which they start; they stop in reverse.
    public let services: [any Service]

    /// - Parameters:
    ///   - baseURL: where people reach the collector; links are made with it.
    ///   - reconcileEvery: how often sources' systems are asked for what their webhooks missed.
    ///   - takesHooks: false where nothing is to come in from outside.
    ///   - access: what people without a token see.
    ///   - meterRules: from other exporters' series to meters.
    ///   - scrapeTargets: what the collector itself asks for series.
    ///   - grid: the zones whose intensities are asked for, and of whom.
    ///   - storage: how long what is kept.
    ///   - replica: who answers what only reads; nil: the primary.
    ///   - onListening: called with the port once connections are taken.
    public init(
        pool: PostgresPool,
        host: String,
        port: Int,
        baseURL: String,
        log: Logger,
        now: @escaping @Sendable () -> Timestamp,
        reconcileEvery: Duration = .seconds(3_600),
        takesHooks: Bool = true,
        access: Access = .public,
        meterRules: MeterRules? = nil,
        scrapeTargets: [ScrapeTarget] = [],
        grid: [GridChain] = [],
        storage: StorageTerms = StorageTerms(),
        replica: ReadReplica? = nil,
        onListening: @escaping @Sendable (Int) async -> Void = { _ in }
    ) throws {
        let metrics = CollectorMetrics()
        var site = Site(pool: pool, metrics: metrics, now: now, baseURL: baseURL, access: access)
        site.replica = replica
        let door = FrontDoor(pool: pool, now: now)
        let intake = TelemetryIntake(rules: try meterRules ?? MeterTable.rules(file: nil), pool: pool, metrics: metrics, now: now)
        let router = try Self.router(site, door, takesHooks: takesHooks, intake: intake)
        let application = Application(
            router: router,
            configuration: .init(address: .hostname(host, port: port), serverName: "wattle"),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? port) },
            logger: log
        )
        let reconciler = Reconciler(pool: pool, log: log, now: now, metrics: metrics, interval: reconcileEvery)
        let committer = ReadingsCommitter(queue: site.readings, pool: pool, now: now, log: log)
        // Those that work for themselves stop first and at once; then HTTP, once its requests are answered; the committer after it.
        services =
            [committer, BoundedHTTP(application: application, log: log)]
            + [AccountingWorker(pool: pool, log: log, now: now, metrics: metrics), reconciler] + door.services(site, log: log)
            + [
                TelemetryUpkeep(intake: intake, pool: pool, log: log, now: now),
                StorageKeeper(pool: pool, log: log, now: now, metrics: metrics, terms: storage),
            ]
            // A service without anything to do would end, and all others with it.
            + (scrapeTargets.isEmpty ? [] : [Scraper(targets: scrapeTargets, intake: intake, metrics: metrics, log: log, now: now)])
            + (grid.isEmpty
                ? []
                : [
                    GridKeeper(
                        chains: grid,
                        client: FeedClient(http: HTTPClient(userAgent: "wattle"), now: now),
                        pool: pool,
                        log: log,
                        now: now,
                        metrics: metrics
                    )
                ])
    }

    /// Every route there is; `openapi.yaml` describes each, and a test compares the two.
    static func router(_ site: Site, _ door: FrontDoor? = nil, takesHooks: Bool = true, intake: TelemetryIntake? = nil) throws
        -> Router<WattleContext>
    {
        let door = door ?? FrontDoor(pool: site.pool, now: site.now)
        let intake =
            try intake ?? TelemetryIntake(rules: MeterTable.rules(file: nil), pool: site.pool, metrics: site.metrics, now: site.now)
        let document = try OpenAPIDocument(baseURL: site.baseURL)
        let router = Router(context: WattleContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: ProblemMiddleware(metrics: site.metrics))
        router.add(middleware: Authentication(pool: site.pool, door: door))
        router.add(middleware: KnownParameters(document))
        if site.replica != nil { router.add(middleware: FreshnessMiddleware()) }
        ReadingsRoutes(site: site).add(to: router)
        TelemetryRoutes(site: site, intake: intake, rates: door.rates, pace: door.pace).add(to: router)
        EnrolRoutes(site: site).add(to: router)
        SpanRoutes(site: site, rates: door.rates, pace: door.pace).add(to: router)
        if takesHooks { door.hooks(site).add(to: router) }
        door.traces(site).add(to: router)
        JobRoutes(site: site).add(to: router)
        RollUpRoutes(site: site).add(to: router)
        SCIRoutes(site: site).add(to: router)
        CoverageRoutes(site: site).add(to: router)
        UnitsRoutes(site: site, rates: door.rates, pace: door.pace).add(to: router)
        IntensityRoutes(site: site).add(to: router)
        EstimateRoutes(site: site).add(to: router)
        ModelRoutes(site: site).add(to: router)
        CarbonAwareRoutes(site: site).add(to: router)
        OperationsRoutes(site: site).add(to: router)
        try PageRoutes(site: site).add(to: router)
        try OpenAPIRoutes(document: document).add(to: router)
        // After the routes: what is added here meets only requests that none of them takes.
        router.add(middleware: MethodNotAllowed(router.routes))
        return router
    }

    /// Brings the schema up to date, adds the shipped intensities and makes the partitions of the next days.
    public static func prepare(_ connection: PostgresConnection, log: Logger, now: Timestamp) async throws {
        try await Migrator.migrate(connection, log: log)
        try await ShippedIntensities.add(connection)
        try await KnotPartitions.make(now: now, connection)
    }
}

/// HTTP that ends within a bounded time: requests under way are answered, but a client that is slow to send or to read its own does not
/// hold up the others' end.
struct BoundedHTTP<Application: ApplicationProtocol>: Service {
    let application: Application
    let log: Logger
    /// Of the 10 s that a stop may take: behind it come the batches that wait, and the pool.
    var patience = Duration.seconds(5)

    func run() async throws {
        try await withThrowingTaskGroup(of: Bool.self) { tasks in
            tasks.addTask {
                try await application.run()
                return true
            }
            tasks.addTask {
                try await gracefulShutdown()
                try await Task.sleep(for: patience)
                return false
            }
            defer { tasks.cancelAll() }
            guard try await tasks.next() == false else { return }
            log.warning("requests under way are cut off", metadata: ["after": "\(patience)"])
            tasks.cancelAll()
            do { while try await tasks.next() != nil {} } catch is CancellationError {}
        }
    }
}
