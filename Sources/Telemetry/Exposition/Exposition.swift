public import Energy

/// What a target answers when it is scraped: Prometheus' text format 0.0.4 or OpenMetrics 1.0.
public struct Exposition: Sendable, Hashable {
    public enum Format: Sendable, Hashable {
        /// `text/plain; version=0.0.4`: times in ms.
        case text
        /// `application/openmetrics-text`: times in seconds, `_created` series, and `# EOF` at the end.
        case openMetrics
    }

    public var series: [TelemetrySeries] = []

    /// - Parameters:
    ///   - scrapedAt: the time of samples that have none of their own.
    ///   - most: samples at most.
    /// - Throws: `TelemetryFault` that names the line.
    public init(_ bytes: [UInt8], format: Format, scrapedAt: Timestamp, most: Int = TelemetryLimits.samples) throws(TelemetryFault) {
        var kinds: [String: TelemetrySeries.Kind] = [:]
        var units: [String: String] = [:]
        var created: [Created: Timestamp] = [:]
        var isEnded = false
        var number = 0
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            guard line.contains(where: { $0 != 32 && $0 != 9 }) else { continue }
            if isEnded { throw TelemetryFault(field: "line \(number)", expected: "nothing after # EOF", found: "more") }
            if line.first == UInt8(ascii: "#") {
                let words = String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 3).map(String.init)
                if words == ["#", "EOF"] { isEnded = format == .openMetrics }
                guard words.count == 4 else { continue }
                if words[1] == "TYPE" { kinds[words[2]] = Self.kind(words[3]) }
                if words[1] == "UNIT" { units[words[2]] = words[3] }
                continue
            }
            var reader = LineReader(line, number: number)
            let (name, labels) = try reader.series()
            let value = try reader.value()
            let time = try reader.time(format) ?? scrapedAt
            if format == .openMetrics, name.hasSuffix("_created") {
                let family = String(name.dropLast(8))
                if kinds[family] == .counter, value.isFinite, value > 0 {
                    created[Created(family: family, labels: labels)] = Timestamp(microseconds: Int64(saturating: value * 1e6)).asStart
                    continue
                }
            }
            guard series.count < most else {
                throw TelemetryFault(field: "line \(number)", expected: "at most \(most) samples", found: "more")
            }
            let family = Self.family(name, format)
            series.append(
                TelemetrySeries(
                    name: name,
                    labels: labels,
                    kind: kinds[name] ?? kinds[family] ?? .unknown,
                    unit: units[name] ?? units[family] ?? "",
                    samples: [TelemetrySample(time: time, value: value)]
                )
            )
        }
        guard format == .text || isEnded else { throw TelemetryFault(field: "line \(number)", expected: "# EOF", found: "the end") }
        guard !created.isEmpty else { return }
        for i in series.indices {
            guard let start = created[Created(family: Self.family(series[i].name, format), labels: series[i].labels)] else { continue }
            series[i].samples[0].startedAt = start
        }
    }

    private struct Created: Hashable {
        let family: String
        let labels: [String: String]
    }

    /// In OpenMetrics a counter's family lacks the `_total` of its samples.
    private static func family(_ name: String, _ format: Format) -> String {
        format == .openMetrics && name.hasSuffix("_total") ? String(name.dropLast(6)) : name
    }

    private static func kind(_ word: String) -> TelemetrySeries.Kind {
        switch word {
        case "counter": .counter
        case "gauge": .gauge
        case "untyped", "unknown": .unknown
        default: .other
        }
    }
}

/// One line with a sample: `name{label="value",...} 1.5e3 1395066363000`.
private struct LineReader {
    private let line: ArraySlice<UInt8>
    private let lineNumber: Int
    private var position: Int

    init(_ line: ArraySlice<UInt8>, number lineNumber: Int) {
        self.line = line
        self.lineNumber = lineNumber
        position = line.startIndex
    }

