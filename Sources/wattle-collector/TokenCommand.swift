import ArgumentParser
import Collector
import Documents
import Energy
import Postgres
import Store

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make, list and revoke tokens.",
        subcommands: [Create.self, List.self, Revoke.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a token and print it; it is shown once and stored as a hash.",
            discussion: """
                EXAMPLES
                  wattle-collector token create --embedded DIR --scope agent --name bremusa --host bremusa
                  wattle-collector token create --embedded DIR --scope enrol --name linux-fleet --pool linux-x86_64 --uses 500 --expires 90d
                  wattle-collector token create --embedded DIR --scope ci --name my-farm
                  wattle-collector token create --embedded DIR --scope ci --name dune --repository 'github.com/ocaml/dune' --allow-pool linux-x86_64
                  wattle-collector token create --embedded DIR --scope telemetry --name prometheus --allow-host '*.example.org'
                  wattle-collector token create --embedded DIR --scope read --name me
                  wattle-collector token create --embedded DIR --scope 'read:ocaml/*' --name ocaml-people --expires 2027-01-01
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Option(
            help: ArgumentHelp(
                """
                agent: send readings for one host; enrol: be traded for agents' tokens of one pool; ci: post spans; \
                telemetry: send other exporters' series of some hosts (OTLP metrics, Prometheus remote write); read: read everything, or \
                what is of some repositories; admin: everything.
                """,
                valueName: "agent|enrol|ci|telemetry|read[:OWNER/*]|admin"
            )
        )
        var scope: String

        @Option(help: "What it is called; the spans of a ci token are filed under this name.")
        var name: String

        @Option(help: "The host an agent token is for.")
        var host: String?

        @Option(help: "The pool that an enrol token's hosts join.")
        var pool: String?

        @Option(help: ArgumentHelp("How many hosts an enrol token may enrol (default: any number).", valueName: "n"))
        var uses: Int32?

        @Option(help: ArgumentHelp("Until when it counts (default: until it is revoked).", valueName: "90d|date"))
        var expires: String?

        @Option(help: ArgumentHelp("The source under whose name a ci token files its spans (default: its own).", valueName: "source"))
        var source: String?

        @OptionGroup(title: "What a ci token may say") var writer: WriterOptions

        func validate() throws {
            guard !name.isEmpty, !name.contains("/"), name.utf8.count <= 100, !name.utf8.contains(0) else {
                throw ValidationError("--name: expected 1 to 100 bytes without a slash, found \"\(name.prefix(60))\"")
            }
            if let source, source.isEmpty || source.contains("/") || source.utf8.count > 100 {
                throw ValidationError("--source: expected 1 to 100 bytes without a slash, found \"\(source.prefix(60))\"")
            }
            let scope: TokenGrant.Scope
            do { scope = try TokenTerms.scope(self.scope).scope } catch { throw ValidationError("--\(error)") }
            guard (scope == .agent) == (host != nil) else {
                throw ValidationError(
                    scope == .agent
                        ? "--scope agent: expected --host HOST, the host it may report for" : "--host goes with --scope agent only"
                )
            }
            guard (scope == .enrol) == (pool != nil) else {
                throw ValidationError(
                    scope == .enrol
                        ? "--scope enrol: expected --pool POOL, the pool its hosts join" : "--pool goes with --scope enrol only"
                )
            }
            if uses != nil, scope != .enrol { throw ValidationError("--uses goes with --scope enrol only") }
            if let uses, uses < 1 { throw ValidationError("--uses: expected at least 1, found \(uses)") }
            if scope == .telemetry {
                guard !(writer.allowHost + writer.allowPool).isEmpty else {
                    throw ValidationError(
                        "--scope telemetry: expected --allow-host HOST or --allow-pool POOL, the hosts that it may write for"
                    )
                }
                guard writer.instance.isEmpty, writer.repository.isEmpty, writer.visibility == nil, source == nil else {
                    throw ValidationError("--scope telemetry goes with --allow-host, --allow-pool and --rate only")
                }
            } else if scope != .ci, writer.isGiven || source != nil {
                throw ValidationError(
                    "--source, --instance, --repository, --allow-host, --allow-pool, --visibility and --rate go with --scope ci only"
                )
            }
            if let expires {
                do { _ = try TokenTerms.expiry(expires, now: wallClock()) } catch { throw ValidationError("--\(error)") }
            }
        }

        func run() async throws {
            let token = Token()
            let (scope, patterns) = try TokenTerms.scope(scope)
            let expiresAt = try expires.map { try TokenTerms.expiry($0, now: wallClock()) }
            let readRepositories = try await Database.withConnection(database) { connection, _ in
                try await connection.transaction { tx in
                    let forges = TokenTerms.forges(try await SourceTable.all(tx))
                    var draft = TokenTable.Draft(name: name, scope: scope)
                    draft.hostName = host
                    draft.pool = pool
                    draft.usesLeft = uses
                    draft.expiresAt = expiresAt
                    draft.source = source
                    draft.readRepositories = patterns.map { TokenTerms.repositories($0, forges: forges) }
                    draft.claims = writer.claims(forges: forges)
                    let grant: TokenGrant
                    do {
                        grant = try await TokenTable.insert(draft, sha256: token.sha256, tx)
                    } catch let error as PostgresError where error.isUniqueViolation {
                        throw Failure(
                            code: 2,
                            message: "there is a token named \(name) already; choose another --name (token list shows them)"
                        )
                    }
                    try await AuditLog.add(
                        who: "operator",
                        action: "token.create",
                        subject: name,
                        after: TokenCommand.json(grant, expiresAt: expiresAt, usesLeft: uses),
                        tx
                    )
                    return draft.readRepositories
                }
            }
            if let readRepositories { printError("it reads \(readRepositories.joined(separator: ", "))") }
            print(token.text)
        }
    }

    static func json(_ grant: TokenGrant, expiresAt: Timestamp?, usesLeft: Int32?) -> JSONValue {
        var fields: [String: JSONValue] = ["name": .string(grant.name), "scope": .string(grant.scope.rawValue)]
        if let host = grant.hostName { fields["host"] = .string(host) }
        if let pool = grant.pool { fields["pool"] = .string(pool) }
        if let usesLeft { fields["uses_left"] = .integer(Int64(usesLeft)) }
        if let repositories = grant.readRepositories { fields["read_repositories"] = .array(repositories.map { .string($0) }) }
        if grant.scope == .ci || grant.scope == .telemetry {
            fields["source"] = .string(grant.source)
            fields["claims"] = grant.claims.json
        }
        if let expiresAt { fields["expires_at"] = .string(RFC3339.format(expiresAt)) }
        return .object(fields)
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List all tokens, without their text.",
            discussion: """
                EXAMPLES
                  wattle-collector token list --embedded DIR
                  wattle-collector token list --embedded DIR --format json
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Option(help: "table or json.")
        var format = TableFormat.table

        func run() async throws {
            let tokens = try await Database.withConnection(database) { connection, _ in try await TokenTable.all(connection) }
            let now = wallClock()
            func time(_ microseconds: Int64?) -> String? {
                microseconds.map { RFC3339.format(Timestamp(microseconds: $0 / 1_000_000 * 1_000_000)) }
            }
            if format == .json {
                let list = tokens.map { token -> JSONValue in
                    var fields =
                        TokenCommand.json(
                            token.grant,
                            expiresAt: token.expiresAtMicroseconds.map { Timestamp(microseconds: $0) },
                            usesLeft: token.usesLeft
                        ).object ?? [:]
                    fields["state"] = .string(token.state(now: now))
                    fields["created_at"] = time(token.createdAtMicroseconds).map { .string($0) } ?? .null
                    fields["last_used_at"] = time(token.lastUsedAtMicroseconds).map { .string($0) } ?? .null
                    fields["revoked_at"] = time(token.revokedAtMicroseconds).map { .string($0) } ?? .null
                    return .object(fields)
                }
                print(try JSONValue.object(["tokens": .array(list)]).text)
                return
            }
            print("NAME\tSCOPE\tFOR\tCREATED\tEXPIRES\tLAST USED\tSTATE")
            for token in tokens {
                let grant = token.grant
                let purpose: String =
                    switch grant.scope {
                    case .agent: grant.hostName ?? "-"
                    case .enrol: (grant.pool ?? "-") + (token.usesLeft.map { ", \($0) uses left" } ?? "")
                    case .telemetry: "series; \(grant.claims.described)"
                    case .ci: (grant.source == grant.name ? "" : "source \(grant.source); ") + grant.claims.described
                    case .read: grant.readRepositories?.joined(separator: ",") ?? "everything"
                    case .admin: "everything"
                    }
                let columns = [
                    grant.name, grant.scope.rawValue, purpose, time(token.createdAtMicroseconds) ?? "-",
                    time(token.expiresAtMicroseconds) ?? "never", time(token.lastUsedAtMicroseconds) ?? "never", token.state(now: now),
                ]
                print(columns.joined(separator: "\t"))
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke a token: it writes nothing more, and reads nothing more within a second.",
            discussion: """
                EXAMPLE
                  wattle-collector token revoke --embedded DIR --name my-farm
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Option(help: "The token's name.")
        var name: String

        func run() async throws {
            try await Database.withConnection(database) { connection, _ in
                try await connection.transaction { tx in
                    guard try await TokenTable.revoke(name: name, tx) else {
                        throw Failure(code: 1, message: "there is no valid token named \(name); token list shows them")
                    }
                    try await AuditLog.add(who: "operator", action: "token.revoke", subject: name, tx)
                }
                print("revoked \(name)")
            }
        }
    }
}
