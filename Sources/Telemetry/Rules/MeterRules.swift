public import Documents
import Energy

/// `meters.yaml`: the one table by which other exporters' series become meters. Pure; the file's text is read elsewhere.
public struct MeterRules: Sendable {
    /// What is wrong with a table: where, what was expected, what was found.
    public struct Fault: Error, Hashable, CustomStringConvertible {
        public let description: String

        public init(_ description: String) { self.description = description }
    }

    /// A series whose labels say more of others: `node_hwmon_chip_names` tells a chip's name.
    public struct Info: Sendable, Hashable {
        public var series: String
        /// Labels that both must have with the same value.
        public var on: [String]
        /// Labels that it adds.
        public var adds: [String]
        /// Beginning of the names of the series that it tells of.
        public var prefix: String
    }

    public private(set) var rules: [MeterRule]
    public private(set) var infos: [Info]
    /// Labels that name a host, in this order.
    public private(set) var hostLabels: [String]
    /// Labels by which replicas of one Prometheus differ.
    public private(set) var replicaLabels: [String]
    /// Rules with a plain name, by it.
    private let byName: [String: [Int]]
    /// Rules with a `*` in a name: what stands before it is looked at first, since most of the thousands of series are none of ours.
    private let patterns: [(rule: Int, prefix: [UInt8], pattern: Pattern)]

    private init(rules: [MeterRule], infos: [Info], hostLabels: [String], replicaLabels: [String]) {
        self.rules = rules
        self.infos = infos
        self.hostLabels = hostLabels
        self.replicaLabels = replicaLabels
        var byName: [String: [Int]] = [:]
        var patterns: [(rule: Int, prefix: [UInt8], pattern: Pattern)] = []
        for (i, rule) in rules.enumerated() {
            for name in rule.series {
                if name.contains("*") {
                    patterns.append((i, Array(name.utf8.prefix { $0 != UInt8(ascii: "*") }), Pattern(name)))
                } else {
                    byName[name, default: []].append(i)
                }
            }
        }
        self.byName = byName
        self.patterns = patterns
    }

    /// These rules before others': what an operator's own table says comes first, and its labels count.
    public func before(_ others: MeterRules) -> MeterRules {
        MeterRules(
            rules: rules + others.rules,
            infos: infos + others.infos.filter { info in !infos.contains { $0.series == info.series } },
            hostLabels: hostLabels.isEmpty ? others.hostLabels : hostLabels,
            replicaLabels: replicaLabels.isEmpty ? others.replicaLabels : replicaLabels
        )
    }

    /// Rules for series of that name, in the table's order.
    func candidates(for name: String) -> [MeterRule] {
        var indices = byName[name] ?? []
        for (rule, prefix, pattern) in patterns where name.utf8.starts(with: prefix) && pattern.matches(name) { indices.append(rule) }
        return indices.isEmpty ? [] : Set(indices).sorted().map { rules[$0] }
    }

    // MARK: Reading

    private static let keys = ["builtin", "host_labels", "replica_labels", "info", "rules"]
    private static let ruleKeys = [
        "name", "exporter", "series", "with", "without", "hosts", "from", "until", "as", "meter", "zone", "package", "die", "inside",
        "reading", "unit", "sensor", "quality", "epsilon_j", "p_max_w", "counter_range_j", "least_counter_range_j", "longest_step_s",
        "longest_repeat_s", "sum_over", "host_labels", "note",
    ]

    /// - Parameter json: the file, whose scalars may all be texts.
    /// - Throws: `Fault`.
    public init(json: JSONValue) throws(Fault) {
        let keys = try Self.mapping(json, "the file", known: Self.keys)
        var rules: [MeterRule] = []
        for (i, value) in try Self.list(keys["rules"], "rules").enumerated() {
            let rule = try Self.rule(value, position: i + 1)
            guard !rules.contains(where: { $0.name == rule.name }) else {
                throw Fault("rule \(rule.name): expected a name of its own, found a second rule of that name")
            }
            rules.append(rule)
        }
        var infos: [Info] = []
        for value in try Self.list(keys["info"], "info") {
            let fields = try Self.mapping(value, "info", known: ["series", "on", "adds", "prefix"])
            guard let series = fields["series"]?.string else { throw Fault("info: expected the key series, found none") }
            infos.append(
                Info(
                    series: series,
                    on: try Self.texts(fields["on"], "info \(series), on"),
                    adds: try Self.texts(fields["adds"], "info \(series), adds"),
                    prefix: fields["prefix"]?.string ?? ""
                )
            )
        }
        self.init(
            rules: rules,
            infos: infos,
            hostLabels: try Self.texts(keys["host_labels"], "host_labels"),
            replicaLabels: try Self.texts(keys["replica_labels"], "replica_labels")
        )
    }

    /// Whether the shipped rules follow the file's own: unless it says `builtin: false`.
    public static func wantsBuiltin(_ json: JSONValue) -> Bool {
        let word = json.object?["builtin"]
        return word?.bool ?? (word?.string != "false")
    }

