import ArgumentParser
import Collector
import Postgres
import Store

/// A token's scope as an argument.
struct ScopeArgument: ExpressibleByArgument {
    let scope: TokenGrant.Scope

    init?(argument: String) {
        guard let scope = TokenGrant.Scope(rawValue: argument) else { return nil }
        self.scope = scope
    }

    static let allValueStrings = TokenGrant.Scope.allCases.map(\.rawValue)
}

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
                  wattle-collector token create --embedded DIR --scope ci --name my-farm
                  wattle-collector token create --embedded DIR --scope read --name me
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Option(help: "agent: send readings for one host; ci: post spans; read: read everything; admin: everything.")
        var scope: ScopeArgument

        @Option(help: "What it is called; the spans of a ci token are filed under this name.")
        var name: String

        @Option(help: "The host an agent token is for.")
        var host: String?

        func validate() throws {
            guard !name.isEmpty, !name.contains("/"), name.utf8.count <= 100 else {
                throw ValidationError("--name: expected 1 to 100 bytes without a slash, found \"\(name)\"")
            }
            guard (scope.scope == .agent) == (host != nil) else {
                throw ValidationError(
                    scope.scope == .agent
                        ? "--scope agent: expected --host HOST, the host it may report for" : "--host goes with --scope agent only"
                )
            }
        }

        func run() async throws {
            let token = Token()
            try await Database.withConnection(database) { connection, _ in
                do {
                    _ = try await TokenTable.insert(
                        name: name,
                        scope: scope.scope,
                        sha256: token.sha256,
                        hostName: host,
                        expiresAtMicroseconds: nil,
                        connection
                    )
                } catch let error as PostgresError where error.isUniqueViolation {
                    throw Failure(code: 2, message: "there is a token named \(name) already; choose another --name (token list shows them)")
                }
            }
            print(token.text)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List all tokens, without their text.")

        @OptionGroup var database: DatabaseOptions

        func run() async throws {
            try await Database.withConnection(database) { connection, _ in
                print("NAME\tSCOPE\tHOST\tSTATE")
                for token in try await TokenTable.all(connection) {
                    let state = token.revokedAtMicroseconds == nil ? "valid" : "revoked"
                    print("\(token.grant.name)\t\(token.grant.scope.rawValue)\t\(token.grant.hostName ?? "-")\t\(state)")
                }
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Revoke a token at once.")

        @OptionGroup var database: DatabaseOptions

        @Option(help: "The token's name.")
        var name: String

        func run() async throws {
            try await Database.withConnection(database) { connection, _ in
                guard try await TokenTable.revoke(name: name, connection) else {
                    throw Failure(code: 1, message: "there is no valid token named \(name); token list shows them")
                }
                print("revoked \(name)")
            }
        }
    }
}
