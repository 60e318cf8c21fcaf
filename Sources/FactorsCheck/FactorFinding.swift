/// Something in a table of factors that must not be there, or is missing.
public struct FactorFinding: Error, Hashable, Sendable, CustomStringConvertible {
    /// A stable word for programs.
    public enum Rule: String, Hashable, Sendable, CaseIterable {
        /// The file is no table, or has other columns than its schema.
        case form
        /// No schema has this file's name.
        case unknownTable = "unknown-table"
        /// A field that must be filled is empty; of sources, years, licences and bases too.
        case missing
        /// A number that is none, or outside what the quantity can be.
        case range
        /// A word that is not among those that the column has.
        case word
        /// Two rows of the same version say the same thing.
        case duplicate
        /// Limits or pairs in the wrong order.
        case order
        /// A version whose rows are not those that were recorded, or that is not recorded.
        case version
    }

    /// The file's name.
    public var file: String
    /// From 1, as an editor shows it.
    public var line: Int
    /// Empty where it is of the whole row or file.
    public var column: String
    public var rule: Rule
    public var expected: String
    public var found: String

    public init(file: String, line: Int, column: String, rule: Rule, expected: String, found: String) {
        self.file = file
        self.line = line
        self.column = column
        self.rule = rule
        self.expected = expected
        self.found = found
    }

    /// As compilers write them: editors jump to it.
    public var description: String {
        "\(file):\(line): \(column.isEmpty ? "" : "\(column): ")expected \(expected), found \(found.isEmpty ? "nothing" : found)"
    }
}