    private var next: UInt8? { position < line.endIndex ? line[position] : nil }

    private func fault(_ expected: String) -> TelemetryFault {
        let rest = String(decoding: line[position..<min(line.endIndex, position + 20)], as: UTF8.self)
        return TelemetryFault(field: "line \(lineNumber)", expected: expected, found: rest.isEmpty ? "its end" : rest)
    }

    private mutating func skipBlanks() { while let byte = next, byte == 32 || byte == 9 { position += 1 } }

    private mutating func name(_ what: String) throws(TelemetryFault) -> String {
        let start = position
        while let byte = next {
            let isLetter = (65...90).contains(byte) || (97...122).contains(byte) || byte == 95 || byte == 58
            guard isLetter || (position > start && (48...57).contains(byte)) else { break }
            position += 1
        }
        guard position > start else { throw fault(what) }
        return String(decoding: line[start..<position], as: UTF8.self)
    }

    mutating func series() throws(TelemetryFault) -> (String, [String: String]) {
        skipBlanks()
        let name = try name("the name of a series")
        var labels: [String: String] = [:]
        skipBlanks()
        guard next == UInt8(ascii: "{") else { return (name, labels) }
        position += 1
        while true {
            skipBlanks()
            if next == UInt8(ascii: "}") { break }
            let label = try self.name("a label or }")
            skipBlanks()
            guard next == UInt8(ascii: "=") else { throw fault("=") }
            position += 1
            skipBlanks()
            let value = try quoted()
            guard labels.updateValue(value, forKey: label) == nil else {
                throw TelemetryFault(field: "line \(lineNumber)", expected: "each label once", found: "\(label) twice")
            }
            skipBlanks()
            if next == UInt8(ascii: ",") { position += 1 } else if next != UInt8(ascii: "}") { throw fault(", or }") }
        }
        position += 1
        return (name, labels)
    }

    private mutating func quoted() throws(TelemetryFault) -> String {
        guard next == UInt8(ascii: "\"") else { throw fault("a value in quotes") }
        position += 1
        var bytes: [UInt8] = []
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else { throw fault("UTF-8 without zeros") }
                return text
            case UInt8(ascii: "\\"):
                guard let escaped = next else { throw fault("something after \\") }
                position += 1
                if escaped != UInt8(ascii: "n"), escaped != UInt8(ascii: "\\"), escaped != UInt8(ascii: "\"") { bytes.append(byte) }
                bytes.append(escaped == UInt8(ascii: "n") ? 10 : escaped)
            default: bytes.append(byte)
            }
        }
        throw fault("the closing quote")
    }

    private mutating func word() -> String {
        skipBlanks()
        let start = position
        while let byte = next, byte != 32, byte != 9 { position += 1 }
        return String(decoding: line[start..<position], as: UTF8.self)
    }

    mutating func value() throws(TelemetryFault) -> Double {
        let text = word()
        switch text {
        case "+Inf", "Inf": return .infinity
        case "-Inf": return -.infinity
        case "NaN": return .nan
        default: break
        }
        guard let value = Double(text) else {
            throw TelemetryFault(field: "line \(lineNumber)", expected: "a number", found: String(text.prefix(40)))
        }
        return value
    }

    /// Nil where the sample has none.
    mutating func time(_ format: Exposition.Format) throws(TelemetryFault) -> Timestamp? {
        let text = word()
        // What follows a # is an exemplar.
        guard !text.isEmpty, !text.hasPrefix("#") else { return nil }
        switch format {
        case .text:
            if let milliseconds = Int64(text), let time = Timestamp(milliseconds: milliseconds) { return time }
        case .openMetrics:
            if let seconds = Double(text), seconds.isFinite { return Timestamp(microseconds: Int64(saturating: (seconds * 1e6).rounded())) }
        }
        throw TelemetryFault(field: "line \(lineNumber)", expected: "a time", found: String(text.prefix(40)))
    }
}
