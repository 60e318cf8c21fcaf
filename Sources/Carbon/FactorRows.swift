/// The rows of a factor table, however they were read: names of columns, and fields.
///
/// The tables are passed in: nothing here reads a file.
public struct FactorRows: Sendable {
    /// For messages: `cloud_instances.csv`.
    public let name: String
    private let columns: [String: Int]
    private let rows: [[String]]

    /// Rows that are shorter than the header read as empty at their end.
    public init(name: String, header: [String], rows: [[String]]) {
        self.name = name
        columns = Dictionary(header.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        self.rows = rows
    }

    /// What is wrong with a table.
    public struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        public let table: String
        /// The row, counted from 1 after the header; nil where the whole table lacks a column.
        public let row: Int?
        public let column: String
        public let expected: String
        public let found: String

        public init(table: String, row: Int?, column: String, expected: String, found: String) {
            self.table = table
            self.row = row
            self.column = column
            self.expected = expected
            self.found = found
        }

        public var description: String {
            guard let row else { return "\(table): expected a column \(column), found none" }
            return "\(table), row \(row), \(column): expected \(expected), found \(found.isEmpty ? "nothing" : found)"
        }
    }

    public struct Row: Sendable {
        fileprivate let table: FactorRows
        fileprivate let index: Int

        /// The field, or an empty text where there is none.
        public func text(_ column: String) -> String {
            guard let at = table.columns[column], at < table.rows[index].count else { return "" }
            return table.rows[index][at]
        }

        /// A field that must be filled.
        public func required(_ column: String) throws(Fault) -> String {
            let text = text(column)
            if text.isEmpty { throw fault(column, "a value") }
            return text
        }

        /// A finite number, 0 or more.
        public func number(_ column: String) throws(Fault) -> Double {
            guard let number = try optionalNumber(column) else { throw fault(column, "a number") }
            return number
        }

        /// Nil for an empty field.
        public func optionalNumber(_ column: String) throws(Fault) -> Double? {
            let text = text(column)
            if text.isEmpty { return nil }
            guard let number = Double(text), number.isFinite, number >= 0 else { throw fault(column, "a number, 0 or more") }
            return number
        }

        public func fault(_ column: String, _ expected: String) -> Fault {
            Fault(table: table.name, row: index + 1, column: column, expected: expected, found: text(column))
        }
    }

    /// - Throws: `Fault` where a column that is needed is not there.
    public func needing(_ names: [String]) throws(Fault) -> [Row] {
        for name in names where columns[name] == nil {
            throw Fault(table: self.name, row: nil, column: name, expected: "a column", found: "")
        }
        return rows.indices.map { Row(table: self, index: $0) }
    }
}
