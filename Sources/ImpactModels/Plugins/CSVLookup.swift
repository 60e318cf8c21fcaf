/// Values from the row of a CSV file whose columns have an observation's values.
///
/// A field matches a text that is the same, and a number that it is written for. Upstream compares loosely (an empty field is 0, `true` is 1)
/// and takes the first of several rows; so does strict mode.
struct CSVLookup: ImpactPlugin {
    private enum Output {
        case all
        /// Column to parameter.
        case columns([(column: String, parameter: String)])
    }

    private let path: String
    private let query: [(column: String, parameter: String)]
    private let output: Output
    private let place: String

    init(_ config: PluginConfig) throws(ModelFault) {
        path = try config.text("filepath")
        place = config.plugin.place
        guard let query = config.values["query"]?.map, !query.isEmpty else {
            throw config.fault("query", "columns with the names of parameters")
        }
        var pairs: [(column: String, parameter: String)] = []
        for (column, value) in query.pairs {
            guard let parameter = value.text else {
                throw ModelFault(place, key: "config.query.\(column)", expected: "the name of a parameter", found: value.described)
            }
            pairs.append((column, parameter))
        }
        self.query = pairs
        let shape = #""*", a column, [column, name] or a list of those"#
        switch config.values["output"] {
        case .text("*")?: output = .all
        case .text(let column)?: output = .columns([(column, column)])
        case .list(let list)?:
            let texts = list.compactMap(\.text)
            if texts.count == list.count, texts.count == 2 {
                output = .columns([(texts[0], texts[1])])
            } else if texts.count == list.count, texts.count == 1 {
                output = .columns([(texts[0], texts[0])])
            } else {
                var columns: [(column: String, parameter: String)] = []
                for value in list {
                    let pair = value.list?.compactMap(\.text) ?? []
                    guard let column = pair.first, pair.count <= 2 else { throw config.fault("output", shape) }
                    columns.append((column, pair.last ?? column))
                }
                guard !columns.isEmpty else { throw config.fault("output", shape) }
                output = .columns(columns)
            }
        default: throw config.fault("output", shape)
        }
    }

    func run(_ observations: [ModelMap], _ context: inout PluginContext) throws(ModelFault) -> [ModelMap] {
        let table = try table(&context)
        let wanted = try wanted(table, context)
        for (column, _) in query where table.index(column) == nil {
            throw ModelFault(
                place,
                key: "config.query",
                expected: "columns of \(path): \(table.header.joined(separator: ", "))",
                found: column
            )
        }
        var result = observations
        for index in result.indices {
            let row = try self.row(of: result[index], at: index, table, wanted.map(\.column), &context)
            for (column, parameter) in wanted {
                guard let field = table.index(column).map({ row[$0] }) else { continue }
                result[index][context.plugin.mapping[parameter] ?? parameter] = Self.value(field, isStrict: context.isStrict)
            }
        }
        return result
    }

    private func table(_ context: inout PluginContext) throws(ModelFault) -> LookupTable {
        let text: String
        do throws(SourceRefusal) {
            text = try context.sources.file(path)
        } catch {
            throw ModelFault(place, key: "config.filepath", expected: error.expected, found: error.found, advice: error.advice)
        }
        do throws(LookupTable.Malformed) {
            return try LookupTable(text)
        } catch {
            throw ModelFault(place, key: "config.filepath", expected: error.expected, found: "\(path), line \(error.line)")
        }
    }

    private func wanted(_ table: LookupTable, _ context: PluginContext) throws(ModelFault) -> [(column: String, parameter: String)] {
        // All but those that were asked for: their values are there already.
        guard case .columns(let columns) = output else {
            return table.header.filter { column in !query.contains { $0.column == column } }.map { ($0, $0) }
        }
        for (column, parameter) in columns {
            guard table.index(column) != nil else {
                throw ModelFault(
                    place,
                    key: "config.output",
                    expected: "columns of \(path): \(table.header.joined(separator: ", "))",
                    found: column
                )
            }
            // [a, b] is a under the name b. Where b is a column too, two columns were meant as often as not.
            if !context.isStrict, column != parameter, table.index(parameter) != nil, !query.contains(where: { $0.column == parameter }) {
                throw ModelFault(
                    place,
                    key: "config.output",
                    expected: "[[\(column), \(column)], [\(parameter), \(parameter)]] for two columns, or a new name that is no column",
                    found: "[\(column), \(parameter)], which is \(column) under the name of another column"
                )
            }
        }
        return columns
    }

    private func row(
        of observation: ModelMap,
        at index: Int,
        _ table: LookupTable,
        _ wanted: [String],
        _ context: inout PluginContext
    ) throws(ModelFault) -> [String] {
        var conditions: [(column: Int, value: ModelValue)] = []
        for (column, parameter) in query {
            guard let value = context.value(parameter, observation) else {
                throw context.fault(at: index, parameter, expected: "a value to look up in the column \(column)", found: "nothing")
            }
            conditions.append((table.index(column) ?? 0, value))
        }
        let isStrict = context.isStrict
        let found = table.rows.filter { row in
            conditions.allSatisfy { isStrict ? Self.looselyEqual($0.value, row[$0.column]) : Self.equal($0.value, row[$0.column]) }
        }
        let asked = zip(query, conditions).map { "\($0.column) = \($1.value.plain)" }.joined(separator: ", ")
        guard let first = found.first else {
            throw context.fault(at: index, nil, expected: "a row of \(path) with \(asked)", found: "none")
        }
        if !isStrict {
            let columns = wanted.compactMap { table.index($0) }
            if let other = found.first(where: { row in columns.contains { row[$0] != first[$0] } }) {
                let column = columns.first { other[$0] != first[$0] } ?? 0
                throw context.fault(
                    at: index,
                    nil,
                    expected: "one row of \(path) with \(asked)",
                    found: "\(found.count), which differ in \(table.header[column])",
                    advice: "ask for more columns"
                )
            }
        }
        return first
    }

    private static func equal(_ value: ModelValue, _ field: String) -> Bool {
        if let number = value.number { return Double(field) == number }
        return value.plain == field
    }

    /// As JavaScript compares a text with what it is given.
    private static func looselyEqual(_ value: ModelValue, _ field: String) -> Bool {
        func number(_ text: String) -> Double? {
            let bare = text.drop { $0 == " " }
            return bare.isEmpty ? 0 : Double(bare)
        }
        switch value {
        case .text(let text): return text == field
        case .bool(let flag): return number(field) == (flag ? 1 : 0)
        default: return value.number.map { number(field) == $0 } ?? false
        }
    }

    /// A field that is written as a number is one. An empty one is null, and upstream the text "nan".
    static func value(_ field: String, isStrict: Bool) -> ModelValue {
        if field.isEmpty { return isStrict ? .text("nan") : .null }
        let looksLikeANumber = field.utf8.allSatisfy { (48...57).contains($0) || "+-.eE".utf8.contains($0) }
        if looksLikeANumber, let integer = Int64(field) { return .integer(integer) }
        if looksLikeANumber, let number = Double(field), number.isFinite { return .number(number) }
        return .text(field)
    }
}
