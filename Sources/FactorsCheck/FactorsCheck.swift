import Factors

/// Checks tables of factors: units by range, duplicates, provenance on every row, and versions that never change in place.
///
/// Pure: the texts are passed in. Everything that is wrong is found, not only the first.
public enum FactorsCheck {
    /// A table by the name of its file.
    public struct Table: Sendable {
        public var file: String
        public var text: String

        public init(file: String, text: String) {
            self.file = file
            self.text = text
        }
    }

    /// Everything wrong with the tables, in the order of files and lines.
    public static func findings(in tables: [Table]) -> [FactorFinding] {
        var findings: [FactorFinding] = []
        var parsed: [(file: String, table: CSVTable)] = []
        for table in tables.sorted(by: { $0.file < $1.file }) {
            do throws(CSVError) {
                let csv = try CSVTable(parsing: table.text)
                parsed.append((table.file, csv))
                findings += RowCheck(file: table.file, table: csv).findings()
            } catch {
                findings.append(
                    FactorFinding(file: table.file, line: 1, column: "", rule: .form, expected: "a table", found: error.description)
                )
            }
        }
        findings += VersionCheck(tables: parsed).findings()
        return findings.sorted { ($0.file, $0.line, $0.column) < ($1.file, $1.line, $1.column) }
    }

    /// The tables that every program carries, and further ones by file name and text: `FactorTables.all`.
    public static func shipped(with further: [(file: String, text: String)]) -> [Table] {
        [
            Table(file: "country_intensity.csv", text: Factors.countryIntensityCSV),
            Table(file: "cpu_power.csv", text: Factors.cpuPowerCSV),
            Table(file: "host_classes.csv", text: Factors.hostClassesCSV),
        ] + further.map { Table(file: $0.file, text: $0.text) }
    }
}
