/// A CSV file as RFC 4180 writes it, whole in memory.
struct LookupTable {
    struct Malformed: Error {
        let line: Int
        let expected: String
    }

    let header: [String]
    let rows: [[String]]
    private let columns: [String: Int]

    init(_ text: String) throws(Malformed) {
        var records: [(line: Int, fields: [String])] = []
        var fields: [String] = []
        var field: [UInt8] = []
        var line = 1
        var start = 1
        var quote: Int?
        var isQuoted = false
        var bytes = Array(text.utf8)[...]
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
        func end(_ record: Bool) {
            fields.append(String(decoding: field, as: UTF8.self))
            field = []
            isQuoted = false
            guard record else { return }
            // An empty line is no row.
            if fields != [""] { records.append((start, fields)) }
            fields = []
            start = line
        }
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            if quote != nil {
                if byte == UInt8(ascii: "\n") { line += 1 }
                if byte != UInt8(ascii: "\"") {
                    field.append(byte)
                } else if index < bytes.endIndex, bytes[index] == UInt8(ascii: "\"") {
                    field.append(byte)
                    index += 1
                } else {
                    quote = nil
                }
                continue
            }
            switch byte {
            case UInt8(ascii: ","): end(false)
            case UInt8(ascii: "\n"):
                line += 1
                end(true)
            case UInt8(ascii: "\r") where index < bytes.endIndex && bytes[index] == UInt8(ascii: "\n"): continue
            case UInt8(ascii: "\""):
                guard field.isEmpty, !isQuoted else { throw Malformed(line: line, expected: "a quote only around a whole field") }
                quote = line
                isQuoted = true
            default:
                guard !isQuoted else { throw Malformed(line: line, expected: "a comma after a closing quote") }
                field.append(byte)
            }
        }
        if let quote { throw Malformed(line: quote, expected: "the quote that opens here to be closed") }
        if !field.isEmpty || !fields.isEmpty || isQuoted { end(true) }
        guard let (first, header) = records.first else { throw Malformed(line: 1, expected: "a header with the names of the columns") }
        if let twice = header.indices.first(where: { header[..<$0].contains(header[$0]) }) {
            throw Malformed(line: first, expected: "each column once, not \(header[twice]) again")
        }
        for record in records.dropFirst() where record.fields.count != header.count {
            throw Malformed(line: record.line, expected: "\(header.count) fields as in the header, not \(record.fields.count)")
        }
        self.header = header
        rows = records.dropFirst().map(\.fields)
        columns = Dictionary(header.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func index(_ column: String) -> Int? { columns[column] }
}
