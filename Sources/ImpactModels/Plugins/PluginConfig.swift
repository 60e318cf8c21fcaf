/// A plugin's settings, with faults that say where they stand.
struct PluginConfig: Sendable {
    let plugin: Manifest.Plugin
    let values: ModelMap
    let isStrict: Bool

    func fault(_ key: String, _ expected: String) -> ModelFault {
        ModelFault(plugin.place, key: "config.\(key)", expected: expected, found: values[key]?.described ?? "nothing")
    }

    private func present(_ key: String) -> ModelValue? { values[key].flatMap { $0.isNull ? nil : $0 } }

    func text(_ key: String) throws(ModelFault) -> String {
        guard let text = try optionalText(key) else { throw fault(key, "a text") }
        return text
    }

    func optionalText(_ key: String) throws(ModelFault) -> String? {
        guard let value = present(key) else { return nil }
        guard let text = value.text, !text.isEmpty else { throw fault(key, "a text") }
        return text
    }

    func texts(_ key: String) throws(ModelFault) -> [String] {
        guard let list = present(key)?.list, !list.isEmpty else { throw fault(key, "a list of names") }
        var texts: [String] = []
        for value in list {
            guard let text = value.text, !text.isEmpty else { throw fault(key, "a list of names") }
            texts.append(text)
        }
        return texts
    }

    /// The name that a result gets: any text. Upstream takes one with a digit for faulty arithmetic.
    func output(_ key: String) throws(ModelFault) -> String {
        let name = try text(key)
        if isStrict, name.utf8.contains(where: { (48...57).contains($0) }) {
            throw ModelFault(
                plugin.place,
                key: "config.\(key)",
                expected: "a name without digits (upstream reads one with a digit as arithmetic)",
                found: "the text \"\(name)\"",
                advice: "run without --strict-upstream"
            )
        }
        if name.hasPrefix("=") { throw fault(key, "a name") }
        return name
    }

    func number(_ key: String) throws(ModelFault) -> Double {
        guard let number = try optionalNumber(key) else { throw fault(key, "a number") }
        return number
    }

    func optionalNumber(_ key: String) throws(ModelFault) -> Double? {
        guard let value = present(key) else { return nil }
        guard let number = value.number, number.isFinite else { throw fault(key, "a number") }
        return number
    }

    func bool(_ key: String) throws(ModelFault) -> Bool? {
        guard let value = present(key) else { return nil }
        guard let bool = value.bool else { throw fault(key, "true or false") }
        return bool
    }

    func numbers(_ key: String) throws(ModelFault) -> [Double] {
        guard let list = present(key)?.list else { throw fault(key, "a list of numbers") }
        var numbers: [Double] = []
        for value in list {
            guard let number = value.number, number.isFinite else { throw fault(key, "a list of numbers") }
            numbers.append(number)
        }
        return numbers
    }

    /// An instant.
    func instant(_ key: String) throws(ModelFault) -> ObservationTime.Read {
        guard let value = present(key), let read = ObservationTime.read(value) else {
            throw fault(key, "an instant such as 2026-09-01T09:00:00Z")
        }
        return read
    }

    /// A number, a parameter's name, or arithmetic over both.
    func term(_ key: String) throws(ModelFault) -> ParameterTerm {
        guard let value = present(key) else { throw fault(key, "a number or the name of a parameter") }
        return try term(value, key)
    }

    /// A parameter's name, or arithmetic.
    func parameter(_ key: String) throws(ModelFault) -> ParameterTerm { try term(.text(try text(key)), key) }

    func terms(_ key: String) throws(ModelFault) -> [ParameterTerm] {
        var terms: [ParameterTerm] = []
        for text in try texts(key) { terms.append(try term(.text(text), key)) }
        return terms
    }

    private func term(_ value: ModelValue, _ key: String) throws(ModelFault) -> ParameterTerm {
        if let number = value.number, number.isFinite { return .number(number) }
        guard let text = value.text, !text.isEmpty else { throw fault(key, "a number or the name of a parameter") }
        do throws(Arithmetic.Malformed) {
            return try Arithmetic(text).map { .arithmetic($0) } ?? .parameter(text)
        } catch {
            throw ModelFault(
                plugin.place,
                key: "config.\(key)",
                expected: "arithmetic such as =2*carbon or ='cpu/energy'/3: \(error.expected)",
                found: "the text \"\(text)\""
            )
        }
    }
}

/// What stands for a number in a plugin's settings.
enum ParameterTerm: Sendable, Hashable {
    case number(Double)
    case parameter(String)
    case arithmetic(Arithmetic)

    /// Those whose values it takes.
    var parameters: [String] {
        switch self {
        case .number: []
        case .parameter(let name): [name]
        case .arithmetic(let arithmetic): arithmetic.term.names
        }
    }
}
