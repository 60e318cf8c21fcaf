import Factors

/// Checks one table against its schema.
struct RowCheck {
    let file: String
    let table: CSVTable

    func findings() -> [FactorFinding] {
        guard let schema = FactorSchema.all[file] else {
            let known = FactorSchema.all.keys.sorted().joined(separator: ", ")
            return [finding(line: 1, "", .unknownTable, "one of \(known)", file)]
        }
        let names = schema.columns.map(\.name)
        guard table.header == names else {
            return [finding(line: 1, "", .form, "the columns \(names.joined(separator: ","))", table.header.joined(separator: ","))]
        }
        var findings: [FactorFinding] = []
        if table.rows.isEmpty { findings.append(finding(line: 1, "", .missing, "at least one row", "")) }
        // Line of the first row with a key.
        var seen: [[String]: Int] = [:]
        for (index, row) in table.rows.enumerated() {
            let line = table.lines[index]
            for (column, text) in zip(schema.columns, row) { findings += check(text, column, line) }
            findings += order(schema, index, line)
            let key = (schema.key + ["version"]).compactMap { table[index, $0] }
            if let first = seen[key] {
                findings.append(
                    finding(
                        line: line,
                        "",
                        .duplicate,
                        "each of \(schema.key.joined(separator: ", ")) once",
                        "\(key.joined(separator: ", ")) as on line \(first)"
                    )
                )
            } else {
                seen[key] = line
            }
        }
        return findings
    }

    private func check(_ text: String, _ column: FactorSchema.Column, _ line: Int) -> [FactorFinding] {
        if text.isEmpty { return column.isRequired ? [finding(line: line, column.name, .missing, Self.described(column.content), "")] : [] }
        // Blanks at the ends and control characters are slips of the hand.
        guard text.first != " ", text.last != " ", !text.unicodeScalars.contains(where: { $0.value < 32 }) else {
            return [finding(line: line, column.name, .form, "a text on one line without blanks at its ends", "\"\(text)\"")]
        }
        let isRight: Bool
        var rule = FactorFinding.Rule.range
        switch column.content {
        case .text: isRight = true
        case .number(let range): isRight = Double(text).map { range.contains($0) } ?? false
        case .whole(let range): isRight = Int(text).map { range.contains($0) } ?? false
        case .words(let words):
            isRight = words.contains(text)
            rule = .word
        case .flags(let words):
            isRight = text.split(separator: ";", omittingEmptySubsequences: false).allSatisfy { words.contains(String($0)) }
            rule = .word
        }
        return isRight ? [] : [finding(line: line, column.name, rule, Self.described(column.content), text)]
    }

    private func order(_ schema: FactorSchema, _ row: Int, _ line: Int) -> [FactorFinding] {
        schema.ascending.compactMap { names in
            let filled = names.compactMap { name in table[row, name].flatMap(Double.init).map { (name, $0) } }
            guard let wrong = zip(filled, filled.dropFirst()).first(where: { $0.1 > $1.1 }) else { return nil }
            return finding(line: line, wrong.1.0, .order, "at least \(wrong.0.0), \(wrong.0.1)", "\(wrong.1.1)")
        }
    }

    private static func described(_ content: FactorSchema.Column.Content) -> String {
        switch content {
        case .text: "a text"
        case .number(let range): "a number of \(range.lowerBound) to \(range.upperBound)"
        case .whole(let range): "a whole number of \(range.lowerBound) to \(range.upperBound)"
        case .words(let words): words.sorted().joined(separator: ", ")
        case .flags(let words): "of \(words.sorted().joined(separator: ", ")), joined by ;"
        }
    }

    private func finding(line: Int, _ column: String, _ rule: FactorFinding.Rule, _ expected: String, _ found: String) -> FactorFinding {
        FactorFinding(file: file, line: line, column: column, rule: rule, expected: expected, found: found)
    }
}
