import Documents
public import Energy

/// A meter of a host as its rule describes it.
public struct TelemetryMeter: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case energy(MeterPlaceDescription)
        case hostBusy
    }

    /// Where the meter stands on its host.
    public struct MeterPlaceDescription: Sendable, Hashable {
        public var zone: Zone
        public var package: Int?
        public var die: Int?
        public var inside: String?
    }

    /// Unique on the host: `node_exporter/rapl/package-0`.
    public var name: String
    public var kind: Kind
    public var reading: MeterRule.Reading
    public var sensor: String
    public var quality: Quality
    /// In the curve's unit.
    public var epsilon: Int64
    public var maximumPower: Power
    /// The largest value of a counter that wraps.
    public var counterRange: Int64?
    public var leastCounterRange: Int64?
    public var longestStep: Microseconds
    public var longestRepeat: Microseconds?
    public var isSum: Bool
    /// Where the figures come from, for people.
    public var basis: String
}

/// A series with the meter that it is, or is a part of.
public struct MappedSeries: Sendable, Hashable {
    /// A value in the meter's unit.
    public struct Reading: Sendable, Hashable {
        public var time: Timestamp
        /// µJ, µW or µs; nil where the series ended or has no value (`isStale`), or a value that cannot be.
        public var value: Int64?
        public var isStale: Bool
        public var startedAt: Timestamp?
    }

    public var hostName: String
    public var meter: TelemetryMeter
    /// Which part of the meter's sum it is; empty for a meter of one series.
    public var part: String
    /// Values of the labels by which replicas differ.
    public var replica: String
    /// Each reading is an increase since its own start.
    public var isDelta: Bool
    public var readings: [Reading]
    /// As it came, to be told of.
    public var seriesName = ""
    public var labels: [String: String] = [:]
}

/// What becomes of a series.
public enum SeriesOutcome: Sendable, Hashable {
    case mapped(MappedSeries)
    /// A rule says that it is not to be counted.
    case ignored(rule: String)
    /// It tells of other series.
    case info
    case unmapped(Reason)

    public enum Reason: String, Sendable, CaseIterable {
        /// No rule knows the name.
        case noRule = "no_rule"
        /// Rules know the name, none its labels.
        case noMatch = "no_match"
        /// No label names a host, or it is only this machine's name for itself.
        case noHost = "no_host"
        /// A label that the rule needs is missing.
        case noLabel = "no_label"
        /// Neither the rule nor the name nor the sender says what the unit is, or the sender says one that is not known.
        case noUnit = "no_unit"
    }
}

/// Labels that info series tell of, by host.
public struct SeriesInfo: Sendable, Hashable {
    public struct Key: Sendable, Hashable {
        public var host: String
        public var series: String
        /// The values of the labels that both have, in the rule's order.
        public var on: [String]

        public init(host: String, series: String, on: [String]) {
            self.host = host
            self.series = series
            self.on = on
        }
    }

    public private(set) var labels: [Key: [String: String]] = [:]

    public init() {}

    /// Returns whether it is news.
    @discardableResult
    public mutating func note(_ added: [String: String], for key: Key) -> Bool {
        guard labels[key] != added else { return false }
        labels[key] = added
        return true
    }
}

extension MeterRules {
    /// The host that a series is of, letters as they are and without a port; nil where nothing names one.
    public func host(of labels: [String: String], by names: [String]? = nil) -> String? {
        for label in names ?? hostLabels {
            guard let value = labels[label], let host = Self.hostName(value) else { continue }
            return host
        }
        return nil
    }

