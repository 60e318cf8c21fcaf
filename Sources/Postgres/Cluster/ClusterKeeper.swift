import Glibc
import Logging

/// Makes, starts, adopts and stops the server of one directory. All of it blocks, so it is an actor on a queue of its own.
actor ClusterKeeper {
    /// The server: ours to wait for, or one that was there.
    private enum Postmaster {
        case child(ChildProcess)
        case adopted(pid_t)

        var pid: pid_t {
            switch self {
            case .child(let child): child.pid
            case .adopted(let pid): pid
            }
        }

        func send(_ signal: Int32) {
            switch self {
            case .child(let child): child.send(signal)
            case .adopted(let pid): kill(pid, signal)
            }
        }

        func isGone(from data: String) -> Bool {
            switch self {
            case .child(let child): child.end != nil
            // The number may be another process's by now, the directory tells.
            case .adopted(let pid): !(ProcessTable.isRunning(pid) && ProcessTable.workingDirectory(of: pid) ?? data == data)
            }
        }
    }

    /// Another program may be making or recovering the same cluster.
    private static let lockPatience = Duration.seconds(300)
    /// Starting is tried again for this long, for instance while the last server's processes still go down.
    private static let startPatience = Duration.seconds(10)
    /// A server that lives may replay its log for this long.
    private static let recoveryPatience = Duration.seconds(1800)
    private static let fastStopPatience = Duration.seconds(60)

    private let executor = QueueExecutor(label: "postgres-cluster")
    private let logger: Logger
    private var layout: ClusterLayout?
    private var postmaster: Postmaster?
    private var users: FileLock?
    private var socketDirectory = ""

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(logger: Logger) {
        self.logger = logger
    }

    // MARK: Start

    /// Brings the cluster of `directory` up, whatever state it is in.
    func start(
        directory: String,
        settings: [String: String],
        roots: ClusterLayout.Roots
    ) throws(PostgresError) -> (connectionString: String, isAdopted: Bool, pid: pid_t) {
        let layout = try ClusterLayout.prepare(directory: directory, roots: roots)
        self.layout = layout
        let lock = try Self.locked(layout)
        defer { lock.release() }
        let version = ClusterFiles.text(at: layout.data + "/PG_VERSION")?.trimmingTrailingNewlines
        var binaries: ServerBinaries?
        if version == nil {
            let found = try ServerBinaries.find(majorVersion: nil)
            try make(layout, found)
            binaries = found
        }

        let postmaster = try bringUp(layout, binaries, version, settings)
        self.postmaster = postmaster
        do throws(PostgresError) {
            let users = try FileLock(path: layout.usersPath)
            // Only `stop` takes it alone, and only while it holds the lock that we hold.
            guard users.tryShared() else { throw PostgresError(.cluster, "cannot lock \(layout.usersPath)") }
            self.users = users
        } catch {
            if case .child = postmaster { Self.end(postmaster, layout, .fast) }
            throw error
        }
        let isAdopted = if case .adopted = postmaster { true } else { false }
        return (ClusterLayout.connectionString(socketDirectory: socketDirectory), isAdopted, postmaster.pid)
    }

    /// Adopts the server that runs, or launches one, and makes sure of its database.
    private func bringUp(
        _ layout: ClusterLayout,
        _ binaries: ServerBinaries?,
        _ version: String?,
        _ settings: [String: String]
    ) throws(PostgresError) -> Postmaster {
        let recovered = ContinuousClock.now + Self.recoveryPatience
        while true {
            let postmaster: Postmaster
            if let pid = try adopt(layout) {
                postmaster = .adopted(pid)
            } else {
                let found: ServerBinaries
                if let binaries { found = binaries } else { found = try ServerBinaries.find(majorVersion: version) }
                socketDirectory = try layout.makeSocketDirectory()
                postmaster = .child(try launch(layout, found, settings))
            }
            do throws(PostgresError) {
                try makeDatabase(layout)
            } catch {
                guard case .adopted = postmaster else {
                    Self.end(postmaster, layout, .fast)
                    throw error
                }
                // One of its backends was killed: it recovers, and takes connections again when it has.
                if error.sqlState == "57P03", ContinuousClock.now < recovered {
                    try Self.pause()
                    continue
                }
                // A server that was just killed, or told to stop, looks alive for a moment. Once it is gone it is no longer in the way.
                let deadline = ContinuousClock.now + Self.startPatience
                while !postmaster.isGone(from: layout.data) {
                    guard error.isConnectionLost, ContinuousClock.now < deadline else { throw error }
                    try Self.pause()
                }
                continue
            }
            let metadata: Logger.Metadata = ["pid": "\(postmaster.pid)", "data": "\(layout.data)"]
            if case .adopted = postmaster {
                logger.info("Adopted the running Postgres server", metadata: metadata)
            } else {
                logger.info("Started a Postgres server", metadata: metadata)
            }
            return postmaster
        }
    }

    private static func locked(_ layout: ClusterLayout) throws(PostgresError) -> FileLock {
        let lock = try FileLock(path: layout.lockPath)
        let deadline = ContinuousClock.now + lockPatience
        while !lock.tryExclusive() {
            guard ContinuousClock.now < deadline else {
                throw PostgresError(
                    .cluster,
                    "another program has been starting or stopping the cluster in \(layout.directory) for \(lockPatience)",
                    hint: "See who holds \(layout.lockPath) (fuser, lsof)."
                )
            }
            try Self.pause()
        }
        return lock
    }

    private static func pause() throws(PostgresError) {
        if Task.isCancelled { throw PostgresError(.cancelled, "the task was cancelled while the cluster started", sqlState: "57014") }
        usleep(20_000)
    }

    /// A server that runs in the data directory already. One that is about to stop is waited for, one that is about to start too.
    private func adopt(_ layout: ClusterLayout) throws(PostgresError) -> pid_t? {
        let deadline = ContinuousClock.now + Self.recoveryPatience
        while let file = PostmasterFile.live(data: layout.data) {
            if file.status == "ready", let directory = file.socketDirectory {
                socketDirectory = directory
                return file.pid
            }
            guard ContinuousClock.now < deadline else {
                throw PostgresError(
                    .cluster,
                    "the server in \(layout.data) (process \(file.pid)) is \"\(file.status)\" for \(Self.recoveryPatience)",
                    hint: lastWords(layout)
                )
            }
            try Self.pause()
        }
        return nil
    }

    // MARK: Making

    /// Makes the data directory beside its place and moves it there when it is complete, so that an interrupted initdb leaves nothing that
    /// could be taken for a cluster.
    private func make(_ layout: ClusterLayout, _ binaries: ServerBinaries) throws(PostgresError) {
        if ClusterFiles.exists(layout.data) && !ClusterFiles.names(in: layout.data).isEmpty {
            throw PostgresError(
                .cluster,
                "\(layout.data) is there but is no Postgres data directory (it has no PG_VERSION)",
                hint: "Move it away, or give another directory."
            )
        }
        // Those of an interrupted initdb may still be at work.
        for pid in ProcessTable.processes(withArgument: layout.making) + ProcessTable.processes(workingIn: layout.making) {
            kill(pid, SIGKILL)
        }
        try ClusterFiles.removeTree(layout.making)
        guard mkdir(layout.making, 0o700) == 0 else { throw ClusterFiles.failure("make", layout.making) }
        try ClusterFiles.chown(layout.making, to: layout.account)
        let (end, output) = try ChildProcess.run(
            binaries.initdb,
            [
                "-D", layout.making, "-U", ClusterLayout.role, "--encoding=UTF8", "--locale=C", "--auth-local=peer", "--auth-host=reject",
                "--data-checksums", "--no-instructions",
            ],
            as: layout.switchTo
        )
        guard end == .exit(0) else {
            throw PostgresError(.cluster, "initdb failed (\(end)): \(output.suffix(2000).description.trimmingTrailingNewlines)")
        }
        let lz4 = try ChildProcess.run(
            binaries.postgres,
            ["-D", layout.making, "-c", "default_toast_compression=lz4", "-C", "default_toast_compression"],
            as: layout.switchTo
        )
        let owner = layout.account
        try ClusterFiles.append(ClusterSettings.configuration(hasLZ4: lz4.end == .exit(0)), to: layout.making + "/postgresql.conf")
        try ClusterFiles.write(ClusterSettings.hostAccess, to: layout.making + "/pg_hba.conf", mode: 0o600, owner: owner)
        try ClusterFiles.write(ClusterSettings.identities(owner: owner), to: layout.making + "/pg_ident.conf", mode: 0o600, owner: owner)
        guard rename(layout.making, layout.data) == 0 else { throw ClusterFiles.failure("rename", layout.making) }
        ClusterFiles.syncDirectory(of: layout.data)
        // From now on data that are not there are lost, not yet to be made.
        if layout.switchTo != nil { try ClusterFiles.write("", to: layout.madeMarker) }
        logger.info("Made a new Postgres cluster", metadata: ["data": "\(layout.data)", "version": "\(binaries.majorVersion)"])
    }

    // MARK: Launching

    private func launch(
        _ layout: ClusterLayout,
        _ binaries: ServerBinaries,
        _ settings: [String: String]
    ) throws(PostgresError) -> ChildProcess {
        let deadline = ContinuousClock.now + Self.startPatience
        var arguments = ["-D", layout.data]
        let own = ["unix_socket_directories": "\"\(socketDirectory)\"", "port": String(ClusterLayout.port), "listen_addresses": ""]
        for (name, value) in settings.merging(own, uniquingKeysWith: { $1 }).sorted(by: { $0.key < $1.key }) {
            arguments += ["-c", "\(name)=\(value)"]
        }
        while true {
            try Self.clearRemains(layout, logger)
            clearSocketLock()
            let child = try ChildProcess.start(
                binaries.postgres,
                arguments,
                as: layout.switchTo,
                output: .file(layout.startLog),
                ownSession: true
            )
            guard let end = try awaitReady(child, layout) else { return child }
            guard ContinuousClock.now < deadline, Self.mayPass(words: lastWords(layout)) else {
                throw PostgresError(
                    .cluster,
                    "the Postgres server in \(layout.data) does not start (\(end))",
                    hint: lastWords(layout)
                )
            }
            logger.warning("The Postgres server did not start, trying again", metadata: ["end": "\(end)"])
            usleep(200_000)
        }
    }

    /// Whether the server failed for a reason that passes: processes of the last one that hold its lock file, memory or socket. The words
    /// are English, because the cluster's locale is C.
    private static func mayPass(words: String) -> Bool {
        ["lock file", "still in use", "already in use"].contains { words.contains($0) }
    }

    /// Waits until the server takes connections (nil) or ends.
    private func awaitReady(_ child: ChildProcess, _ layout: ClusterLayout) throws(PostgresError) -> ChildProcess.End? {
        let deadline = ContinuousClock.now + Self.recoveryPatience
        var nextReport = ContinuousClock.now + .seconds(10)
        while true {
            if let end = child.end { return end }
            if let file = PostmasterFile.read(data: layout.data), file.pid == child.pid, file.status == "ready" { return nil }
            let now = ContinuousClock.now
            if now >= nextReport {
                logger.notice("Still waiting for the Postgres server, it may be recovering", metadata: ["pid": "\(child.pid)"])
                nextReport = now + .seconds(10)
            }
            do throws(PostgresError) {
                guard now < deadline else {
                    throw PostgresError(
                        .cluster,
                        "the Postgres server in \(layout.data) is not ready after \(Self.recoveryPatience)",
                        hint: lastWords(layout)
                    )
                }
                try Self.pause()
            } catch {
                Self.end(.child(child), layout, .fast)
                throw error
            }
        }
    }

    /// Ends what an earlier server left behind: its processes, and its `postmaster.pid` when that names no server of this directory.
    private static func clearRemains(_ layout: ClusterLayout, _ logger: Logger) throws(PostgresError) {
        // The caller knows that no live postmaster is named in postmaster.pid. So these are backends whose postmaster was killed, or a
        // postmaster whose file someone removed; until they end, the server's shared memory is in use and no new one starts.
        let remains = ProcessTable.processes(workingIn: layout.data)
        if !remains.isEmpty {
            logger.notice("Ending processes of an earlier Postgres server", metadata: ["count": "\(remains.count)"])
            for pid in remains {
                let isHelper = ProcessTable.arguments(of: pid).first?.hasPrefix("postgres: ") ?? false
                kill(pid, isHelper ? SIGQUIT : SIGINT)
            }
            let deadline = ContinuousClock.now + .seconds(5)
            while remains.contains(where: { ProcessTable.workingDirectory(of: $0) == layout.data && ProcessTable.isRunning($0) }) {
                if ContinuousClock.now > deadline {
                    // Without a postmaster nothing is lost by this: the next start recovers from the log.
                    for pid in remains where ProcessTable.workingDirectory(of: pid) == layout.data { kill(pid, SIGKILL) }
                }
                try Self.pause()
            }
        }
        let file = layout.data + "/postmaster.pid"
        if ClusterFiles.exists(file), PostmasterFile.live(data: layout.data) == nil {
            unlink(file)
            logger.notice("Removed the postmaster.pid of a server that is gone")
        }
    }

    /// The socket's own lock file names the server too. Postgres takes a zombie for a live one and would not start.
    private func clearSocketLock() {
        let lock = "\(socketDirectory)/.s.PGSQL.\(ClusterLayout.port).lock"
        guard let file = ClusterFiles.text(at: lock).flatMap(PostmasterFile.init), !ProcessTable.isRunning(file.pid) else { return }
        unlink(lock)
        unlink("\(socketDirectory)/.s.PGSQL.\(ClusterLayout.port)")
        logger.notice("Removed the socket of a server that is gone")
    }

    /// What the server said last, for an error's hint.
    private func lastWords(_ layout: ClusterLayout) -> String {
        var words = ClusterFiles.tail(of: layout.startLog, bytes: 2000)
        let logs = layout.data + "/log"
        let newest = ClusterFiles.names(in: logs).map { "\(logs)/\($0)" }.max { modified($0) < modified($1) }
        if let newest { words += ClusterFiles.tail(of: newest, bytes: 2000) }
        return "The server's last words: \(words.trimmingTrailingNewlines)"
    }

    private func modified(_ path: String) -> Int {
        var facts = stat()
        return stat(path, &facts) == 0 ? facts.st_mtim.tv_sec : 0
    }

    private func makeDatabase(_ layout: ClusterLayout) throws(PostgresError) {
        let signal = try CancelSignal()
        let session = try ServerSession.connect(
            to: ClusterLayout.connectionString(socketDirectory: socketDirectory, database: "postgres"),
            applicationName: "cluster keeper",
            timeout: .seconds(30),
            signal: signal,
            token: signal.issue(),
            logger: logger
        )
        let isThere = Statement("database_is_there", "SELECT 1 FROM pg_database WHERE datname = $1")
        if try session.run(isThere, [.text(ClusterLayout.database)], token: nil).result.rowCount == 0 {
            try session.runSimple("CREATE DATABASE \(ClusterLayout.database)", name: "create_database", token: nil)
        }
    }

    // MARK: Stop

    /// Stops the server, unless another program uses the cluster too: then the last one stops it. False when it was left running.
    func stop(_ mode: EmbeddedCluster.StopMode) throws(PostgresError) -> Bool {
        guard let layout, let postmaster, let users else { return true }
        let lock = try Self.locked(layout)
        defer { lock.release() }
        guard users.tryExclusive() else {
            users.release()
            self.users = nil
            logger.info("Left the Postgres server running, another program uses it", metadata: ["pid": "\(postmaster.pid)"])
            return false
        }
        defer {
            users.release()
            self.users = nil
        }
        guard Self.end(postmaster, layout, mode) else {
            throw PostgresError(
                .cluster,
                "the Postgres server (process \(postmaster.pid)) does not stop",
                hint: lastWords(layout)
            )
        }
        rmdir(socketDirectory)
        self.postmaster = nil
        logger.info("Stopped the Postgres server", metadata: ["pid": "\(postmaster.pid)"])
        return true
    }

    /// Ends a server, more rudely when it does not go. Runs to its end even when the task is cancelled.
    @discardableResult
    private static func end(_ postmaster: Postmaster, _ layout: ClusterLayout, _ mode: EmbeddedCluster.StopMode) -> Bool {
        var steps: [(signal: Int32, patience: Duration)] = [(SIGQUIT, .seconds(10)), (SIGKILL, .seconds(10))]
        if mode == .fast { steps.insert((SIGINT, fastStopPatience), at: 0) }
        for step in steps {
            if postmaster.isGone(from: layout.data) { return true }
            postmaster.send(step.signal)
            let deadline = ContinuousClock.now + step.patience
            while ContinuousClock.now < deadline {
                if postmaster.isGone(from: layout.data) { return true }
                usleep(10_000)
            }
        }
        return postmaster.isGone(from: layout.data)
    }

    // MARK: Removal

    /// Stops whatever runs in the directory and removes all of it, data included, and `folder`.
    func destroy(directory: String, folder: String) throws(PostgresError) {
        try Self.destroy(directory: directory, folder: folder, log: logger)
    }

    /// The same on the calling thread.
    static func destroy(directory: String, folder: String, log: Logger) throws(PostgresError) {
        if let layout = try ClusterLayout.existing(directory: directory), ClusterFiles.isDirectory(layout.home) {
            let lock = try locked(layout)
            defer { lock.release() }
            if let file = PostmasterFile.live(data: layout.data) { end(.adopted(file.pid), layout, .immediate) }
            try clearRemains(layout, log)
            // A server that was killed leaves its socket there.
            if let sockets = layout.madeSocketDirectory() { try ClusterFiles.removeTree(sockets) }
            if layout.home != layout.directory { try ClusterFiles.removeTree(layout.home) }
        }
        try ClusterFiles.removeTree(folder)
    }
}
