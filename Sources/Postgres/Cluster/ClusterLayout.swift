import Glibc

/// Where an embedded cluster keeps its things.
///
/// Postgres refuses to run as root. An ordinary user's cluster lies in the given directory itself and runs as that user. Root's cluster runs
/// as `postgres`, who can in general not enter that directory (a clone under a home of mode 0700), so it lies in
/// `/var/lib/wattle/<id>/` and the directory holds the id:
///
///     DIR/cluster                 root only: the id
///     DIR/cluster.made            root only: the data had been made, so an absence of them is a loss
///     HOME/data/                  the data directory; it appears by a rename once it is complete
///     HOME/data.making/           the same while it is being made; left over only when that was interrupted
///     HOME/lock, HOME/users       held while starting and stopping; shared by all who use the cluster
///     HOME/start.log              the server's first words at the last start
///     HOME/socket-directory       ordinary users: where the socket is
///
/// where HOME is DIR or `/var/lib/wattle/<id>`.
struct ClusterLayout: Hashable, Sendable {
    /// Folders for root's clusters.
    struct Roots: Hashable, Sendable {
        var state = "/var/lib/wattle"
        var runtime = "/run/wattle"
    }

    static let role = "wattle"
    static let database = "wattle"
    static let port = 5432
    /// `sun_path` has 108 bytes, the last is NUL.
    private static let longestSocketPath = 107

    /// The directory that the user named, without links.
    var directory: String
    var home: String
    /// Whom the server runs as.
    var account: ServerAccount
    /// nil unless root runs the server as someone else.
    var switchTo: ServerAccount?
    /// Root's: under `/run/wattle`. Ordinary users': found by `socketDirectory()`.
    private var fixedSocketDirectory: String?

    var data: String { home + "/data" }
    var making: String { home + "/data.making" }
    var lockPath: String { home + "/lock" }
    var usersPath: String { home + "/users" }
    var startLog: String { home + "/start.log" }
    private var socketRecord: String { home + "/socket-directory" }
    var pointer: String { Self.pointer(in: directory) }
    /// Beside the pointer, once the data had been made.
    var madeMarker: String { directory + "/cluster.made" }

    private static func pointer(in directory: String) -> String { directory + "/cluster" }

