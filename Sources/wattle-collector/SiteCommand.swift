import ArgumentParser
import Collector
import Documents
import Energy

/// Sites: where machines stand, and what their electricity is.
struct SiteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "site",
        abstract: "Say where machines stand: the zone of the grid, the building's PUE and water, and what electricity it has bought.",
        subcommands: [Import.self, List.self]
    )

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "import",
            abstract: "Bring sites from files into the database; a second time changes nothing.",
            discussion: """
                Reads sites.yaml (docs/sites.md, config/sites.example.yaml) and CSV with the same names in its header. A record counts from \
                its day on; hours that a changed zone or PUE counts for are accounted anew. What changes is printed.

                EXAMPLES
                  wattle-collector site import --embedded DIR sites.yaml --dry-run
                  wattle-collector site import --embedded DIR sites.yaml
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
            var all = SiteFile()
            for path in files {
                do {
                    all.add(try SiteFile(text: try TextFile.read(path), name: path))
                } catch let fault as HostFile.Fault {
                    throw Failure(code: 2, message: fault.description)
                }
            }
            let file = all
            let isDryRun = dryRun
            let changes = try await Database.withConnection(database) { connection, _ in
                try await SiteImport.apply(file, dryRun: isDryRun, connection)
            }
            switch format {
            case .json:
                print(try JSONValue.object(["dry_run": .bool(dryRun), "changes": .array(changes.map(\.json))]).text)
            case .table:
                if changes.isEmpty {
                    print("nothing to change: \(file.sites.count) records of sites are as the files say")
                    return
                }
                print("SITE\tFIELD\tBEFORE\tAFTER")
                for change in changes {
                    print("\(change.subject)\t\(change.field)\t\(change.before.isEmpty ? "-" : change.before)\t\(change.after)")
                }
                print("\(changes.count) changes\(dryRun ? " (dry run: nothing was changed)" : "")")
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List sites with every dated record, and those that hosts name and nobody described.",
            discussion: """
                EXAMPLES
                  wattle-collector site list --embedded DIR
                  wattle-collector site list --embedded DIR --format json
                """
        )

        @OptionGroup var database: DatabaseOptions

        @Option(help: "table or json.")
        var format = TableFormat.table

        func run() async throws {
            let rows = try await Database.withConnection(database) { connection, _ in try await SiteList.rows(connection) }
            if format == .json {
                let list = rows.map { row -> JSONValue in
                    .object([
                        "site": .string(row.site), "from": row.from.map { .string(RFC3339.format($0)) } ?? .null,
                        "record": row.record ?? .null, "hosts": .integer(Int64(row.hosts)),
                    ])
                }
                print(try JSONValue.object(["sites": .array(list)]).text)
                return
            }
            print("SITE\tFROM\tZONE\tPUE\tL/KWH\tCONTRACTS\tRESIDUAL G/KWH\tHOSTS")
            for row in rows {
                let record = row.record?.object
                func number(_ value: JSONValue?) -> String { value?.double.map { "\($0)" } ?? "-" }
                let shares = (record?["contracts"]?.array ?? []).compactMap { $0.object?["share"]?.double }
                let covered = shares.isEmpty ? "-" : "\((shares.reduce(0, +) * 1_000).rounded() / 10) %"
                let columns = [
                    row.site, row.from.map(RFC3339.format) ?? (record == nil ? "not described" : "always"),
                    record?["grid_zone"]?.string ?? "-", number(record?["pue"]), number(record?["wue_l_per_kwh"]), covered,
                    number(record?["residual_mix"]?.object?["g_per_kwh"]), "\(row.hosts)",
                ]
                print(columns.joined(separator: "\t"))
            }
        }
    }
}
