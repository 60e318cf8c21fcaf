import Documents
import Store

/// One rule: what must be so of a span, and what it then gives.
struct ServiceRule: Sendable, Equatable {
    /// What a rule may ask about, by its name in the file.
    enum Field: String, Sendable, CaseIterable {
        case source, host, pool, repository, pipeline, job, op, ref, label, cgroup, unit, timer

        /// The subject's values: none where it says nothing of it.
        func values(of subject: ServiceRules.Subject) -> [String] {
            let value: String? =
                switch self {
                case .source: subject.source
                case .host: subject.host
                case .pool: subject.pool
                case .repository: subject.repository
                case .pipeline: subject.pipeline
                case .job: subject.job
                case .op: subject.op
                case .ref: subject.ref
                case .cgroup: subject.cgroup
                case .unit: subject.unit
                // A timer starts the service of its own name.
                case .timer: subject.unit.flatMap { $0.hasSuffix(".service") ? String($0.dropLast(8)) + ".timer" : nil }
                case .label: nil
                }
            return self == .label ? subject.labels : [value].compactMap { $0 }
        }
    }

    /// A field whose value must match one of the patterns; a label list any of whose labels does.
    struct Condition: Sendable, Equatable {
        var field: Field
        var patterns: [Pattern]

        func holds(for subject: ServiceRules.Subject) -> Bool {
            field.values(of: subject).contains { value in patterns.contains { $0.matches(value) } }
        }
    }

    struct Release: Sendable, Equatable {
        var purl: ServiceTemplate
        var relation: ServiceTemplate?
    }

    var name: String
    /// All must hold; none holds always.
    var conditions: [Condition]
    var service: ServiceTemplate?
    var activity: ServiceTemplate?
    var team: ServiceTemplate?
    var releases: [Release] = []
    var visibility: Claims.Visibility?

    func matches(_ subject: ServiceRules.Subject) -> Bool { conditions.allSatisfy { $0.holds(for: subject) } }

    /// Whether it speaks of what runs on a machine, so that a cgroup that it matches opens a span of its own.
    var asksForWorkload: Bool { conditions.contains { [.cgroup, .unit, .timer].contains($0.field) } }

    /// As a span posts it; nil where the rule names none whose template is filled.
    func release(for subject: ServiceRules.Subject) -> JSONValue? {
        let list = releases.compactMap { release -> JSONValue? in
            guard let purl = release.purl.text(for: subject) else { return nil }
            var fields: [String: JSONValue] = ["purl": .string(purl)]
            if let relation = release.relation?.text(for: subject) { fields["relation"] = .string(relation) }
            return .object(fields)
        }
        return list.isEmpty ? nil : .array(list)
    }
}

/// A text with `{field}` for what the span says of it; `{{` and `}}` stand for the braces themselves.
struct ServiceTemplate: Sendable, Equatable {
    private enum Part: Sendable, Equatable {
        case text(String)
        case field(ServiceRule.Field)
    }

    /// What is wrong with a template: what was expected and what was found.
    struct Fault: Error {
        let expected: String
        let found: String
    }

    private var parts: [Part] = []

    static let fields = ServiceRule.Field.allCases.filter { $0 != .label }

    init(_ text: String) throws(Fault) {
        var literal = ""
        var rest = Substring(text)
        while let character = rest.popFirst() {
            switch character {
            case "{" where rest.first == "{", "}" where rest.first == "}":
                rest.removeFirst()
                literal.append(character)
            case "{":
                guard let close = rest.firstIndex(of: "}") else { throw Fault(expected: "a } for each {", found: text) }
                let name = String(rest[..<close])
                guard let field = ServiceRule.Field(rawValue: name), Self.fields.contains(field) else {
                    throw Fault(expected: "in braces one of \(Self.fields.map(\.rawValue).joined(separator: ", "))", found: "{\(name)}")
                }
                if !literal.isEmpty { parts.append(.text(literal)) }
                literal = ""
                parts.append(.field(field))
                rest = rest[rest.index(after: close)...]
            case "}": throw Fault(expected: "a { before each }", found: text)
            default: literal.append(character)
            }
        }
        if !literal.isEmpty { parts.append(.text(literal)) }
    }

    /// Nil where the span says nothing of one of its fields: then the rule gives nothing here, and the next may.
    func text(for subject: ServiceRules.Subject) -> String? {
        var result = ""
        for part in parts {
            switch part {
            case .text(let text): result += text
            case .field(let field):
                guard let value = field.values(of: subject).first, !value.isEmpty else { return nil }
                result += value
            }
        }
        return result.isEmpty ? nil : result
    }
}
