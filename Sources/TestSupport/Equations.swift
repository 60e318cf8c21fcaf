/// Redoes printed equations as somebody with a pocket calculator would: `  name: 2 J x 3 + 1 J = 7 J  (what it is)`.
///
/// Every number stands for all that are rounded to it; an equation holds where both sides can be the same.
public struct Equations {
    public private(set) var count = 0
    /// Equations that do not hold, or cannot be read.
    public private(set) var faults: [String] = []

    public init(_ text: String) {
        for line in text.split(separator: "\n") where line.hasPrefix("  ") && line.contains(" = ") {
            count += 1
            guard let name = line.firstRange(of: ": ") else {
                faults.append("no name: \(line)")
                continue
            }
            var rest = line[name.upperBound...]
            if let comment = rest.firstRange(of: "  (") { rest = rest[..<comment.lowerBound] }
            let sides = rest.split(separator: "=").map { Side.parse(String($0)) }
            guard sides.count == 2, let left = sides[0], let right = sides[1] else {
                faults.append("no arithmetic: \(line)")
                continue
            }
            let slack = left.radius + right.radius + 2 * right.unit + 1e-12 * abs(right.value)
            if !(abs(left.value - right.value) <= slack) { faults.append("\(left.value) is not \(right.value) (\(slack)): \(line)") }
        }
    }

    /// A value with half the width of what it stands for, and one in the last decimal that was written.
    private struct Side {
        var value: Double
        var radius = 0.0
        var unit = 0.0

        static func parse(_ text: String) -> Side? {
            var reader = Reader(text)
            guard let side = reader.sum(), reader.isAtEnd else { return nil }
            return side
        }
    }

    private struct Reader {
        private var tokens: [String] = []
        private var next = 0

        init(_ text: String) {
            var word = ""
            func isNumeric(_ c: Character) -> Bool { c.isNumber || c == "." }
            for c in text.replacing("g/kWh", with: " ") + " " {
                let isPart = isNumeric(c) || c.isLetter || c == "µ" || c == "%"
                if isPart, word.isEmpty || isNumeric(word.first ?? " ") == isNumeric(c) {
                    word.append(c)
                    continue
                }
                if !word.isEmpty { tokens.append(word) }
                word = isPart ? String(c) : ""
                if "+-/(),".contains(c) { tokens.append(String(c)) }
            }
            // Units say what a number is of; the arithmetic is the same.
            tokens.removeAll { $0.first?.isLetter == true && $0 != "x" && $0 != "max" }
        }

        var isAtEnd: Bool { next == tokens.count }

        private mutating func take(_ token: String) -> Bool {
            guard next < tokens.count, tokens[next] == token else { return false }
            next += 1
            return true
        }

        mutating func sum() -> Side? {
            guard var left = product() else { return nil }
            while true {
                let isPlus = take("+")
                guard isPlus || take("-") else { return left }
                guard let right = product() else { return nil }
                left.value += isPlus ? right.value : -right.value
                left.radius += right.radius
                left.unit = max(left.unit, right.unit)
            }
        }

        private mutating func product() -> Side? {
            guard var left = factor() else { return nil }
            while true {
                let isTimes = take("x")
                guard isTimes || take("/") else { return left }
                guard var right = factor() else { return nil }
                if !isTimes {
                    guard abs(right.value) > right.radius else { return nil }
                    right = Side(value: 1 / right.value, radius: right.radius / (abs(right.value) * (abs(right.value) - right.radius)))
                }
                left = Side(
                    value: left.value * right.value,
                    radius: abs(left.value) * right.radius + abs(right.value) * left.radius + left.radius * right.radius
                )
            }
        }

        private mutating func factor() -> Side? {
            if take("-") { return factor().map { Side(value: -$0.value, radius: $0.radius, unit: $0.unit) } }
            if take("max") {
                guard take("("), let a = sum(), take(","), let b = sum(), take(")") else { return nil }
                return Side(value: max(a.value, b.value), radius: max(a.radius, b.radius))
            }
            if take("(") {
                guard let inner = sum(), take(")") else { return nil }
                return inner
            }
            guard next < tokens.count, let value = Double(tokens[next]) else { return nil }
            let decimals = tokens[next].firstIndex(of: ".").map { tokens[next].distance(from: $0, to: tokens[next].endIndex) - 1 } ?? 0
            next += 1
            // A short number is written in full; a long one is rounded.
            let last = (0..<decimals).reduce(1.0) { unit, _ in unit / 10 }
            return decimals >= 3 ? Side(value: value, radius: last / 2, unit: last) : Side(value: value, unit: 1e-6)
        }
    }
}
