public import Logging

/// A private Postgres cluster in a directory: made on first use, reachable only through a Unix socket by root and its owner.
///
///     let cluster = try await EmbeddedCluster.start(directory: "/srv/farm", log: logger)
///     let pool = PostgresPool(connectionString: cluster.connectionString)
///     ...
///     try await cluster.stop()
///
/// Several programs may start it in the same directory: the first makes and starts it, the others adopt it, and the last to call `stop`
/// stops it. When all of them were killed, the server runs on and the next one adopts it. `ClusterLayout` says where things lie.
public final class EmbeddedCluster: Sendable {
    /// How a server is stopped.
    public enum StopMode: Hashable, Sendable {
        /// Rolls back what is open, writes everything out, ends.
        case fast
        /// Ends at once; the next start recovers from the log.
        case immediate
    }

    /// A conninfo string for the cluster's own database.
    public let connectionString: String
    /// True when the server ran already.
    public let isAdopted: Bool
    /// The process number of the server.
    public let serverProcessID: Int32
    private let keeper: ClusterKeeper

    private init(connectionString: String, isAdopted: Bool, serverProcessID: Int32, keeper: ClusterKeeper) {
        self.connectionString = connectionString
        self.isAdopted = isAdopted
        self.serverProcessID = serverProcessID
        self.keeper = keeper
    }

    /// Makes the cluster if there is none, starts it unless it runs, makes the database if it is missing.
    ///
    /// - Parameters:
    ///   - directory: made when missing, with those above it; may lie as deep as the file system lets it.
    ///   - settings: server settings for this start, beside those in `postgresql.conf`. Ignored when a running server is adopted.
    ///   - log: what was made, started, adopted, cleared away.
    public static func start(
        directory: String,
        settings: [String: String] = [:],
        log: Logger
    ) async throws(PostgresError) -> EmbeddedCluster {
        let keeper = ClusterKeeper(logger: log)
        let (connectionString, isAdopted, pid) = try await keeper.start(
            directory: directory,
            settings: settings,
            roots: ClusterLayout.Roots()
        )
        return EmbeddedCluster(connectionString: connectionString, isAdopted: isAdopted, serverProcessID: pid, keeper: keeper)
    }

    /// Stops the server and waits for its end, unless another program uses it as well: then it runs on (false). Close connections first.
    @discardableResult
    public func stop(_ mode: StopMode = .fast) async throws(PostgresError) -> Bool {
        try await keeper.stop(mode)
    }

    /// The conninfo string of the cluster that runs in `directory`, nil when none does. Reads a few small files and starts nothing.
    public static func locate(directory: String) throws(PostgresError) -> String? {
        guard let layout = try ClusterLayout.existing(directory: directory),
            let file = PostmasterFile.live(data: layout.data),
            file.status == "ready",
            let socketDirectory = file.socketDirectory
        else { return nil }
        return ClusterLayout.connectionString(socketDirectory: socketDirectory)
    }

    /// Ends the server in `directory`, removes the cluster with all its data, and the folder around it. For tests.
    package static func destroy(directory: String, andFolder folder: String) async throws(PostgresError) {
        let log = Logger(label: "postgres", factory: { _ in SwiftLogNoOpLogHandler() })
        try await ClusterKeeper(logger: log).destroy(directory: directory, folder: folder)
    }

    /// The same on the calling thread: for the end of a process, when no task runs any more.
    package static func destroyNow(directory: String, andFolder folder: String) throws(PostgresError) {
        let log = Logger(label: "postgres", factory: { _ in SwiftLogNoOpLogHandler() })
        try ClusterKeeper.destroy(directory: directory, folder: folder, log: log)
    }
}
