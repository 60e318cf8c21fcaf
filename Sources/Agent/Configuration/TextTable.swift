/// Columns of text, as wide as they need to be.
public enum TextTable {
    public static func render(header: [String], rows: [[String]]) -> String {
        var widths = header.map(\.count)
        for row in rows {
            for (i, cell) in row.enumerated() where i < widths.count { widths[i] = max(widths[i], cell.count) }
        }
        return ([header] + rows).map { row in
            var line = ""
            for (i, cell) in row.enumerated() {
                line += cell
                // The last column stays as it is: no blanks at the ends of lines.
                if i < row.count - 1 { line += String(repeating: " ", count: widths[i] - cell.count + 2) }
            }
            return line + "\n"
        }.joined()
    }
}
