import ArgumentParser
import Documents
import FactorTables
import FactorsCheck
import Glibc

/// `wattle factors check [DIR]`: everything that is wrong with the tables, by file and line.
struct FactorsCheckCommand: ParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json
    }

    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract:
            "Check factor tables: units, ranges, duplicates, sources and licences, versions changed in place; exit 1 if anything is wrong.",
        discussion: """
            Without a folder the tables that the program carries are checked. In a folder every .csv file is, and those in its folder tables.

            EXAMPLES
              wattle factors check
              wattle factors check config/factors
              wattle factors check config/factors --format json
            """
    )

    /// A table is far smaller.
    private static let mostBytes = 64 << 20

    @Argument(help: ArgumentHelp("A folder of tables. Default: those built in.", valueName: "folder"))
    var folder: String?

    @Option(help: ArgumentHelp("table (a line for each finding, as compilers write them) or json.", valueName: "format"))
    var format = Format.table

    func run() throws {
        let tables = try folder.map { try Self.read($0) } ?? FactorsCheck.shipped(with: FactorTables.all)
        let findings = FactorsCheck.findings(in: tables)
        switch format {
        case .json: StandardOutput.write(try Self.json(tables.count, findings))
        case .table:
            for finding in findings { StandardOutput.write("\(finding)\n") }
            StandardOutput.write("\(tables.count) tables, \(findings.isEmpty ? "nothing wrong" : "\(findings.count) findings")\n")
        }
        if !findings.isEmpty { throw ExitCode(1) }
    }

    private static func read(_ folder: String) throws -> [FactorsCheck.Table] {
        guard let names = names(in: folder) else {
            throw Failure.usage("\(folder): expected a folder of .csv files, found \(String(cString: strerror(errno)))")
        }
        let paths =
            names.map { ($0, "\(folder)/\($0)") } + (self.names(in: "\(folder)/tables") ?? []).map { ($0, "\(folder)/tables/\($0)") }
        let tables = try paths.filter { $0.0.hasSuffix(".csv") }.sorted { $0.1 < $1.1 }.map { name, path in
            guard let bytes = InputFile.read(path, atMost: mostBytes) else {
                throw Failure.failed("\(path): expected a table that can be read, found \(String(cString: strerror(errno)))")
            }
            return FactorsCheck.Table(file: name, text: String(decoding: bytes, as: UTF8.self))
        }
        guard !tables.isEmpty else { throw Failure.usage("\(folder): expected .csv files in it, found none") }
        return tables
    }

    /// Nil where there is no such folder; `errno` tells why.
    private static func names(in folder: String) -> [String]? {
        guard let directory = opendir(folder) else { return nil }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            )
        }
        return names
    }

    private static func json(_ tables: Int, _ findings: [FactorFinding]) throws -> String {
        let list = findings.map { finding in
            JSONValue.object([
                "file": .string(finding.file), "line": .integer(Int64(finding.line)), "column": .string(finding.column),
                "rule": .string(finding.rule.rawValue), "expected": .string(finding.expected), "found": .string(finding.found),
            ])
        }
        return try JSONValue.object(["tables": .integer(Int64(tables)), "findings": .array(list)]).text + "\n"
    }
}
