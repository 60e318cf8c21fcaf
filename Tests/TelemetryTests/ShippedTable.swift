import Documents
import Telemetry
import Yams

/// `config/meters.yaml` as the collector carries it.
enum ShippedTable {
    static func rules() throws -> MeterRules { try MeterRules(json: json(MeterRules.shippedText)) }

    static func json(_ yaml: String) throws -> JSONValue { try Yams.compose(yaml: yaml).map(json) ?? .null }

    private static func json(_ node: Node) -> JSONValue {
        switch node {
        case .scalar(let scalar): scalar.string.isEmpty ? .null : .string(scalar.string)
        case .sequence(let list): .array(list.map(json))
        case .mapping(let mapping): .object(Dictionary(uniqueKeysWithValues: mapping.map { ($0.key.scalar?.string ?? "", json($0.value)) }))
        case .alias: .null
        }
    }
}
