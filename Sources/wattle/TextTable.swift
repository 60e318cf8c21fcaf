/// Rows under a header, columns aligned with blanks.
struct TextTable {
    enum Column {
        case left(String)
        case right(String)

        var name: String {
            switch self {
            case .left(let name), .right(let name): name
            }
        }
    }

    var columns: [Column]
    var rows: [[String]]
    /// A rule is drawn above this many last rows.
    var totals = 0

    /// Each line with its end.
    var text: String {
        let cells = [columns.map(\.name)] + rows
        let widths = columns.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        var lines = cells.map { row in
            var line = ""
            for (index, column) in columns.enumerated() {
                let blanks = String(repeating: " ", count: widths[index] - row[index].count)
                if index > 0 { line += "  " }
                switch column {
                case .left: line += row[index] + blanks
                case .right: line += blanks + row[index]
                }
            }
            while line.last == " " { line.removeLast() }
            return line
        }
        if totals > 0, totals <= rows.count {
            let width = widths.reduce(0, +) + 2 * max(0, widths.count - 1)
            lines.insert(String(repeating: "-", count: width), at: lines.count - totals)
        }
        return lines.map { $0 + "\n" }.joined()
    }

    /// As GitHub's Markdown has tables.
    var markdown: String {
        func line(_ cells: [String]) -> String {
            "| " + cells.map { $0.replacing("\\", with: "\\\\").replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
        }
        let rule = columns.map { column in
            switch column {
            case .left: "---"
            case .right: "---:"
            }
        }
        return line(columns.map(\.name)) + line(rule) + rows.map(line).joined()
    }

    /// Fields as RFC 4180 writes them.
    var csv: String {
        ([columns.map(\.name)] + rows).map { row in row.map(TextTable.csvField).joined(separator: ",") + "\r\n" }.joined()
    }

    private static func csvField(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}
