import Glibc

/// Where Postgres' server programs are.
struct ServerBinaries: Hashable, Sendable {
    var directory: String
    /// `15`
    var majorVersion: String

    var initdb: String { directory + "/initdb" }
    var postgres: String { directory + "/postgres" }

    /// Looks in `$WATTLE_PG_BINDIR`, where `pg_config --bindir` says, and in Debian's `/usr/lib/postgresql/*/bin`, newest first.
    ///
    /// - Parameter majorVersion: the version that an existing cluster was made with; only the same can run it. nil: any.
    static func find(majorVersion: String?) throws(PostgresError) -> ServerBinaries {
        if let named = getenv("WATTLE_PG_BINDIR").map({ String(cString: $0) }), !named.isEmpty {
            guard let found = try at(named) else {
                throw PostgresError(
                    .cluster,
                    "WATTLE_PG_BINDIR is \(named), but that folder has no programs initdb and postgres",
                    hint: "Correct or unset it."
                )
            }
            guard majorVersion == nil || majorVersion == found.majorVersion else {
                throw wrongVersion(majorVersion ?? "", [found])
            }
            return found
        }
        var seen: [ServerBinaries] = []
        for directory in try candidates() {
            guard let found = try at(directory) else { continue }
            if majorVersion == nil || majorVersion == found.majorVersion { return found }
            seen.append(found)
        }
        if let majorVersion, !seen.isEmpty { throw wrongVersion(majorVersion, seen) }
        throw PostgresError(
            .cluster,
            "no PostgreSQL server on this machine: neither pg_config --bindir nor /usr/lib/postgresql/*/bin has initdb and postgres",
            hint: "Install it (Debian: apt install postgresql), or name its folder in WATTLE_PG_BINDIR."
        )
    }

    private static func wrongVersion(_ wanted: String, _ seen: [ServerBinaries]) -> PostgresError {
        PostgresError(
            .cluster,
            "the data was made by PostgreSQL \(wanted), found: \(seen.map { "\($0.majorVersion) in \($0.directory)" }.joined(separator: ", "))",
            hint: "Install postgresql-\(wanted), or move the data to the new version with pg_upgrade."
        )
    }

    private static func candidates() throws(PostgresError) -> [String] {
        var directories: [String] = []
        let (end, output) = try ChildProcess.run("pg_config", ["--bindir"], as: nil)
        if end == .exit(0) { directories.append(output.trimmingTrailingNewlines) }
        let versions = ClusterFiles.names(in: "/usr/lib/postgresql")
        for version in versions.sorted(by: { (Double($0) ?? 0) > (Double($1) ?? 0) }) {
            let directory = "/usr/lib/postgresql/\(version)/bin"
            if !directories.contains(directory) { directories.append(directory) }
        }
        return directories
    }

    private static func at(_ directory: String) throws(PostgresError) -> ServerBinaries? {
        let binaries = ServerBinaries(directory: directory, majorVersion: "")
        guard access(binaries.initdb, X_OK) == 0, access(binaries.postgres, X_OK) == 0 else { return nil }
        // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
        let (end, output) = try ChildProcess.run(binaries.postgres, ["--version"], as: nil)
        guard end == .exit(0), let version = output.split(separator: " ").first(where: { $0.first?.isNumber ?? false }) else { return nil }
        return ServerBinaries(directory: directory, majorVersion: String(version.prefix { $0.isNumber }))
    }
}