    /// Finds the layout of a cluster that was made before; nil when there is none.
    static func existing(directory: String, roots: Roots = Roots()) throws(PostgresError) -> ClusterLayout? {
        guard ClusterFiles.isDirectory(directory) else { return nil }
        let directory = try ClusterFiles.realPath(directory)
        let user = ServerAccount.current()
        if user.userID != 0 {
            guard access(pointer(in: directory), F_OK) != 0 else {
                throw PostgresError(.cluster, "the cluster in \(directory) belongs to root", hint: "Run this as root.")
            }
            return ClusterFiles.exists(directory + "/data") ? ClusterLayout(directory, home: directory, user, switchTo: nil, nil) : nil
        }
        if ClusterFiles.exists(directory + "/data/PG_VERSION") {
            var facts = stat()
            stat(directory + "/data", &facts)
            throw PostgresError(
                .cluster,
                "the cluster in \(directory) belongs to the user with number \(facts.st_uid), not to root",
                hint: "Run this as that user."
            )
        }
        guard let text = ClusterFiles.text(at: pointer(in: directory)) else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("id=") }
        // Only 16 hexadecimal digits, so that this file cannot lead root anywhere else.
        guard let id = line?.dropFirst(3), id.utf8.count == 16, id.allSatisfy({ "0123456789abcdef".contains($0) }) else {
            throw PostgresError(
                .cluster,
                "\(pointer(in: directory)) does not name a cluster; expected a line id= and 16 hexadecimal digits",
                hint: "Restore it; the folders in \(roots.state) are the possible ids."
            )
        }
        return ClusterLayout(
            directory,
            home: "\(roots.state)/\(id)",
            try serverUser(),
            switchTo: try serverUser(),
            "\(roots.runtime)/\(id)"
        )
    }

    /// The layout for `directory`, made when there is none.
    static func prepare(directory: String, roots: Roots = Roots()) throws(PostgresError) -> ClusterLayout {
        try ClusterFiles.makeDirectory(directory, mode: 0o700)
        if let layout = try existing(directory: directory, roots: roots) {
            guard layout.switchTo == nil || ClusterFiles.exists(layout.data) || !ClusterFiles.exists(layout.madeMarker) else {
                throw PostgresError(
                    .cluster,
                    "the data of the cluster in \(directory) are gone: expected them in \(layout.data)",
                    hint:
                        "Bring them back (is a volume not mounted?), or remove \(layout.pointer) and \(layout.madeMarker) to start with an empty one."
                )
            }
            // Root's home belongs to root, so that the server's user cannot put links in the way of what root writes there.
            if layout.switchTo != nil { try ClusterFiles.makeDirectory(layout.home, mode: 0o755) }
            return layout
        }
        let directory = try ClusterFiles.realPath(directory)
        let user = ServerAccount.current()
        if user.userID != 0 { return ClusterLayout(directory, home: directory, user, switchTo: nil, nil) }
        // Two who start at once must agree on the id: the first one's rename wins, the other reads it.
        let id = hexadecimal(UInt64.random(in: .min ... .max))
        let draft = directory + "/cluster.\(getpid()).\(id)"
        try ClusterFiles.write(
            "# This Postgres cluster lies in \(roots.state)/<id>, because its server cannot run as root.\nid=\(id)\n",
            to: draft
        )
        defer { unlink(draft) }
        guard link(draft, pointer(in: directory)) == 0 || errno == EEXIST else {
            throw ClusterFiles.failure("make", pointer(in: directory))
        }
        ClusterFiles.syncDirectory(of: draft)
        return try prepare(directory: directory, roots: roots)
    }

    private init(_ directory: String, home: String, _ account: ServerAccount, switchTo: ServerAccount?, _ socketDirectory: String?) {
        self.directory = directory
        self.home = home
        self.account = account
        self.switchTo = switchTo
        fixedSocketDirectory = socketDirectory
    }

    private static func serverUser() throws(PostgresError) -> ServerAccount {
        guard let account = ServerAccount.named("postgres") else {
            throw PostgresError(
                .cluster,
                "Postgres cannot run as root, and there is no user postgres to run it as",
                hint:
                    "Install the server's package, which makes that user (Debian: apt install postgresql), or run this as an ordinary user."
            )
        }
        return account
    }

    /// A directory for the socket, made when needed: private, of the server's user, and with a short path.
    func makeSocketDirectory() throws(PostgresError) -> String {
        if let fixed = fixedSocketDirectory {
            if let slash = fixed.lastIndex(of: "/") { try ClusterFiles.makeDirectory(String(fixed[..<slash]), mode: 0o755) }
            if !ClusterFiles.isPrivateDirectory(fixed, of: account) {
                try ClusterFiles.makeDirectory(fixed, mode: 0o700)
                try ClusterFiles.chown(fixed, to: account)
                chmod(fixed, 0o700)
            }
            return fixed
        }
        if let made = madeSocketDirectory() { return made }
        var parent = "/tmp"
        if let runtime = getenv("XDG_RUNTIME_DIR").map({ String(cString: $0) }), runtime.hasPrefix("/"),
            Self.fits(runtime + "/wattle-XXXXXX"), ClusterFiles.isPrivateDirectory(runtime, of: account)
        {
            parent = runtime
        }
        guard let pattern = strdup(parent + "/wattle-XXXXXX") else { throw PostgresError(.cluster, "out of memory") }
        defer { free(pattern) }
        guard mkdtemp(pattern) != nil else { throw ClusterFiles.failure("make a socket directory in", parent) }
        let made = String(cString: pattern)
        try ClusterFiles.write(made + "\n", to: socketRecord, mode: 0o600)
        return made
    }

    /// The directory that `makeSocketDirectory` made earlier, nil when it is gone or does not look like it.
    func madeSocketDirectory() -> String? {
        guard let path = fixedSocketDirectory ?? ClusterFiles.text(at: socketRecord)?.trimmingTrailingNewlines,
            Self.fits(path),
            ClusterFiles.isPrivateDirectory(path, of: account)
        else { return nil }
        return path
    }

    /// Whether a socket in this directory has a path that the kernel takes, and one that needs no quoting in the server's settings.
    private static func fits(_ directory: String) -> Bool {
        directory.utf8.count + "/.s.PGSQL.\(port)".utf8.count <= longestSocketPath
            && directory.allSatisfy { !"\"',\\\n".contains($0) }
    }

    /// The conninfo string of a database of this cluster.
    static func connectionString(socketDirectory: String, database: String = Self.database) -> String {
        // In conninfo values, quotes and backslashes are escaped by a backslash.
        let host = socketDirectory.reduce(into: "") { text, character in
            if character == "'" || character == "\\" { text.append("\\") }
            text.append(character)
        }
        return "host='\(host)' port=\(port) user=\(role) dbname=\(database)"
    }
}

private func hexadecimal(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
}
