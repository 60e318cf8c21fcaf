/// The arithmetic that a manifest may write instead of a number or a name: `=2*carbon`, `=(a+b)/'cpu/energy'`.
///
/// Numbers, names of parameters, `+ - * /` and parentheses, and nothing else: it is read here, never run as a program. A name with other
/// characters than letters, digits and `_` stands in quotes.
struct Arithmetic: Sendable, Hashable {
    indirect enum Term: Sendable, Hashable {
        case number(Double)
        case name(String)
        case negative(Term)
        case sum(Term, Term)
        case difference(Term, Term)
        case product(Term, Term)
        case quotient(Term, Term)

        var names: [String] {
            switch self {
            case .number: []
            case .name(let name): [name]
            case .negative(let a): a.names
            case .sum(let a, let b), .difference(let a, let b), .product(let a, let b), .quotient(let a, let b): a.names + b.names
            }
        }
    }

    struct Malformed: Error {
        let expected: String
    }

    let term: Term

    /// Nil for a text that is no arithmetic, as it does not start with `=`.
    init?(_ text: String) throws(Malformed) {
        guard text.utf8.first == UInt8(ascii: "=") else { return nil }
        var reader = Reader(rest: Array(text.utf8.dropFirst())[...])
        term = try reader.whole()
    }

    /// The value, with the parameters' values from a closure.
    func value<Fault: Error>(_ parameter: (String) throws(Fault) -> Double) throws(Fault) -> Double {
        try Self.value(term, parameter)
    }

    private static func value<Fault: Error>(_ term: Term, _ parameter: (String) throws(Fault) -> Double) throws(Fault) -> Double {
        switch term {
        case .number(let number): number
        case .name(let name): try parameter(name)
        case .negative(let a): -(try value(a, parameter))
        case .sum(let a, let b): try value(a, parameter) + value(b, parameter)
        case .difference(let a, let b): try value(a, parameter) - value(b, parameter)
        case .product(let a, let b): try value(a, parameter) * value(b, parameter)
        case .quotient(let a, let b): try value(a, parameter) / value(b, parameter)
        }
    }

    private struct Reader {
        var rest: ArraySlice<UInt8>
        var depth = 0
        var length = 0

        mutating func whole() throws(Malformed) -> Term {
            let term = try sum()
            guard next() == nil else { throw Malformed(expected: "an operator or the end") }
            return term
        }

        private mutating func next() -> UInt8? {
            while rest.first == UInt8(ascii: " ") { rest.removeFirst() }
            return rest.first
        }

        private mutating func take(_ byte: UInt8) -> Bool {
            guard next() == byte else { return false }
            rest.removeFirst()
            return true
        }

        private mutating func sum() throws(Malformed) -> Term {
            var term = try product()
            while true {
                try grow()
                if take(UInt8(ascii: "+")) {
                    term = .sum(term, try product())
                } else if take(UInt8(ascii: "-")) {
                    term = .difference(term, try product())
                } else {
                    return term
                }
            }
        }

        private mutating func product() throws(Malformed) -> Term {
            var term = try factor()
            while true {
                try grow()
                if take(UInt8(ascii: "*")) {
                    term = .product(term, try factor())
                } else if take(UInt8(ascii: "/")) {
                    term = .quotient(term, try factor())
                } else {
                    return term
                }
            }
        }

        /// Terms are evaluated one within another, so their number is limited.
        private mutating func grow() throws(Malformed) {
            length += 1
            guard length < 1_000 else { throw Malformed(expected: "a shorter formula") }
        }

        private mutating func factor() throws(Malformed) -> Term {
            depth += 1
            defer { depth -= 1 }
            guard depth < 64 else { throw Malformed(expected: "fewer parentheses") }
            if take(UInt8(ascii: "-")) { return .negative(try factor()) }
            if take(UInt8(ascii: "(")) {
                let term = try sum()
                guard take(UInt8(ascii: ")")) else { throw Malformed(expected: "a closing parenthesis") }
                return term
            }
            guard let first = next() else { throw Malformed(expected: "a number, a name or a parenthesis") }
            if first == UInt8(ascii: "'") || first == UInt8(ascii: "\"") {
                rest.removeFirst()
                guard let end = rest.firstIndex(of: first), end > rest.startIndex else {
                    throw Malformed(expected: "a name between quotes")
                }
                let name = String(decoding: rest[..<end], as: UTF8.self)
                rest = rest[(end + 1)...]
                return .name(name)
            }
            let isDigit = (48...57).contains(first) || first == UInt8(ascii: ".")
            let word = rest.prefix { byte in
                (48...57).contains(byte) || (isDigit && byte == UInt8(ascii: "."))
                    || (!isDigit && (byte == UInt8(ascii: "_") || (65...90).contains(byte) || (97...122).contains(byte)))
            }
            guard !word.isEmpty else { throw Malformed(expected: "a number, a name or a parenthesis") }
            let text = String(decoding: word, as: UTF8.self)
            rest = rest[word.endIndex...]
            guard isDigit else { return .name(text) }
            guard let number = Double(text) else { throw Malformed(expected: "a number such as 0.5") }
            return .number(number)
        }
    }
}