    private static func rule(_ value: JSONValue, position: Int) throws(Fault) -> MeterRule {
        let name = value.object?["name"]?.string ?? ""
        let place = name.isEmpty ? "rule \(position)" : "rule \(name)"
        let keys = try mapping(value, place, known: ruleKeys)
        guard !name.isEmpty else { throw Fault("\(place): expected the key name, found none") }
        let series = try texts(keys["series"], "\(place), series")
        guard !series.isEmpty else { throw Fault("\(place): expected the key series, found none") }
        func word<T>(_ key: String, _ of: [String: T]) throws(Fault) -> T? {
            guard let text = keys[key]?.string else { return nil }
            guard let value = of[text] else {
                throw Fault("\(place), \(key): expected one of \(of.keys.sorted().joined(separator: ", ")), found \(text)")
            }
            return value
        }
        func number(_ key: String, _ range: ClosedRange<Double>) throws(Fault) -> Double? {
            guard let value = keys[key], !value.isNull else { return nil }
            guard let number = value.double ?? value.string.flatMap({ Double($0) }), range.contains(number) else {
                throw Fault("\(place), \(key): expected \(range.lowerBound) to \(range.upperBound), found \(value.described)")
            }
            return number
        }
        func template(_ key: String) throws(Fault) -> LabelTemplate? {
            guard let text = keys[key]?.string else { return nil }
            return try LabelTemplate(text)
        }
        func day(_ key: String) throws(Fault) -> Timestamp? {
            guard let text = keys[key]?.string else { return nil }
            guard let time = RFC3339.parse(text) ?? RFC3339.parse(text + "T00:00:00Z") else {
                throw Fault("\(place), \(key): expected a day such as 2026-09-01, or an RFC 3339 time, found \(text)")
            }
            return time
        }
        let kind = try word("as", ["meter": 0, "host_busy": 1, "ignored": 2]) ?? 0
        let role: MeterRule.Role
        switch kind {
        case 0:
            let zones = Dictionary(uniqueKeysWithValues: Zone.allCases.map { ($0.rawValue, $0) })
            guard let meter = try template("meter"), let zone = try word("zone", zones) else {
                throw Fault("\(place): expected the keys meter and zone, found \(keys.keys.sorted().joined(separator: ", "))")
            }
            role = .meter(
                MeterRule.Place(
                    name: meter,
                    zone: zone,
                    package: try template("package"),
                    die: try template("die"),
                    inside: try template("inside")
                )
            )
        case 1: role = .hostBusy
        default: role = .ignored
        }
        var rule = MeterRule(
            name: name,
            exporter: keys["exporter"]?.string ?? name,
            series: series,
            role: role,
            sensor: keys["sensor"]?.string ?? "prometheus"
        )
        rule.with = try patterns(keys["with"], "\(place), with")
        rule.without = try patterns(keys["without"], "\(place), without")
        if keys["hosts"] != nil { rule.hosts = try texts(keys["hosts"], "\(place), hosts").map { Pattern($0) } }
        rule.from = try day("from")
        rule.until = try day("until")
        rule.reading = try word("reading", Dictionary(uniqueKeysWithValues: MeterRule.Reading.allCases.map { ($0.rawValue, $0) }))
        if let text = keys["unit"]?.string {
            guard let unit = SeriesUnit(text) else {
                throw Fault("\(place), unit: expected J, mJ, uJ, Wh, kWh, W, mW, uW..., found \(text)")
            }
            rule.unit = unit
        }
        rule.quality = try word("quality", ["measured": Quality.measured, "sampled": .sampled, "modelled": .modelled])
        if let joules = try number("epsilon_j", 0...1e6) { rule.epsilon = .joules(joules) }
        if let watts = try number("p_max_w", 1e-3...1e6) { rule.maximumPower = Power(watts: watts) }
        rule.counterRange = try number("counter_range_j", 1...1e12).map { Energy.joules($0).microjoules }
        rule.leastCounterRange = try number("least_counter_range_j", 1...1e12).map { Energy.joules($0).microjoules }
        if let seconds = try number("longest_step_s", 1...86_400) { rule.longestStep = Microseconds(Int64(seconds * 1e6)) }
        rule.longestRepeat = try number("longest_repeat_s", 1...864_000).map { Microseconds(Int64($0 * 1e6)) }
        rule.sumOver = try texts(keys["sum_over"], "\(place), sum_over")
        if keys["host_labels"] != nil { rule.hostLabels = try texts(keys["host_labels"], "\(place), host_labels") }
        rule.note = keys["note"]?.string ?? ""
        return rule
    }

    private static func mapping(_ value: JSONValue, _ place: String, known: [String]) throws(Fault) -> [String: JSONValue] {
        guard let keys = value.object else {
            throw Fault("\(place): expected \(known.joined(separator: ", ")) as `key: value`, found \(value.described)")
        }
        if let unknown = keys.keys.sorted().first(where: { !known.contains($0) }) {
            throw Fault("\(place): expected one of \(known.joined(separator: ", ")), found \(unknown.prefix(60))")
        }
        return keys
    }

    private static func list(_ value: JSONValue?, _ place: String) throws(Fault) -> [JSONValue] {
        guard let value, !value.isNull else { return [] }
        guard let list = value.array else { throw Fault("\(place): expected a list, found \(value.described)") }
        return list
    }

    /// A text, or a list of them.
    private static func texts(_ value: JSONValue?, _ place: String) throws(Fault) -> [String] {
        guard let value, !value.isNull else { return [] }
        let list = value.array ?? [value]
        let texts = list.compactMap(\.string)
        guard texts.count == list.count else { throw Fault("\(place): expected a text or a list of texts, found \(value.described)") }
        return texts
    }

    private static func patterns(_ value: JSONValue?, _ place: String) throws(Fault) -> [String: [Pattern]] {
        guard let value, !value.isNull else { return [:] }
        guard let fields = value.object else { throw Fault("\(place): expected labels as `label: pattern`, found \(value.described)") }
        var result: [String: [Pattern]] = [:]
        for (label, value) in fields { result[label] = try texts(value, "\(place), \(label)").map { Pattern($0) } }
        return result
    }
}
