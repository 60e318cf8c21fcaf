import ArgumentParser
import Collector
import Documents
import Energy
import Foundation
import Postgres

/// How a table is printed.
enum ServicesFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

/// A length of time as an argument: `7d`, `36h`.
struct ServicesPeriod: ExpressibleByArgument {
    let length: Microseconds
    let text: String

    static let week = ServicesPeriod(length: Microseconds(7 * Microseconds.day.count), text: "7d")

    private init(length: Microseconds, text: String) {
        self.length = length
        self.text = text
    }

    var defaultValueDescription: String { text }

    init?(argument: String) {
        guard let unit = argument.last, let number = Int64(argument.dropLast()), (1...10_000).contains(number) else { return nil }
        switch unit {
        case "h": length = Microseconds(number * Microseconds.hour.count)
        case "d": length = Microseconds(number * Microseconds.day.count)
        case "w": length = Microseconds(number * 7 * Microseconds.day.count)
        default: return nil
        }
        text = argument
    }
}

struct ServicesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "services",
        abstract: "Rules that say which service, activity and team jobs and cgroups belong to.",
        discussion: """
            EXAMPLES
              wattle-collector services test services.yaml --embedded DIR
              wattle-collector services apply services.yaml --embedded DIR
              wattle-collector services show --embedded DIR

            The file is described in docs/services.md; config/services.example.yaml is one to begin with.
            """,
        subcommands: [Apply.self, Show.self, Test.self]
    )

    static func file(_ path: String) throws -> ServiceRuleFile {
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw Failure(
                code: 2,
                message:
                    "\(path) cannot be read: expected a file such as config/services.example.yaml, found: \(error.localizedDescription)"
            )
        }
        do {
            return try ServiceRuleFile(yaml: text, name: path)
        } catch {
            throw Failure(code: 2, message: "\(error)")
        }
    }

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a file in force from its day on, and its labels on the spans since then.",
            discussion: """
                EXAMPLES
                  wattle-collector services apply services.yaml --dry-run --embedded DIR
                  wattle-collector services apply services.yaml --embedded DIR

                A file of the same day is replaced; others keep their time. Interrupted, a running collector goes on with the labels,
                or the same command again.
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Argument(help: "The file.")
        var file: String

        @Flag(help: "Say what would change, and change nothing.")
        var dryRun = false

        @Option(help: "table or json.")
        var format: ServicesFormat = .table

        func run() async throws {
            let rules = try ServicesCommand.file(file)
            try await Database.withConnection(database) { connection, _ in
                let plan = try await ServiceRuleApplication.plan(rules, connection)
                var answer: [String: JSONValue] = [
                    "from": .string(rules.day), "until": plan.until.map { .string($0) } ?? .null, "rules": .integer(Int64(rules.ruleCount)),
                    "spans": .integer(plan.spanCount), "is_applied": .bool(!dryRun),
                    "replaces": plan.replacesOther.map { .string($0 ? "another file" : "the same file") } ?? .null,
                ]
                var lines = ["\(rules.ruleCount) rules count from \(rules.day)" + (plan.until.map { " until \($0)" } ?? " on")]
                switch plan.replacesOther {
                case true: lines.append("the file applied before for that day is replaced")
                case false: lines.append("the same rules are in force already")
                case nil: break
                }
                if dryRun {
                    lines.append("\(plan.spanCount) spans would be labelled anew; nothing was changed")
                } else {
                    try await ServiceRuleApplication.store(rules, who: "operator", connection)
                    let isTerminal = isatty(STDERR_FILENO) == 1
                    let finished = try await ServiceRuleApplication.finish(now: wallClock, connection) { placed in
                        if isTerminal, placed % 1_000 == 0 { printError("\(placed) of \(plan.spanCount) spans") }
                    }
                    answer["labelled"] = .integer(Int64(finished.placed))
                    answer["opened"] = .integer(Int64(finished.opened))
                    answer["withdrawn"] = .integer(Int64(finished.withdrawn))
                    lines.append("\(finished.placed) spans were labelled anew")
                    if finished.opened + finished.withdrawn > 0 {
                        lines.append("cgroups opened \(finished.opened) spans; \(finished.withdrawn) were withdrawn")
                    }
                }
                print(format == .json ? try JSONValue.object(answer).text : lines.joined(separator: "\n"))
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the files in force and their rules, in order.",
            discussion: """
                EXAMPLES
                  wattle-collector services show --embedded DIR
                  wattle-collector services show --format json --embedded DIR
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Option(help: "table or json.")
        var format: ServicesFormat = .table

        func run() async throws {
            try await Database.withConnection(database) { connection, _ in
                let files = try await ServiceRuleApplication.files(connection)
                if format == .json {
                    print(try JSONValue.array(files.map(\.file.document)).text)
                    return
                }
                guard !files.isEmpty else {
                    print("no file was applied; begin with config/services.example.yaml and `services test FILE`")
                    return
                }
                print("FROM\tRULE\tMATCH\tGIVES")
                for (file, isWalked) in files {
                    for rule in file.document.object?["rules"]?.array ?? [] {
                        let fields = rule.object ?? [:]
                        let match = Self.pairs(fields["match"]?.object ?? [:])
                        let gives = Self.pairs(fields.filter { !["name", "match"].contains($0.key) })
                        print("\(file.day)\t\(fields["name"]?.string ?? "")\t\(match.isEmpty ? "everything" : match)\t\(gives)")
                    }
                    if !isWalked { printError("the labels of the file of \(file.day) are on their way: a running collector puts them on") }
                }
            }
        }

        private static func pairs(_ fields: [String: JSONValue]) -> String {
            fields.sorted { $0.key < $1.key }.map { "\($0.key)=\(shown($0.value))" }.joined(separator: " ")
        }

        private static func shown(_ value: JSONValue) -> String {
            if let text = value.string { return text }
            if let list = value.array { return list.map(shown).joined(separator: "|") }
            return value.object?["purl"]?.string ?? ""
        }
    }

    struct Test: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "How much of the jobs' energy each rule caught, and what none did; changes nothing.",
            discussion: """
                EXAMPLES
                  wattle-collector services test --embedded DIR
                  wattle-collector services test services.yaml --last 30d --embedded DIR
                  wattle-collector services test services.yaml --format json --embedded DIR

                Without FILE the applied files are tried, each in its time. With FILE that one is, as if it had always counted.
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Argument(help: "The file to try (default: those applied).")
        var file: String?

        @Option(help: ArgumentHelp("How far back: hours, days or weeks.", valueName: "7d"))
        var last = ServicesPeriod.week

        @Option(help: "The most repositories and pipelines without a rule that are listed.")
        var top = 10

        @Option(help: "table or json.")
        var format: ServicesFormat = .table

        func validate() throws {
            guard (0...10_000).contains(top) else { throw ValidationError("--top: expected 0 to 10000, found \(top)") }
        }

        func run() async throws {
            let rules = try file.map { try ServicesCommand.file($0) }
            let end = wallClock()
            let start = end - last.length
            try await Database.withConnection(database) { connection, _ in
                let trial = try await ServiceRuleTrial.run(rules, Interval(start.hour.start, end), connection)
                print(format == .json ? try trial.json(limit: top).text : Self.table(trial, top: top))
            }
        }

        private static func table(_ trial: ServiceRuleTrial, top: Int) -> String {
            func kilowattHours(_ microjoules: Int128) -> String { rounded(Double(microjoules) / 3.6e12, 3) }
            func percent(_ microjoules: Int128) -> String { rounded(trial.fraction(microjoules) * 100, 1) }
            func row(_ name: String, _ caught: ServiceRuleTrial.Caught) -> String {
                let more = caught.services.count > 3 ? ", ..." : ""
                let services = caught.services.prefix(3).joined(separator: ", ") + more
                return [
                    name, services.isEmpty ? "-" : services, "\(caught.jobs)", "\(caught.cgroups)", kilowattHours(caught.microjoules),
                    percent(caught.microjoules),
                ].joined(separator: "\t")
            }
            var lines = ["RULE\tSERVICE\tJOBS\tCGROUPS\tKWH\tPERCENT"]
            lines += trial.rules.map { row($0.rule, $0.caught) }
            lines.append(row("(said by the job)", trial.ownWord))
            lines.append(row("(no rule)", trial.nothing))
            lines.append(
                "(all)\t-\t\(trial.jobs)\t-\t\(kilowattHours(trial.totalMicrojoules))\t\(rounded(trial.totalMicrojoules == 0 ? 0 : 100, 1))"
            )
            if !trial.uncaught.isEmpty, top > 0 {
                lines += ["", "NO RULE: REPOSITORY\tPIPELINE\tJOBS\tKWH\tPERCENT"]
                lines += trial.uncaught.prefix(top).map { one in
                    [
                        one.repository ?? "-", one.pipeline ?? "-", "\(one.jobs)", kilowattHours(one.microjoules), percent(one.microjoules),
                    ].joined(separator: "\t")
                }
            }
            return lines.joined(separator: "\n")
        }

        /// Fixed decimals, without Foundation's formatting.
        private static func rounded(_ value: Double, _ decimals: Int) -> String {
            let scale = decimals == 1 ? 10.0 : 1_000.0
            let digits = String(Int64(saturating: (value * scale).rounded()))
            let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
            return "\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
        }
    }
}
