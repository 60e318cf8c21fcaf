/// The outputs of all nodes as one table: a row for each, and one for what each node's outputs make together.
public struct OutputTable: Sendable, Hashable {
    public let columns: [String]
    /// As many fields as there are columns; empty where a row has nothing or null.
    public let rows: [[String]]

    public init(_ manifest: Manifest) {
        var found: [(path: String, kind: String, map: ModelMap)] = []
        Self.collect(manifest.tree, &found)
        var keys: [String] = ["timestamp", "duration"]
        var known = Set(keys)
        for row in found {
            for key in row.map.keys where known.insert(key).inserted { keys.append(key) }
        }
        columns = ["path", "row"] + keys
        rows = found.map { row in [row.path, row.kind] + keys.map { row.map[$0]?.plain ?? "" } }
    }

    private static func collect(_ node: Manifest.Node, _ found: inout [(path: String, kind: String, map: ModelMap)]) {
        for output in node.outputs ?? [] { found.append((node.path, "output", output)) }
        if let aggregated = node.aggregated { found.append((node.path, "aggregated", aggregated)) }
        for child in node.children { collect(child, &found) }
    }

    /// As RFC 4180 writes it.
    public var csv: String {
        ([columns] + rows).map { $0.map(Self.field).joined(separator: ",") + "\r\n" }.joined()
    }

    private static func field(_ text: String) -> String {
        guard text.utf8.contains(where: { ",\"\r\n".utf8.contains($0) }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}