    /// `bremusa:9100` is bremusa; a machine's name for itself names no machine.
    static func hostName(_ value: String) -> String? {
        var text = value
        for scheme in ["http://", "https://"] where text.hasPrefix(scheme) { text.removeFirst(scheme.count) }
        if let slash = text.firstIndex(of: "/") { text = String(text[..<slash]) }
        if text.hasPrefix("["), let close = text.firstIndex(of: "]") {
            text = String(text[text.index(after: text.startIndex)..<close])
        } else if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
            text = String(text[..<colon])
        }
        guard (1...255).contains(text.utf8.count), !text.utf8.contains(0) else { return nil }
        let own = ["localhost", "::1", "0.0.0.0", "::", "localhost.localdomain"]
        guard !own.contains(text.lowercased()), !text.hasPrefix("127.") else { return nil }
        return text
    }

    /// What info series among these say, noted; returns those that are news.
    public func noteInfo(_ series: some Sequence<TelemetrySeries>, in info: inout SeriesInfo) -> [SeriesInfo.Key] {
        var news: [SeriesInfo.Key] = []
        guard !infos.isEmpty else { return [] }
        let names = Set(infos.map(\.series))
        for one in series where names.contains(one.name) {
            guard let rule = infos.first(where: { $0.series == one.name }), let host = host(of: one.labels) else { continue }
            let on = rule.on.map { one.labels[$0] ?? "" }
            let added = one.labels.filter { rule.adds.contains($0.key) && !$0.value.isEmpty }
            guard !added.isEmpty, one.samples.contains(where: { !$0.isStale }) else { continue }
            let key = SeriesInfo.Key(host: host, series: one.name, on: on)
            if info.note(added, for: key) { news.append(key) }
        }
        return news
    }

    /// Which meter a series is.
    public func map(_ series: TelemetrySeries, _ info: SeriesInfo = SeriesInfo()) -> SeriesOutcome {
        let candidates = candidates(for: series.name)
        if infos.contains(where: { $0.series == series.name }) { return .info }
        guard !candidates.isEmpty else { return .unmapped(.noRule) }
        let labels = told(series, info)
        var reason = SeriesOutcome.Reason.noMatch
        for rule in candidates where rule.matches(labels) {
            if case .ignored = rule.role { return .ignored(rule: rule.name) }
            guard let host = host(of: labels, by: rule.hostLabels) else {
                reason = .noHost
                continue
            }
            if let hosts = rule.hosts, !hosts.contains(where: { $0.matches(host) }) { continue }
            // A series that a row names for other times is another row's.
            guard series.samples.isEmpty || series.samples.contains(where: { rule.counts(at: $0.time) }) else { continue }
            switch mapped(series, labels, rule, host) {
            case .success(let mapped): return .mapped(mapped)
            case .failure(let why): reason = why.reason
            }
        }
        return .unmapped(reason)
    }

    private func told(_ series: TelemetrySeries, _ info: SeriesInfo) -> [String: String] {
        var labels = series.labels
        for rule in infos where !rule.prefix.isEmpty && series.name.hasPrefix(rule.prefix) {
            guard let host = host(of: series.labels) else { continue }
            let key = SeriesInfo.Key(host: host, series: rule.series, on: rule.on.map { series.labels[$0] ?? "" })
            if let added = info.labels[key] { labels.merge(added) { own, _ in own } }
        }
        return labels
    }

    private struct Unmappable: Error {
        let reason: SeriesOutcome.Reason
    }

    /// The sender's word where it says one: its values are in that, whatever the row expects. A word that nobody knows, or one of another
    /// quantity than the row's, leaves nothing to go by.
    private static func unit(of series: TelemetrySeries, _ rule: MeterRule) -> SeriesUnit? {
        guard !series.unit.isEmpty else { return rule.unit ?? SeriesUnit(suffixOf: series.name) }
        guard let told = SeriesUnit(series.unit), rule.unit?.isLike(told) ?? true else { return nil }
        return told
    }

    private func mapped(
        _ series: TelemetrySeries,
        _ labels: [String: String],
        _ rule: MeterRule,
        _ host: String
    ) -> Result<MappedSeries, Unmappable> {
        guard let unit = Self.unit(of: series, rule) else { return .failure(Unmappable(reason: .noUnit)) }
        let (scale, reading): (Double, MeterRule.Reading) =
            switch unit {
            case .energy(let scale): (scale, .counter)
            case .power(let scale): (scale, .power)
            case .time(let scale): (scale, .counter)
            }
        var meter: TelemetryMeter
        switch rule.role {
        case .ignored: return .failure(Unmappable(reason: .noMatch))
        case .hostBusy:
            guard case .time = unit else { return .failure(Unmappable(reason: .noUnit)) }
            meter = self.meter("\(rule.exporter)/host-busy", .hostBusy, reading, rule)
            // 50 ms of CPU time.
            meter.epsilon = 50_000
        case .meter(let place):
            if case .time = unit { return .failure(Unmappable(reason: .noUnit)) }
            guard let name = place.name.filled(by: labels), name.utf8.count <= 200 else { return .failure(Unmappable(reason: .noLabel)) }
            let described = TelemetryMeter.MeterPlaceDescription(
                zone: place.zone,
                package: place.package.flatMap { $0.filled(by: labels) }.map(Self.number),
                die: place.die.flatMap { $0.filled(by: labels) }.map(Self.number),
                inside: place.inside.flatMap { $0.filled(by: labels) }.map { "\(rule.exporter)/\($0)" }
            )
            meter = self.meter("\(rule.exporter)/\(name)", .energy(described), rule.reading ?? reading, rule)
            meter.maximumPower = rule.maximumPower ?? place.zone.usualMaximumPower
        }
        let readings = series.samples.filter { rule.counts(at: $0.time) }.map { sample in
            let scaled = (sample.value * scale).rounded()
            // 2^62 and more is nothing that a machine counts.
            let isPossible = scaled.isFinite && scaled >= 0 && scaled < 4.6e18
            return MappedSeries.Reading(
                time: sample.time,
                value: isPossible && !sample.isStale ? Int64(scaled) : nil,
                isStale: sample.isStale,
                startedAt: sample.startedAt
            )
        }
        return .success(
            MappedSeries(
                hostName: host,
                meter: meter,
                part: rule.sumOver.map { labels[$0] ?? "" }.joined(separator: "/"),
                replica: replicaLabels.map { series.labels[$0] ?? "" }.joined(separator: "/"),
                isDelta: series.kind == .delta,
                readings: readings.sorted { $0.time < $1.time },
                seriesName: series.name,
                labels: series.labels
            )
        )
    }

    private func meter(_ name: String, _ kind: TelemetryMeter.Kind, _ reading: MeterRule.Reading, _ rule: MeterRule) -> TelemetryMeter {
        TelemetryMeter(
            name: name,
            kind: kind,
            reading: reading,
            sensor: rule.sensor,
            quality: rule.quality ?? (reading == .power ? .sampled : .measured),
            epsilon: rule.epsilon.microjoules,
            maximumPower: rule.maximumPower ?? Power(watts: 1_000),
            counterRange: rule.counterRange,
            leastCounterRange: rule.leastCounterRange,
            longestStep: rule.longestStep,
            longestRepeat: rule.longestRepeat,
            isSum: !rule.sumOver.isEmpty,
            basis: "\(rule.exporter), by the rule \(rule.name) of meters.yaml"
        )
    }

    /// The number at a text's end (`package-1`, `1`), else one that the text alone decides: two parts of different names stay two.
    static func number(_ text: String) -> Int {
        let digits = text.reversed().prefix { $0.isASCII && $0.isNumber }.reversed()
        if let number = Int(String(digits)), number < 10_000 { return number }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return 10_000 + Int(hash % 1_000_000_000)
    }
}
