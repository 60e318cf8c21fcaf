/// A table of text as RFC 4180 writes it: a header, then rows of as many fields.
///
/// Lines end in LF or CRLF, the last one may lack its end. A field that holds a comma, a quote or a line end stands in quotes,
/// a quote inside doubled. A byte order mark before the header is passed over.
public struct CSVTable: Hashable, Sendable {
    /// The column names, in the order of the file; no two are the same.
    public let header: [String]
    /// The fields of each row, as many as the header has names.
    public let rows: [[String]]
    /// The line on which each row starts, from 1, as an editor shows it.
    public let lines: [Int]

    /// Reads a whole file.
    ///
    /// - Throws: `CSVError`, with the line of the fault, when the text is no table: a quote out of place, a row of another length
    ///   than the header, no header, or a column name used twice.
    public init(parsing text: String) throws(CSVError) {
        var reader = CSVReader(text)
        guard let first = try reader.nextRecord() else { throw .noHeader }
        for (index, name) in first.fields.enumerated() where first.fields[..<index].contains(name) {
            throw .columnTwice(name: name)
        }
        var rows: [[String]] = []
        var lines: [Int] = []
        while let record = try reader.nextRecord() {
            guard record.fields.count == first.fields.count else {
                throw .fieldCount(line: record.line, expected: first.fields.count, found: record.fields.count)
            }
            rows.append(record.fields)
            lines.append(record.line)
        }
        header = first.fields
        self.rows = rows
        self.lines = lines
    }

    /// The field of a row under a column name, or nil where the table has no such column. An empty field is an empty string.
    ///
    /// - Precondition: `row` is an index of `rows`.
    public subscript(row: Int, column: String) -> String? {
        guard let index = header.firstIndex(of: column) else { return nil }
        return rows[row][index]
    }
}

/// Why a text is no CSV table. Lines count from 1, as an editor shows them.
public enum CSVError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The text is empty.
    case noHeader
    /// The header has this name twice.
    case columnTwice(name: String)
    /// The record that starts at the line has another number of fields than the header.
    case fieldCount(line: Int, expected: Int, found: Int)
    /// A quote inside a field that does not start with one.
    case quoteInsideField(line: Int)
    /// Something other than a comma or the line's end follows a closing quote.
    case textAfterQuote(line: Int)
    /// The text ends before the quote that was opened on the line is closed.
    case quoteNotClosed(line: Int)

    public var description: String {
        switch self {
        case .noHeader:
            "expected a header line with the column names, found an empty file"
        case .columnTwice(let name):
            "line 1: the column \(name) stands there twice; rename or remove one"
        case .fieldCount(let line, let expected, let found):
            "line \(line): expected \(expected) fields as in the header, found \(found); quote a field that holds a comma"
        case .quoteInsideField(let line):
            "line \(line): a quote inside an unquoted field; put the whole field in quotes and double the quote inside"
        case .textAfterQuote(let line):
            "line \(line): expected a comma or the end of the line after a closing quote; double a quote that belongs to the field"
        case .quoteNotClosed(let line):
            "line \(line): the quote opened here is never closed"
        }
    }
}

/// Takes records off a text, byte by byte: every byte that means something in CSV is ASCII, so UTF-8 needs no decoding here.
private struct CSVReader {
    struct Record {
        var line: Int
        var fields: [String]
    }

    private static let comma = UInt8(ascii: ",")
    private static let quote = UInt8(ascii: "\"")
    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    private let bytes: [UInt8]
    private var position = 0
    private var line = 1

    init(_ text: String) {
        bytes = Array(text.utf8)
        if bytes.starts(with: Self.byteOrderMark) { position = Self.byteOrderMark.count }
    }

    mutating func nextRecord() throws(CSVError) -> Record? {
        guard position < bytes.count else { return nil }
        var record = Record(line: line, fields: [])
        while true {
            record.fields.append(try nextField())
            if position < bytes.count, bytes[position] == Self.comma {
                position += 1
            } else {
                takeLineEnd()
                return record
            }
        }
    }

    private mutating func nextField() throws(CSVError) -> String {
        guard position < bytes.count, bytes[position] == Self.quote else { return try unquotedField() }
        return try quotedField()
    }

    private mutating func unquotedField() throws(CSVError) -> String {
        let start = position
        while position < bytes.count, bytes[position] != Self.comma, !isAtLineEnd {
            if bytes[position] == Self.quote { throw .quoteInsideField(line: line) }
            position += 1
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func quotedField() throws(CSVError) -> String {
        let opened = line
        var field: [UInt8] = []
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            guard byte == Self.quote else {
                if byte == Self.lineFeed { line += 1 }
                field.append(byte)
                continue
            }
            if position < bytes.count, bytes[position] == Self.quote {
                field.append(Self.quote)
                position += 1
            } else if position == bytes.count || bytes[position] == Self.comma || isAtLineEnd {
                return String(decoding: field, as: UTF8.self)
            } else {
                throw .textAfterQuote(line: line)
            }
        }
        throw .quoteNotClosed(line: opened)
    }

    /// A carriage return ends a line only together with the line feed after it.
    private var isAtLineEnd: Bool {
        bytes[position] == Self.lineFeed
            || (bytes[position] == Self.carriageReturn && position + 1 < bytes.count && bytes[position + 1] == Self.lineFeed)
    }

    private mutating func takeLineEnd() {
        guard position < bytes.count else { return }
        position += bytes[position] == Self.carriageReturn ? 2 : 1
        line += 1
    }
}
