import ArgumentParser
import CIEvents
import Collector
import Documents
import Energy
import Postgres
import Store
import UnixSignals

/// Where events come from.
struct SourceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "source",
        abstract: "Say whose webhooks and tokens count, and what they may say.",
        subcommands: [Add.self, List.self, Set.self, Rotate.self, Revoke.self]
    )

    private static let name = ArgumentHelp("What it is called; its jobs are filed under this name.", valueName: "name")

    /// How a source's API is asked, and what an issuer may sign for.
    struct Settings: ParsableArguments {
        @Option(help: ArgumentHelp("Where its API is, if not at github.com or gitlab.com.", valueName: "url"))
        var apiURL: String?

        @Option(help: ArgumentHelp("The organisation whose jobs are asked for (GitHub).", valueName: "name"))
        var organisation: String?

        @Option(help: ArgumentHelp("The group whose jobs are asked for (GitLab).", valueName: "path"))
        var group: String?

        @Option(help: ArgumentHelp("A file with the token for its API: what webhooks miss is asked for with it.", valueName: "file"))
        var apiTokenFile: String?

        @Option(help: ArgumentHelp("oidc: who signs, such as https://token.actions.githubusercontent.com.", valueName: "url"))
        var issuer: String?

        @Option(help: ArgumentHelp("oidc: whom the tokens are for (default: the collector's own address).", valueName: "text"))
        var audience: String?

        @Option(
            help: ArgumentHelp(
                "oidc: the id of an owner whose jobs count (repository_owner_id, namespace_id, organization_slug); again for more.",
                valueName: "id"
            )
        )
        var owner: [String] = []

        @Option(
            help: ArgumentHelp("oidc: file its jobs under this source's name, where its webhooks tell of the same.", valueName: "source")
        )
        var filesUnder: String?

        func validate() throws {
            for (name, url) in [("--api-url", apiURL), ("--issuer", issuer)] {
                if let url, !url.hasPrefix("https://"), !url.hasPrefix("http://") {
                    throw ValidationError("\(name): expected an https:// address, found \(url)")
                }
            }
        }

        func settings(over old: JSONValue) -> JSONValue {
            var fields = old.object ?? [:]
            for (name, value) in [
                ("api_url", apiURL), ("organisation", organisation), ("group", group), ("issuer", issuer), ("audience", audience),
                ("files_under", filesUnder),
            ] { if let value { fields[name] = .string(value) } }
            if !owner.isEmpty { fields["owners"] = .array(owner.map { .string($0) }) }
            return .object(fields)
        }

        func apiToken() throws -> String? { try apiTokenFile.map { try SourceCommand.secret(in: $0) } }
    }

    /// The one line of a file.
    private static func secret(in path: String) throws -> String {
        let text = try TextFile.read(path)
        let line = String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        guard (8...1_000).contains(line.utf8.count), !line.contains("\n"), !line.utf8.contains(0) else {
            throw Failure(code: 2, message: "\(path): expected one line of 8 to 1000 bytes, found another content")
        }
        return line
    }

    private static func require(_ name: String, _ connection: PostgresConnection) async throws -> SourceRow {
        guard let source = try await SourceTable.find(name: name, connection), source.revokedAt == nil else {
            throw Failure(code: 1, message: "there is no source named \(name); source list shows them")
        }
        return source
    }

    private static func baseURL(_ options: DatabaseOptions) throws -> String {
        let configuration = try options.configuration()
        let listen = configuration["listen"] ?? "127.0.0.1:8480"
        let url = configuration["base_url"] ?? "http://\(listen)"
        return url.hasSuffix("/") ? String(url.dropLast()) : url
    }

    private static func json(_ source: SourceRow) -> JSONValue {
        .object([
            "name": .string(source.name), "kind": .string(source.kind), "claims": source.claims.json, "settings": source.settings,
            "has_api_token": .bool(source.apiToken != nil),
        ])
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a webhook source: prints URL and secret and where to paste them, and waits for the first event.",
            discussion: """
                The secret is shown once. Kinds: \(CISystems.all.map { $0.kind }.joined(separator: ", ")), and oidc for tokens that a CI system
                signs for its jobs. The URL begins with base_url (WATTLE_BASE_URL), where the CI system reaches this collector.

                EXAMPLES
                  wattle-collector source add --embedded DIR github my-org --repository 'github.com/my-org/*' --organisation my-org
                  wattle-collector source add --embedded DIR gitlab our-gitlab --instance https://gitlab.example.org
                  wattle-collector source add --embedded DIR oidc my-org-jobs --issuer https://token.actions.githubusercontent.com --owner 90210001
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Argument(help: ArgumentHelp("The CI system, or oidc.", valueName: "kind")) var kind: String
        @Argument(help: SourceCommand.name) var name: String

        @OptionGroup(title: "What it may say") var writer: WriterOptions
        @OptionGroup(title: "How its API is asked, and what an issuer may sign for") var settings: Settings

        @Option(help: ArgumentHelp("A file with a secret of your own (default: a new one is drawn).", valueName: "file"))
        var secretFile: String?

        @Flag(help: "Do not wait for the first event.")
        var noWait = false

        func validate() throws {
            guard kind == "oidc" || CISystems.named(kind) != nil else {
                let known = CISystems.all.map { $0.kind }.joined(separator: ", ")
                throw ValidationError("kind: expected one of \(known) or oidc, found \(kind)")
            }
            guard !name.isEmpty, !name.contains("/"), name.utf8.count <= 100, !name.utf8.contains(0) else {
                throw ValidationError("name: expected 1 to 100 bytes without a slash, found \"\(name.prefix(60))\"")
            }
            if kind == "oidc" {
                guard settings.issuer != nil, !settings.owner.isEmpty else {
                    throw ValidationError(
                        "oidc: expected --issuer URL and at least one --owner ID: anyone can have tokens of a public issuer"
                    )
                }
                if secretFile != nil { throw ValidationError("--secret-file goes with webhooks: an issuer has keys of its own") }
            } else if settings.issuer != nil || settings.audience != nil || !settings.owner.isEmpty || settings.filesUnder != nil {
                throw ValidationError("--issuer, --audience, --owner and --files-under go with kind oidc only")
            }
        }

        func run() async throws {
            let base = try SourceCommand.baseURL(database)
            let ownSecret = try secretFile.map { try SourceCommand.secret(in: $0) }
            let apiToken = try settings.apiToken()
            try await Database.withConnection(database) { connection, _ in
                let system = CISystems.named(kind)
                let secret = ownSecret ?? system.map { $0.newSecret() }
                let source = try await connection.transaction { tx in
                    let forges = TokenTerms.forges(try await SourceTable.all(tx))
                    var claims = writer.claims(forges: forges)
                    // A hook of GitHub speaks of GitHub, unless an operator says otherwise.
                    if kind == "github", claims.instances == nil, settings.apiURL == nil { claims.instances = ["https://github.com"] }
                    var document = settings.settings(over: .object([:]))
                    if kind == "oidc", settings.audience == nil, var fields = document.object {
                        fields["audience"] = .string(base)
                        document = .object(fields)
                    }
                    let source: SourceRow
                    do {
                        source = try await SourceTable.insert(
                            name: name,
                            kind: kind,
                            claims: claims,
                            settings: document,
                            apiToken: apiToken,
                            tx
                        )
                    } catch let error as PostgresError where error.isUniqueViolation {
                        throw Failure(
                            code: 2,
                            message:
                                "there is a source named \(name) already; choose another name, or change it with source set (source list)"
                        )
                    }
                    if let secret { try await SourceTable.addSecret(secret, sourceID: source.id, tx) }
                    try await AuditLog.add(who: "operator", action: "source.add", subject: name, after: SourceCommand.json(source), tx)
                    return source
                }
                print("source \(name) (\(kind)) may say: \(source.claims.described)")
                guard let system, let secret else {
                    print("jobs post spans to \(base)/v1/spans with a token of \(settings.issuer ?? "-") for the audience")
                    print("  \(source.settings.object?["audience"]?.string ?? base)")
                    return
                }
                for line in system.instructions(url: "\(base)/v1/hooks/\(kind)/\(name.percentEncoded)", secret: secret) {
                    print(line)
                }
                if noWait { return }
                printError("\nwaiting for the first event (Ctrl-C stops waiting; nothing is lost by stopping)")
                try await FirstEvent(source: source).wait(connection)
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List sources: what came, what became of it, and how reconciliation stands.",
            discussion: """
                EXAMPLES
                  wattle-collector source list --embedded DIR
                  wattle-collector source list --embedded DIR --format json
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Option(help: "table or json.")
        var format = TableFormat.table

        func run() async throws {
            let now = wallClock()
            let weekAgo = now - .seconds(7 * 86_400)
            let sources = try await Database.withConnection(database) { connection, _ in
                var all: [(row: SourceRow, counts: [String: Int64])] = []
                for row in try await SourceTable.all(connection) {
                    all.append((row, try await EventTable.counts(sourceID: row.id, since: weekAgo, connection)))
                }
                return all
            }
            func time(_ time: Timestamp?) -> String? {
                time.map { RFC3339.format(Timestamp(microseconds: $0.microseconds / 1_000_000 * 1_000_000)) }
            }
            if format == .json {
                let list = sources.map { source, counts -> JSONValue in
                    var fields = SourceCommand.json(source).object ?? [:]
                    fields["state"] = .string(source.revokedAt == nil ? "live" : "revoked")
                    fields["events_last_7_days"] = .object(counts.mapValues { .integer($0) })
                    for (name, value) in [
                        ("created_at", source.createdAt), ("revoked_at", source.revokedAt), ("first_event_at", source.firstEventAt),
                        ("last_event_at", source.lastEventAt), ("reconciled_at", source.reconciledAt),
                    ] { fields[name] = time(value).map { .string($0) } ?? .null }
                    fields["reconcile_error"] = source.reconcileError.map { .string($0) } ?? .null
                    return .object(fields)
                }
                print(try JSONValue.object(["sources": .array(list)]).text)
                return
            }
            print("NAME\tKIND\tSTATE\tMAY SAY\tFIRST EVENT\tLAST EVENT\tEVENTS IN 7 DAYS\tRECONCILED")
            for (source, counts) in sources {
                let events = counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
                let reconciled = source.reconcileError.map { "failed: \($0)" } ?? time(source.reconciledAt) ?? "never"
                let columns = [
                    source.name, source.kind, source.revokedAt == nil ? "live" : "revoked", source.claims.described,
                    time(source.firstEventAt) ?? "none", time(source.lastEventAt) ?? "none", events.isEmpty ? "none" : events, reconciled,
                ]
                print(columns.joined(separator: "\t"))
            }
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change what a source may say, and how its API is asked; what is not given stays.",
            discussion: """
                EXAMPLES
                  wattle-collector source set --embedded DIR my-org --api-token-file token.txt --organisation my-org
                  wattle-collector source set --embedded DIR my-org --repository 'github.com/my-org/*' --visibility private
                """
        )

        @OptionGroup var database: DatabaseOptions
        @Argument(help: SourceCommand.name) var name: String
        @OptionGroup(title: "What it may say") var writer: WriterOptions
        @OptionGroup(title: "How its API is asked, and what an issuer may sign for") var settings: Settings

        @Flag(help: "Read again what could not be read, was refused or failed.")
        var retryEvents = false

        func run() async throws {
            let apiToken = try settings.apiToken()
            let reopened = try await Database.withConnection(database) { connection, _ in
                try await connection.transaction { tx in
                    let old = try await SourceCommand.require(name, tx)
                    let forges = TokenTerms.forges(try await SourceTable.all(tx))
                    try await SourceTable.update(
                        sourceID: old.id,
                        claims: writer.claims(over: old.claims, forges: forges),
                        settings: settings.settings(over: old.settings),
                        apiToken: apiToken ?? old.apiToken,
                        tx
                    )
                    let new = try await SourceCommand.require(name, tx)
                    try await AuditLog.add(
                        who: "operator",
                        action: "source.set",
                        subject: name,
                        before: SourceCommand.json(old),
                        after: SourceCommand.json(new),
                        tx
                    )
                    print("source \(name) may say: \(new.claims.described)")
                    return retryEvents ? try await EventTable.reopen(sourceID: old.id, tx) : nil
                }
            }
            if let reopened { print("\(reopened) events are read again") }
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a new secret and print it; the old one counts on for a while, so that no event is lost.",
            discussion: """
                EXAMPLES
                  wattle-collector source rotate --embedded DIR my-org
                  wattle-collector source rotate --embedded DIR my-org --overlap 0d     (the old one was stolen)
                """
        )

        @OptionGroup var database: DatabaseOptions
        @Argument(help: SourceCommand.name) var name: String

        @Option(help: ArgumentHelp("How long the old secret counts on.", valueName: "7d"))
        var overlap = "7d"

        @Option(help: ArgumentHelp("A file with a secret that the system has made, such as GitLab's signing token.", valueName: "file"))
        var secretFile: String?

        func validate() throws {
            guard TokenTerms.length(overlap) != nil else {
                throw ValidationError("--overlap: expected a time such as 7d, 12h or 0d, found \(overlap)")
            }
        }

        func run() async throws {
            let base = try SourceCommand.baseURL(database)
            let ownSecret = try secretFile.map { try SourceCommand.secret(in: $0) }
            let seconds = (TokenTerms.length(overlap)?.count ?? 0) / 1_000_000
            try await Database.withConnection(database) { connection, _ in
                let (source, secret) = try await connection.transaction { tx in
                    let source = try await SourceCommand.require(name, tx)
                    guard let system = CISystems.named(source.kind) else {
                        throw Failure(code: 2, message: "\(name) is of kind \(source.kind), which has no secret")
                    }
                    let secret = ownSecret ?? system.newSecret()
                    try await SourceTable.rotate(to: secret, sourceID: source.id, overlapSeconds: seconds, tx)
                    try await AuditLog.add(
                        who: "operator",
                        action: "source.rotate",
                        subject: name,
                        after: .object(["overlap_s": .integer(seconds)]),
                        tx
                    )
                    return (source, secret)
                }
                if ownSecret == nil, let system = CISystems.named(source.kind) {
                    let url = "\(base)/v1/hooks/\(source.kind)/\(name.percentEncoded)"
                    for line in system.instructions(url: url, secret: secret) { print(line) }
                }
                print(seconds == 0 ? "the old secret counts no more" : "the old secret counts on for \(overlap)")
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "End a source: its secrets are deleted, its jobs stay.",
            discussion: """
                EXAMPLE
                  wattle-collector source revoke --embedded DIR my-org
                """
        )

        @OptionGroup var database: DatabaseOptions
        @Argument(help: SourceCommand.name) var name: String

        func run() async throws {
            try await Database.withConnection(database) { connection, _ in
                try await connection.transaction { tx in
                    guard try await SourceTable.revoke(name: name, tx) else {
                        throw Failure(code: 1, message: "there is no source named \(name); source list shows them")
                    }
                    try await AuditLog.add(who: "operator", action: "source.revoke", subject: name, tx)
                }
                print("revoked \(name)")
            }
        }
    }
}
