import Factors

/// Compares each version of each table with the checksum that was recorded when it was published.
///
/// A row may be added only under a new version; so what was computed with a version can be computed again.
struct VersionCheck {
    let tables: [(file: String, table: CSVTable)]

    /// What a table without a column of versions is.
    static let whole = "1"

    func findings() -> [FactorFinding] {
        guard let recorded = tables.first(where: { $0.file == FactorSchema.versionsFile })?.table,
            recorded.header == FactorSchema.all[FactorSchema.versionsFile]?.columns.map(\.name)
        else {
            return tables.isEmpty
                ? []
                : [
                    FactorFinding(
                        file: FactorSchema.versionsFile,
                        line: 1,
                        column: "",
                        rule: .version,
                        expected: "the table of recorded versions",
                        found: ""
                    )
                ]
        }
        var findings: [FactorFinding] = []
        var records: [[String]: (line: Int, rows: String, checksum: String)] = [:]
        for index in recorded.rows.indices {
            let row = recorded.rows[index]
            records[[row[0], row[1]]] = (recorded.lines[index], row[2], row[3])
        }
        for (file, table) in tables where file != FactorSchema.versionsFile && FactorSchema.all[file] != nil {
            for (version, contents) in Self.contents(of: table) {
                let line = "\(file),\(version),\(contents.rows),\(contents.checksum)"
                guard let record = records.removeValue(forKey: [file, version]) else {
                    findings.append(
                        FactorFinding(
                            file: file,
                            line: contents.firstLine,
                            column: "version",
                            rule: .version,
                            expected: "a version that \(FactorSchema.versionsFile) records; add to it \(line),DATE",
                            found: version
                        )
                    )
                    continue
                }
                guard record.checksum != contents.checksum else { continue }
                findings.append(
                    FactorFinding(
                        file: file,
                        line: contents.firstLine,
                        column: "version",
                        rule: .version,
                        expected:
                            """
                            version \(version) as recorded, \(record.rows) rows of checksum \(record.checksum): give changed rows a new \
                            version
                            """,
                        found: "\(contents.rows) rows of checksum \(contents.checksum)"
                    )
                )
            }
        }
        for (key, record) in records {
            findings.append(
                FactorFinding(
                    file: FactorSchema.versionsFile,
                    line: record.line,
                    column: "version",
                    rule: .version,
                    expected: "\(key[0]) with its version \(key[1]), which was published",
                    found: "no such rows"
                )
            )
        }
        return findings
    }

    struct Contents {
        var firstLine: Int
        var rows = 0
        fileprivate var hash = FNV1a()

        var checksum: String {
            let digits = String(hash.value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
    }

    /// By version, in the order of the table.
    static func contents(of table: CSVTable) -> [(version: String, contents: Contents)] {
        var order: [String] = []
        var contents: [String: Contents] = [:]
        for index in table.rows.indices {
            let version = table[index, "version"] ?? whole
            if contents[version] == nil {
                order.append(version)
                var first = Contents(firstLine: table.lines[index])
                first.hash.add(table.header)
                contents[version] = first
            }
            contents[version]?.rows += 1
            contents[version]?.hash.add(table.rows[index])
        }
        return order.compactMap { version in contents[version].map { (version, $0) } }
    }
}

/// Fowler, Noll and Vo's hash of 64 bits: to notice a change, not to withstand anybody who wants to hide one.
private struct FNV1a {
    var value: UInt64 = 0xCBF2_9CE4_8422_2325

    /// A record: fields ended by U+001F, the record by U+001E.
    mutating func add(_ fields: [String]) {
        for field in fields {
            for byte in field.utf8 { add(byte) }
            add(0x1F)
        }
        add(0x1E)
    }

    private mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
}
