import Documents
import Foundation
public import Telemetry
import Yams

/// `meters.yaml` as the collector reads it: the shipped table, and an operator's own before it.
public enum MeterTable {
    /// What is wrong with a file: where, what was expected, what was found.
    public struct Fault: Error, CustomStringConvertible, Hashable {
        public let description: String
    }

    /// - Parameter file: the operator's own; nil for the shipped table alone.
    /// - Throws: `Fault`.
    public static func rules(file: String?) throws -> MeterRules {
        let shipped = try read(MeterRules.shippedText, name: "the shipped meters.yaml").rules
        guard let file else { return shipped }
        let text: String
        do {
            text = try String(contentsOfFile: file, encoding: .utf8)
        } catch {
            throw Fault(description: "meters: \(file) cannot be read: \(error.localizedDescription)")
        }
        let own = try read(text, name: file)
        return own.wantsBuiltin ? own.rules.before(shipped) : own.rules
    }

    static func read(_ yaml: String, name: String) throws -> (rules: MeterRules, wantsBuiltin: Bool) {
        let node: Node?
        do {
            node = try Yams.compose(yaml: yaml)
        } catch {
            throw Fault(description: "\(name): expected YAML, found: \(error)")
        }
        do {
            let document = try node.map { try json($0, name: name) } ?? .null
            return (try MeterRules(json: document), MeterRules.wantsBuiltin(document))
        } catch let fault as MeterRules.Fault {
            throw Fault(description: "\(name): \(fault.description)")
        }
    }

    /// Scalars stay texts, so that a label's value `0` is not the number.
    private static func json(_ node: Node, name: String) throws -> JSONValue {
        switch node {
        case .scalar(let scalar):
            return scalar.style == .plain && ["", "~", "null"].contains(scalar.string) ? .null : .string(scalar.string)
        case .sequence(let list): return .array(try list.map { try json($0, name: name) })
        case .mapping(let mapping):
            var fields: [String: JSONValue] = [:]
            for (key, value) in mapping {
                guard let word = key.scalar?.string else {
                    throw Fault(description: "\(name): expected texts as keys, found a list or mapping")
                }
                fields[word] = try json(value, name: name)
            }
            return .object(fields)
        case .alias: throw Fault(description: "\(name): expected plain values, found a YAML alias")
        }
    }
}
