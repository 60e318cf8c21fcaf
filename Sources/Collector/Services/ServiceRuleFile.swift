public import Documents
public import Energy
import Store
import Yams

/// A `services.yaml`: rules, and the day from which they count.
public struct ServiceRuleFile: Sendable {
    /// What is wrong with a file: where, what was expected, what was found.
    public struct Fault: Error, CustomStringConvertible, Hashable {
        public let description: String
    }

    /// The start of a UTC day.
    public let validFrom: Timestamp
    /// As it is stored: the file's keys, every scalar a text.
    public let document: JSONValue
    let rules: ServiceRules

    /// - Parameter name: how messages call the file.
    /// - Throws: `Fault`.
    public init(yaml: String, name: String = "services.yaml") throws {
        let node: Node?
        do {
            node = try Yams.compose(yaml: yaml)
        } catch {
            throw Fault(description: "\(name): expected YAML, found: \(error)")
        }
        do {
            try self.init(json: try node.map { try Self.json($0) } ?? .null)
        } catch let fault as Fault {
            throw Fault(description: "\(name): \(fault.description)")
        }
    }

    /// - Throws: `Fault`.
    public init(json: JSONValue) throws {
        let keys = try Self.mapping(json, "the file", known: ["from", "rules"], required: ["from", "rules"])
        guard let day = keys["from"]?.string, let from = RFC3339.parse(day + "T00:00:00Z") else {
            throw Fault(
                description:
                    "from: expected a day such as 2026-09-01, the first (UTC) on which the file counts, found \(Self.shown(keys["from"]))"
            )
        }
        guard let list = keys["rules"]?.array ?? (keys["rules"]?.isNull == true ? [] : nil) else {
            throw Fault(description: "rules: expected a list of rules, found \(Self.shown(keys["rules"]))")
        }
        var rules = ServiceRules()
        for (index, value) in list.enumerated() {
            let rule = try Self.rule(value, number: index + 1)
            guard !rules.rules.contains(where: { $0.name == rule.name }) else {
                throw Fault(description: "rule \(rule.name): expected a name of its own, found a second rule of that name")
            }
            rules.rules.append(rule)
        }
        validFrom = from
        document = json
        self.rules = rules
    }

    /// The first UTC day on which it counts: `2026-09-01`.
    public var day: String { Self.day(validFrom) }
    public var ruleCount: Int { rules.rules.count }

    static func day(_ instant: Timestamp) -> String { String(RFC3339.format(instant).prefix(10)) }

    // MARK: Reading

    private static let ruleKeys = ["name", "match", "service", "activity", "team", "release", "visibility"]
    private static let given = ["service", "activity", "team", "release", "visibility"]

    private static func rule(_ value: JSONValue, number: Int) throws -> ServiceRule {
        let name = value.object?["name"]?.string ?? ""
        let place = name.isEmpty ? "rule \(number)" : "rule \(name)"
        let keys = try mapping(value, place, known: ruleKeys, required: ["name", "match"])
        guard !name.isEmpty, name.utf8.count <= 200 else {
            throw Fault(description: "\(place), name: expected a text of 1 to 200 bytes, found \(shown(keys["name"]))")
        }
        guard given.contains(where: { keys[$0] != nil }) else {
            throw Fault(description: "\(place): expected one of \(given.joined(separator: ", ")), found none")
        }
        var rule = ServiceRule(name: name, conditions: try conditions(keys["match"] ?? .null, "\(place), match"))
        rule.service = try template(keys["service"], "\(place), service")
        rule.activity = try template(keys["activity"], "\(place), activity")
        rule.team = try template(keys["team"], "\(place), team")
        if let release = keys["release"] {
            rule.releases = try (release.array ?? [release]).map { value in
                let keys = try mapping(value, "\(place), release", known: ["purl", "relation"], required: ["purl"])
                guard let purl = try template(keys["purl"], "\(place), release, purl"), keys["purl"]?.string?.hasPrefix("pkg:") == true
                else {
                    throw Fault(description: "\(place), release, purl: expected pkg:TYPE/NAME@VERSION, found \(shown(keys["purl"]))")
                }
                return ServiceRule.Release(purl: purl, relation: try template(keys["relation"], "\(place), release, relation"))
            }
        }
        if let visibility = keys["visibility"] {
            guard let known = visibility.string.flatMap(Claims.Visibility.init(rawValue:)) else {
                throw Fault(description: "\(place), visibility: expected public or private, found \(shown(visibility))")
            }
            rule.visibility = known
        }
        return rule
    }

    private static func conditions(_ value: JSONValue, _ place: String) throws -> [ServiceRule.Condition] {
        let keys = try mapping(value, place, known: ServiceRule.Field.allCases.map(\.rawValue), required: [])
        return try ServiceRule.Field.allCases.compactMap { field in
            guard let value = keys[field.rawValue] else { return nil }
            let list = value.array ?? [value]
            let patterns = list.compactMap(\.string).filter { !$0.isEmpty }
            guard !patterns.isEmpty, patterns.count == list.count else {
                throw Fault(
                    description:
                        "\(place), \(field.rawValue): expected a pattern such as \"ocaml/*\", or a list of them, found \(shown(value))"
                )
            }
            return ServiceRule.Condition(field: field, patterns: patterns.map { Pattern($0) })
        }
    }

    private static func template(_ value: JSONValue?, _ place: String) throws -> ServiceTemplate? {
        guard let value else { return nil }
        guard let text = value.string, (1...500).contains(text.utf8.count), !text.utf8.contains(0) else {
            throw Fault(description: "\(place): expected a text of 1 to 500 bytes, found \(shown(value))")
        }
        do {
            return try ServiceTemplate(text)
        } catch {
            throw Fault(description: "\(place): expected \(error.expected), found \(error.found)")
        }
    }

    private static func mapping(_ value: JSONValue, _ place: String, known: [String], required: [String]) throws -> [String: JSONValue] {
        guard let keys = value.object else {
            throw Fault(description: "\(place): expected \(known.joined(separator: ", ")) as `key: value`, found \(shown(value))")
        }
        if let unknown = keys.keys.sorted().first(where: { !known.contains($0) }) {
            throw Fault(description: "\(place): expected one of \(known.joined(separator: ", ")), found \(unknown.prefix(60))")
        }
        if let missing = required.first(where: { keys[$0] == nil }) {
            throw Fault(description: "\(place): expected the key \(missing), found \(keys.keys.sorted().joined(separator: ", "))")
        }
        return keys
    }

    private static func shown(_ value: JSONValue?) -> String {
        guard let value, !value.isNull else { return "nothing" }
        return value.described
    }

    /// Scalars stay texts: a job named 3.10 is not the number 3.1, and a day is no instant.
    private static func json(_ node: Node) throws -> JSONValue {
        switch node {
        case .scalar(let scalar):
            if scalar.string.utf8.contains(0) { throw Fault(description: "expected texts without U+0000, found one with it") }
            return scalar.style == .plain && ["", "~", "null"].contains(scalar.string) ? .null : .string(scalar.string)
        case .sequence(let list): return .array(try list.map { try json($0) })
        case .mapping(let mapping):
            var fields: [String: JSONValue] = [:]
            for (key, value) in mapping {
                guard let name = key.scalar?.string else { throw Fault(description: "expected texts as keys, found a list or mapping") }
                fields[name] = try json(value)
            }
            return .object(fields)
        case .alias: throw Fault(description: "expected plain values, found a YAML alias")
        }
    }
}
