import ArgumentParser
import Collector
import Documents
import Energy
import Glibc
import Postgres
import Store

/// How a table is printed.
enum TableFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

/// Hosts, their names, records and runners.
struct HostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host",
        abstract: "Say what machines there are, what they are called, and which runners are on them.",
        subcommands: [Import.self, List.self, Alias.self, Rename.self, Merge.self, Retire.self, Runner.self]
    )

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring hosts and host classes from files into the database; a second time changes nothing.",
            discussion: """
                Reads hosts.yaml (docs/hosts.md, config/hosts.example.yaml), CSV with the same names in its header, and pages that begin
                with YAML between lines of --- (.md), as infra.ocaml.org keeps them. What changes is printed.

                EXAMPLES
                  wattle-collector host import --embedded DIR hosts.yaml --dry-run
                  wattle-collector host import --embedded DIR hosts.yaml
                  wattle-collector host import --embedded DIR machines/*.md
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Argument(help: ArgumentHelp("What to read.", valueName: "file"))
        var files: [String]

        @Flag(help: "Print what would change, and change nothing.")
        var dryRun = false

        @Option(help: "table or json.")
        var format = TableFormat.table

        func run() async throws {
            var all = HostFile()
            for path in files {
                do {
                    all.add(try HostFile(text: try TextFile.read(path), name: path))
                } catch let fault as HostFile.Fault {
                    throw Failure(code: 2, message: fault.description)
                }
            }
            let file = all
            let isDryRun = dryRun
            let (changes, warnings) = try await Database.withConnection(database) { connection, _ in
                do {
                    let changes = try await HostImport.apply(file, dryRun: isDryRun, now: wallClock(), connection)
                    return (changes, try await HostImport.warnings(file, connection))
                } catch let fault as HostFile.Fault {
                    throw Failure(code: 2, message: "\(fault.description); nothing was changed")
                }
            }
            for warning in warnings { printError("warning: \(warning)") }
            switch format {
            case .json:
                let document: JSONValue = .object([
                    "dry_run": .bool(dryRun), "changes": .array(changes.map(\.json)), "warnings": .array(warnings.map { .string($0) }),
                ])
                print(try document.text)
            case .table:
                if changes.isEmpty {
                    print("nothing to change: \(file.hosts.count) hosts and \(file.classes.count) classes are as the files say")
                    return
                }
                print("SUBJECT\tFIELD\tBEFORE\tAFTER")
                for change in changes {
                    print("\(change.subject)\t\(change.field)\t\(change.before.isEmpty ? "-" : change.before)\t\(change.after)")
                }
                print("\(changes.count) changes\(dryRun ? " (dry run: nothing was changed)" : "")")
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List hosts by pool, with their names, runners, zone and when they were last heard of.",
            discussion: """
                EXAMPLES
                  wattle-collector host list --embedded DIR
                  wattle-collector host list --embedded DIR --all --format json
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Flag(help: "Hosts out of service too.")
        var all = false

        @Option(help: "table or json.")
        var format = TableFormat.table

        func run() async throws {
            let showsAll = all
            let format = format
            try await Database.withConnection(database) { connection, _ in
                let hosts = try await HostTable.all(connection)
                let names = Dictionary(uniqueKeysWithValues: hosts.map { ($0.id, $0.name) })
                let aliases = try await HostAliasTable.all(connection)
                let records = try await HostRecordTable.latest(connection)
                let runners = Dictionary(grouping: try await RunnerMap.entries(connection).filter { $0.to == nil }, by: \.hostID)
                let shown = hosts.filter { showsAll || $0.retiredAtMicroseconds == nil }
                    .sorted { ($0.pool ?? "", $0.name) < ($1.pool ?? "", $1.name) }
                func zone(_ host: HostRow) -> String? { records[host.id]?.object?["grid_zone"]?.string ?? host.gridZone }
                func pue(_ host: HostRow) -> Double { records[host.id]?.object?["pue"]?.double ?? host.pue }
                func state(_ host: HostRow) -> String {
                    guard host.retiredAtMicroseconds != nil else { return "in service" }
                    if let into = host.mergedInto { return "merged into \(names[into] ?? "?")" }
                    return "retired (\(host.retiredBecause ?? "?"))"
                }
                if format == .json {
                    let list = shown.map { host -> JSONValue in
                        func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
                        return .object([
                            "name": .string(host.name), "pool": text(host.pool), "state": .string(state(host)),
                            "aliases": .array((aliases[host.id] ?? []).map { .string($0) }),
                            "runners": .array((runners[host.id] ?? []).map { .string(Self.runner($0)) }),
                            "grid_zone": text(zone(host)), "pue": .number(pue(host)),
                            "slots": records[host.id]?.object?["slots"] ?? host.slots.map { .number($0) } ?? .null,
                            "parent": text(host.parentID.flatMap { names[$0] }),
                            "is_ephemeral": .bool(host.isEphemeral), "record": records[host.id] ?? .null,
                            "seen_at": .string(RFC3339.format(Timestamp(microseconds: host.seenAtMicroseconds))),
                        ])
                    }
                    print(try JSONValue.object(["hosts": .array(list)]).text)
                    return
                }
                print("POOL\tHOST\tSTATE\tZONE\tPUE\tPARENT\tALIASES\tRUNNERS\tSEEN")
                for host in shown {
                    let columns = [
                        host.pool ?? "-", host.name, state(host), zone(host) ?? "-", "\(pue(host))",
                        host.parentID.flatMap { names[$0] } ?? "-", (aliases[host.id] ?? []).joined(separator: ","),
                        (runners[host.id] ?? []).map(Self.runner).joined(separator: ","),
                        RFC3339.format(Timestamp(microseconds: host.seenAtMicroseconds / 1_000_000 * 1_000_000)),
                    ]
                    print(columns.map { $0.isEmpty ? "-" : $0 }.joined(separator: "\t"))
                }
            }
        }

        private static func runner(_ entry: RunnerMap.Entry) -> String {
            entry.instance.isEmpty ? entry.runner : "\(entry.runner)@\(entry.instance)"
        }
    }

    struct Alias: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a host another name, or take one off.",
            discussion: """
                EXAMPLES
                  wattle-collector host alias --embedded DIR bremusa bremusa.ocamllabs.io
                  wattle-collector host alias --embedded DIR bremusa old-name --remove
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Argument(help: "The host, by name or alias.") var host: String
        @Argument(help: "Its other name.") var alias: String
        @Flag(help: "Take the name off.") var remove = false

        func run() async throws {
            let (host, alias, remove) = (host, alias, remove)
            print(
                try await edit(database) { edits, connection in
                    if remove {
                        try await edits.removeAlias(alias, from: host, connection)
                        return "\(alias) is no name of \(host) any more; jobs that were found by it stay"
                    }
                    return try await edits.addAlias(alias, to: host, connection)
                        ? "\(host) is also \(alias); jobs that wait for that name join it" : "\(host) has the name \(alias) already"
                }
            )
        }
    }

    struct Rename: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Call a host otherwise; the old name becomes an alias, so its agent and its jobs go on.",
            discussion: """
                EXAMPLES
                  wattle-collector host rename --embedded DIR ip-10-0-0-7 bremusa
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Argument(help: "The host, by name or alias.") var old: String
        @Argument(help: "Its new name.") var new: String

        func run() async throws {
            let (old, new) = (old, new)
            print(
                try await edit(database) { edits, connection in
                    try await edits.rename(old, to: new, connection)
                    return "\(old) is now \(new), and \(old) its alias"
                }
            )
        }
    }

    struct Merge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Two hosts are one machine: the first one's names and jobs are the second's.",
            discussion: """
                What the first metered stays its own, with the jobs of those hours. This cannot be undone.

                EXAMPLES
                  wattle-collector host merge --embedded DIR bremusa.ocamllabs.io bremusa
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Argument(help: "The host that goes, by name or alias.") var from: String
        @Argument(help: "The host that stays.") var into: String

        func run() async throws {
            let (from, into) = (from, into)
            print(
                try await edit(database) { edits, connection in
                    let moved = try await edits.merge(from, into: into, connection)
                    return "\(from) is \(into) from now on; \(moved) jobs moved"
                }
            )
        }
    }

    struct Retire: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a host out of service, or put it back; its past stays.",
            discussion: """
                EXAMPLES
                  wattle-collector host retire --embedded DIR bremusa
                  wattle-collector host retire --embedded DIR bremusa --undo
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Argument(help: "The host, by name or alias.") var host: String
        @Flag(help: "Put it back into service.") var undo = false

        func run() async throws {
            let (host, undo) = (host, undo)
            print(
                try await edit(database) { edits, connection in
                    try await edits.retire(host, undo: undo, connection)
                    return "\(host) is \(undo ? "in" : "out of") service"
                }
            )
        }
    }

    struct Runner: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say on which host a runner is or was.",
            discussion: """
                What is said here comes before what agents find. Without --from it has always been so, without --to it lasts.

                EXAMPLES
                  wattle-collector host runner --embedded DIR linux-fast-1 bremusa
                  wattle-collector host runner --embedded DIR linux-fast-1 bremusa --instance github.com --from 2026-01-01 --to 2026-03-01
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Argument(help: "The runner's name at its CI.") var runner: String
        @Argument(help: "The host, by name or alias.") var host: String
        @Option(help: ArgumentHelp("The CI, where two use one name: github.com.", valueName: "ci")) var instance: String?
        @Option(help: ArgumentHelp("The first day (UTC) or instant.", valueName: "time")) var from: String?
        @Option(help: ArgumentHelp("The day (UTC) or instant at which it ended.", valueName: "time")) var to: String?

        func run() async throws {
            func time(_ text: String?, _ name: String) throws -> Timestamp? {
                guard let text else { return nil }
                if let time = RFC3339.parse(text.utf8.count == 10 ? text + "T00:00:00Z" : text) { return time }
                throw ValidationError(
                    "--\(name): expected a day such as 2026-09-01 or an instant such as 2026-09-01T09:00:00Z, found \(text)"
                )
            }
            let (from, to) = (try time(from, "from"), try time(to, "to"))
            let (runner, host, instance) = (runner, host, instance ?? "")
            print(
                try await edit(database) { edits, connection in
                    let placed = try await edits.setRunner(runner, host: host, instance: instance, from: from, to: to, connection)
                    return placed.map { "\(runner) is on \(host); \($0) jobs were placed anew" } ?? "\(runner) on \(host) was known"
                }
            )
        }
    }
}

/// Runs an edit and tells a refusal as a failure.
private func edit(
    _ database: DatabaseOptions,
    _ body: (HostEdits, PostgresConnection) async throws -> String
) async throws -> String {
    try await Database.withConnection(database) { connection, _ in
        do {
            return try await body(HostEdits(now: wallClock), connection)
        } catch let refusal as HostEdits.Refusal {
            throw Failure(code: 1, message: refusal.description)
        }
    }
}

/// A file that somebody names on the command line.
enum TextFile {
    private static let limitBytes = 16 << 20

    static func read(_ path: String) throws -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Failure(code: 2, message: "\(path): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw Failure(code: 2, message: "\(path): \(String(cString: strerror(errno)))") }
            if count == 0 { break }
            bytes += buffer[..<count]
            guard bytes.count <= limitBytes else { throw Failure(code: 2, message: "\(path): expected at most \(limitBytes) bytes") }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure(code: 2, message: "\(path): expected UTF-8") }
        return text
    }
}
