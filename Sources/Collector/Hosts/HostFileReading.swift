import Documents
import Energy
import Factors
import Yams

/// The fields of one entry of a file, in its order, each with where it stands. Scalars are texts.
struct FieldList {
    struct Field {
        let name: String
        let value: JSONValue
        /// `hosts.yaml, line 12`.
        let place: String
    }

    var place: String
    var fields: [Field]
}

extension FieldList.Field {
    func fault(_ expected: String) -> HostFile.Fault {
        let found = value.isNull ? "nothing" : value.described
        return HostFile.Fault(description: "\(place): field \(name): expected \(expected), found \(found)")
    }

    func unknown(_ known: String) -> HostFile.Fault {
        HostFile.Fault(description: "\(place): field \(name): expected one of \(known), found a field of another name")
    }

    func text() throws -> String {
        guard let text = value.string, !text.isEmpty, text.utf8.count <= 4_000, !text.utf8.contains(0) else { throw fault("a text") }
        return text
    }

    func number(_ range: ClosedRange<Double>) throws -> Double {
        guard let number = value.string.flatMap({ Double($0) }), range.contains(number) else {
            throw fault("a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func count() throws -> Int64 {
        guard let count = value.string.flatMap({ Int64($0) }), count > 0 else { throw fault("a whole number above 0") }
        return count
    }

    /// `512 GiB`, `256 GB` or a plain number of bytes.
    func bytes() throws -> Int64 {
        let units: [(String, Double)] = [
            ("kib", 1_024), ("mib", 1_048_576), ("gib", 1_073_741_824), ("tib", 1_099_511_627_776), ("kb", 1e3), ("mb", 1e6), ("gb", 1e9),
            ("tb", 1e12), ("b", 1), ("", 1),
        ]
        let text = (value.string ?? "").lowercased()
        let digits = text.prefix { $0.isNumber || $0 == "." }
        let unit = text.dropFirst(digits.count).filter { $0 != " " }
        guard let number = Double(digits), let scale = units.first(where: { $0.0 == unit })?.1, number > 0, number * scale < 1e18 else {
            throw fault("a size such as 512 GiB")
        }
        return Int64(number * scale)
    }

    /// A day, which begins at 00:00 UTC, or an instant.
    func time() throws -> Timestamp {
        guard let text = value.string, let time = RFC3339.parse(text.utf8.count == 10 ? text + "T00:00:00Z" : text) else {
            throw fault("a day such as 2026-09-01 or an instant such as 2026-09-01T09:00:00Z")
        }
        return time
    }

    /// One text counts as a list of one.
    func list() throws -> [String] {
        if let text = value.string { return text.isEmpty ? [] : [text] }
        guard let values = value.array, values.count <= 1_000 else { throw fault("a list of texts") }
        return try values.map { one in
            guard let text = one.string, !text.isEmpty, text.utf8.count <= 1_000, !text.utf8.contains(0) else {
                throw fault("a list of texts")
            }
            return text
        }
    }

    /// Fields within this one.
    func parts() throws -> [FieldList.Field] {
        guard let object = value.object else { throw fault("fields of its own") }
        return object.sorted { $0.key < $1.key }.map { FieldList.Field(name: "\($0.key)", value: $0.value, place: place) }
    }

    /// A list of entries with fields; a bare text is one with that name.
    func entries() throws -> [FieldList] {
        guard let values = value.array, values.count <= 1_000 else { throw fault("a list") }
        return try values.map { one in
            if let name = one.string {
                return FieldList(place: place, fields: [FieldList.Field(name: "name", value: .string(name), place: place)])
            }
            guard one.object != nil else { throw fault("a list of names, or of entries with a name") }
            return FieldList(place: place, fields: try FieldList.Field(name: name, value: one, place: place).parts())
        }
    }
}

/// Reads entries from the forms in which people keep lists of machines.
enum HostFileReading {
    // MARK: YAML

    static func yaml(_ text: String, name: String) throws -> (hosts: [FieldList], classes: [FieldList], pools: [FieldList]) {
        guard let root = try compose(text, name: name) else { return ([], [], []) }
        guard let mapping = root.mapping else {
            throw HostFile.Fault(description: "\(name): expected the keys hosts, classes and pools, found \(described(root))")
        }
        var hosts: [FieldList] = []
        var classes: [FieldList] = []
        var pools: [FieldList] = []
        for (key, value) in mapping {
            let place = place(key, name)
            switch key.string {
            case "hosts": hosts = try entries(value, key: "hosts", place: place, name: name)
            case "classes": classes = try entries(value, key: "classes", place: place, name: name)
            case "pools": pools = try entries(value, key: "pools", place: place, name: name)
            default:
                throw HostFile.Fault(
                    description: "\(place): expected hosts, classes or pools, found the key \(key.string ?? "that is no text")"
                )
            }
        }
        return (hosts, classes, pools)
    }

    /// The entries under the one key that a file has.
    static func yaml(_ text: String, name: String, key: String) throws -> [FieldList] {
        guard let root = try compose(text, name: name) else { return [] }
        guard let mapping = root.mapping else {
            throw HostFile.Fault(description: "\(name): expected the key \(key), found \(described(root))")
        }
        var lists: [FieldList] = []
        for (found, value) in mapping {
            let place = place(found, name)
            guard found.string == key else {
                throw HostFile.Fault(description: "\(place): expected \(key), found the key \(found.string ?? "that is no text")")
            }
            lists += try entries(value, key: key, place: place, name: name)
        }
        return lists
    }

    private static func compose(_ text: String, name: String) throws -> Node? {
        do {
            return try Yams.compose(yaml: text)
        } catch {
            throw HostFile.Fault(description: "\(name): expected YAML, found: \(error)")
        }
    }

    private static func place(_ node: Node, _ name: String, firstLine: Int = 0) -> String {
        guard let line = node.mark?.line else { return name }
        return "\(name), line \(line + firstLine)"
    }

    private static func described(_ node: Node) -> String {
        if let text = node.string { return "the text \"\(text.prefix(60))\"" }
        return node.sequence != nil ? "a list" : "a mapping"
    }

    private static func entries(_ node: Node, key: String, place: String, name: String) throws -> [FieldList] {
        if node.null != nil { return [] }
        guard let sequence = node.sequence else {
            throw HostFile.Fault(description: "\(place): field \(key): expected a list, found \(described(node))")
        }
        return try sequence.map { try fields(of: $0, name: name) }
    }

    private static func fields(of node: Node, name: String, firstLine: Int = 0) throws -> FieldList {
        let entry = place(node, name, firstLine: firstLine)
        guard let mapping = node.mapping else {
            throw HostFile.Fault(description: "\(entry): expected an entry with fields such as name, found \(described(node))")
        }
        var list = FieldList(place: entry, fields: [])
        for (key, value) in mapping where value.null == nil {
            let place = place(key, name, firstLine: firstLine)
            guard let field = key.string else {
                throw HostFile.Fault(description: "\(place): expected a field's name, found \(described(key))")
            }
            list.fields.append(FieldList.Field(name: field, value: try json(value, place: place, depth: 0), place: place))
        }
        return list
    }

    private static func json(_ node: Node, place: String, depth: Int) throws -> JSONValue {
        guard depth < 8 else { throw HostFile.Fault(description: "\(place): expected a value, found lists within lists") }
        if let sequence = node.sequence { return .array(try sequence.map { try json($0, place: place, depth: depth + 1) }) }
        if let mapping = node.mapping {
            var result: [String: JSONValue] = [:]
            for (key, value) in mapping where value.null == nil {
                result[key.string ?? ""] = try json(value, place: place, depth: depth + 1)
            }
            return .object(result)
        }
        return node.string.map { .string($0) } ?? .null
    }

    // MARK: Lists of machines that were not written for this

    /// What other lists call a field.
    private static let translations = ["location": "site", "processor": "cpu", "memory": "ram", "hostname": "name"]
    /// What says nothing here.
    private static let passedOver: Set<String> = ["ip", "serial", "layout", "title", "permalink"]

    private static func translated(_ list: FieldList) -> FieldList {
        var result = FieldList(place: list.place, fields: [])
        var manufacturer: String?
        var fullName: FieldList.Field?
        for field in list.fields where field.value != .string("") && !passedOver.contains(field.name) {
            switch field.name {
            case "manufacturer": manufacturer = field.value.string
            case "fqdn": fullName = field
            default:
                let name = translations[field.name] ?? field.name
                result.fields.append(FieldList.Field(name: name, value: field.value, place: field.place))
            }
        }
        if let manufacturer {
            if let index = result.fields.firstIndex(where: { $0.name == "model" }) {
                let model = result.fields[index]
                result.fields[index] = .init(
                    name: "model",
                    value: .string("\(manufacturer) \(model.value.string ?? "")".trimmed),
                    place: model.place
                )
            } else {
                result.fields.append(.init(name: "model", value: .string(manufacturer), place: list.place))
            }
        }
        if let fullName {
            let hasName = result.fields.contains { $0.name == "name" }
            if !hasName {
                result.fields.append(.init(name: "name", value: fullName.value, place: fullName.place))
            } else if let index = result.fields.firstIndex(where: { $0.name == "aliases" }) {
                let given = result.fields[index]
                let all = (given.value.array ?? [given.value]) + [fullName.value]
                result.fields[index] = .init(name: "aliases", value: .array(all), place: given.place)
            } else {
                result.fields.append(.init(name: "aliases", value: .array([fullName.value]), place: fullName.place))
            }
        }
        return result
    }

    /// A page that begins with YAML between two lines of `---`.
    static func page(_ text: String, name: String) throws -> FieldList {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.last == "\r" ? $0.dropLast() : $0 }
        guard lines.first == "---", let end = lines.dropFirst().firstIndex(of: "---") else {
            throw HostFile.Fault(description: "\(name): expected a page that begins with fields between two lines of ---, found none")
        }
        guard let node = try compose(lines[1..<end].joined(separator: "\n"), name: name) else {
            throw HostFile.Fault(description: "\(name): expected fields between the lines of ---, found none")
        }
        return translated(try fields(of: node, name: name, firstLine: 1))
    }

    private static let listColumns: Set<String> = ["aliases", "disks", "gpus"]

    /// A table with a header of field names. Lists have `;` between their items; a runner is `NAME` or `NAME@INSTANCE`; `cloud.region` is a
    /// field within a field.
    static func csv(_ text: String, name: String) throws -> [FieldList] { try table(text, name: name).map(translated) }

    /// The same with its fields as they are called.
    static func table(_ text: String, name: String) throws -> [FieldList] {
        let table: CSVTable
        do {
            table = try CSVTable(parsing: text)
        } catch {
            throw HostFile.Fault(description: "\(name): expected CSV with a header, found: \(error)")
        }
        return table.rows.enumerated().map { index, row in
            // Lines count from the header's; a cell with a line end in it moves those after it.
            let place = "\(name), line \(index + 2)"
            var list = FieldList(place: place, fields: [])
            var nested: [String: [String: JSONValue]] = [:]
            for (column, cell) in zip(table.header, row) where !cell.isEmpty {
                let parts = column.split(separator: ".", maxSplits: 1).map(String.init)
                let items = cell.split(separator: ";").map { String($0).trimmed }.filter { !$0.isEmpty }
                if parts.count == 2 {
                    nested[parts[0], default: [:]][parts[1]] = .string(cell)
                } else if listColumns.contains(column) {
                    list.fields.append(.init(name: column, value: .array(items.map { .string($0) }), place: place))
                } else if column == "runners" {
                    let runners = items.map { item -> JSONValue in
                        let parts = item.split(separator: "@", maxSplits: 1).map { JSONValue.string(String($0)) }
                        return parts.count == 2 ? .object(["name": parts[0], "instance": parts[1]]) : .string(item)
                    }
                    list.fields.append(.init(name: column, value: .array(runners), place: place))
                } else {
                    list.fields.append(.init(name: column, value: .string(cell), place: place))
                }
            }
            for (field, value) in nested.sorted(by: { $0.key < $1.key }) {
                list.fields.append(.init(name: field, value: .object(value), place: place))
            }
            return list
        }
    }
}
