/// What one unit of a series' value is in µJ, µW, or µs.
public enum SeriesUnit: Hashable, Sendable {
    case energy(microjoules: Double)
    case power(microwatts: Double)
    /// CPU time.
    case time(microseconds: Double)

    /// By a word of a rule, of UCUM (OTLP), or of a name's end; nil for anything else.
    public init?(_ word: String) {
        guard let unit = Self.words[word] ?? Self.words[word.lowercased()] else { return nil }
        self = unit
    }

    /// Whether both count the same: energy, power, or time.
    func isLike(_ other: SeriesUnit) -> Bool {
        switch (self, other) {
        case (.energy, .energy), (.power, .power), (.time, .time): true
        default: false
        }
    }

    /// By the end of a series' name: `node_rapl_package_joules_total`, `scaph_host_power_microwatts`.
    public init?(suffixOf name: String) {
        var words = name.lowercased().split(separator: "_").map(String.init)
        if words.last == "total" { words.removeLast() }
        guard let last = words.last, let unit = Self.words[last] else { return nil }
        self = unit
    }

    /// Case tells mW from MW.
    private static let words: [String: SeriesUnit] = {
        var words: [String: SeriesUnit] = [:]
        let scales: [(String, String, Double)] = [
            ("", "", 1e6), ("k", "kilo", 1e9), ("m", "milli", 1e3), ("u", "micro", 1), ("µ", "micro", 1), ("M", "mega", 1e12),
            ("G", "giga", 1e15),
        ]
        for (symbol, word, scale) in scales {
            words["\(symbol)J"] = .energy(microjoules: scale)
            words["\(word)joule"] = .energy(microjoules: scale)
            words["\(word)joules"] = .energy(microjoules: scale)
            words["\(symbol)W"] = .power(microwatts: scale)
            words["\(word)watt"] = .power(microwatts: scale)
            words["\(word)watts"] = .power(microwatts: scale)
            words["\(symbol)Wh"] = .energy(microjoules: scale * 3600)
            words["\(symbol)W.h"] = .energy(microjoules: scale * 3600)
            words["\(word)watthours"] = .energy(microjoules: scale * 3600)
            words["\(word)watthour"] = .energy(microjoules: scale * 3600)
        }
        words["kj"] = .energy(microjoules: 1e9)
        words["kw"] = .power(microwatts: 1e9)
        words["wh"] = .energy(microjoules: 3.6e9)
        words["kwh"] = .energy(microjoules: 3.6e12)
        words["seconds"] = .time(microseconds: 1e6)
        words["s"] = .time(microseconds: 1e6)
        words["milliseconds"] = .time(microseconds: 1e3)
        words["ms"] = .time(microseconds: 1e3)
        return words
    }()
}
