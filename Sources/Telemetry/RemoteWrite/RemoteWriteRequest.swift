import Energy

/// What a Prometheus sends by remote write, of version 1.0 or 2.0, unpacked.
///
/// Decoded by hand: one pass over the bytes, and no message objects for the thousands of series that nobody maps.
/// Written after the specifications (prometheus.io/docs/specs/prw/remote_write_spec and .../remote_write_spec_2_0).
public struct RemoteWriteRequest: Sendable, Hashable {
    public enum Version: Sendable, Hashable {
        /// `prometheus.WriteRequest`
        case one
        /// `io.prometheus.write.v2.Request`
        case two
    }

    public var series: [TelemetrySeries] = []
    public var samples = 0
    /// Native histograms: counted, not kept, since no meter is one.
    public var histograms = 0
    public var exemplars = 0
    private var labels = 0

    /// - Throws: `TelemetryFault` that names the field, of more than `TelemetryLimits` too.
    public init(_ bytes: [UInt8], version: Version) throws(TelemetryFault) {
        switch version {
        case .one: try readOne(ProtobufReader(bytes))
        case .two: try readTwo(ProtobufReader(bytes))
        }
    }

    // MARK: 1.0

    private mutating func readOne(_ message: ProtobufReader) throws(TelemetryFault) {
        var message = message
        var families: [String: (kind: TelemetrySeries.Kind, unit: String)] = [:]
        try TelemetryLimits.check(try message.count(of: 1, in: "WriteRequest"), TelemetryLimits.series, "timeseries")
        try TelemetryLimits.check(try message.count(of: 3, in: "WriteRequest"), TelemetryLimits.series, "metadata")
        while let (field, wire) = try message.next(in: "WriteRequest") {
            switch field {
            case 1: try readSeriesOne(try message.message(wire, "timeseries[\(series.count)]"))
            case 3:
                var metadata = try message.message(wire, "metadata")
                var family = (name: "", kind: TelemetrySeries.Kind.unknown, unit: "")
                while let (field, wire) = try metadata.next(in: "metadata") {
                    switch field {
                    case 1: family.kind = Self.kind(try metadata.varint(wire, "metadata.type"))
                    case 2: family.name = try metadata.string(wire, "metadata.metric_family_name")
                    case 5: family.unit = try metadata.string(wire, "metadata.unit")
                    default: try metadata.skip(wire, in: "metadata")
                    }
                }
                families[family.name] = (family.kind, family.unit)
            case 4, 5: throw Self.otherVersion(field, "1 and 3 of prometheus.WriteRequest", "io.prometheus.write.v2.Request")
            default: try message.skip(wire, in: "WriteRequest")
            }
        }
        guard !families.isEmpty else { return }
        for i in series.indices {
            guard let family = families[series[i].name] else { continue }
            series[i].kind = family.kind
            series[i].unit = family.unit
        }
    }

    private mutating func readSeriesOne(_ message: ProtobufReader) throws(TelemetryFault) {
        let place = "timeseries[\(series.count)]"
        var message = message
        var new = TelemetrySeries(name: "")
        try count(samples: try message.count(of: 2, in: place), labels: try message.count(of: 1, in: place))
        while let (field, wire) = try message.next(in: place) {
            switch field {
            case 1:
                var label = try message.message(wire, "\(place).labels")
                var (name, value) = ("", "")
                while let (field, wire) = try label.next(in: "\(place).labels") {
                    switch field {
                    case 1: name = try label.string(wire, "\(place).labels.name")
                    case 2: value = try label.string(wire, "\(place).labels.value")
                    default: try label.skip(wire, in: "\(place).labels")
                    }
                }
                try Self.add(name, value, to: &new, place)
            case 2: new.samples.append(try Self.sample(try message.message(wire, "\(place).samples"), place))
            case 3:
                exemplars += 1
                try message.skip(wire, in: "\(place).exemplars")
            case 4:
                histograms += 1
                try message.skip(wire, in: "\(place).histograms")
            default: try message.skip(wire, in: place)
            }
        }
        try keep(new, place)
    }

    // MARK: 2.0

    private mutating func readTwo(_ message: ProtobufReader) throws(TelemetryFault) {
        var symbols: [String] = []
        var bodies: [ProtobufReader] = []
        var message = message
        try TelemetryLimits.check(try message.count(of: 5, in: "Request"), TelemetryLimits.series, "timeseries")
        try TelemetryLimits.check(try message.count(of: 4, in: "Request"), TelemetryLimits.labels, "symbols")
        while let (field, wire) = try message.next(in: "Request") {
            switch field {
            // Reserved, so that a request of 1.0 is told.
            case 1...3: throw Self.otherVersion(field, "4 and 5 of io.prometheus.write.v2.Request", "prometheus.WriteRequest")
            case 4: symbols.append(try message.string(wire, "symbols[\(symbols.count)]"))
            case 5: bodies.append(try message.message(wire, "timeseries[\(bodies.count)]"))
            default: try message.skip(wire, in: "Request")
            }
        }
        guard bodies.isEmpty || symbols.first == "" else {
            throw TelemetryFault(field: "symbols[0]", expected: "the empty text", found: symbols.first ?? "no symbols")
        }
        for body in bodies { try readSeriesTwo(body, symbols) }
    }

    private mutating func readSeriesTwo(_ message: ProtobufReader, _ symbols: [String]) throws(TelemetryFault) {
        let place = "timeseries[\(series.count)]"
        func symbol(_ reference: UInt64, _ field: String) throws(TelemetryFault) -> String {
            guard reference < UInt64(symbols.count) else {
                throw TelemetryFault(
                    field: "\(place).\(field)",
                    expected: "a number below \(symbols.count), how many symbols there are",
                    found: "\(reference)"
                )
            }
            return symbols[Int(reference)]
        }
        var message = message
        var new = TelemetrySeries(name: "")
        var references: [UInt64] = []
        var created: Timestamp?
        try count(samples: try message.count(of: 2, in: place), labels: 0)
        while let (field, wire) = try message.next(in: place) {
            switch field {
            case 1:
                let rest = TelemetryLimits.labels - labels
                try message.varints(wire, "\(place).labels_refs", into: &references, most: 2 * rest)
            case 2: new.samples.append(try Self.sample(try message.message(wire, "\(place).samples"), place))
            case 3:
                histograms += 1
                try message.skip(wire, in: "\(place).histograms")
            case 4:
                exemplars += 1
                try message.skip(wire, in: "\(place).exemplars")
            case 5:
                var metadata = try message.message(wire, "\(place).metadata")
                while let (field, wire) = try metadata.next(in: "\(place).metadata") {
                    switch field {
                    case 1: new.kind = Self.kind(try metadata.varint(wire, "\(place).metadata.type"))
                    case 4: new.unit = try symbol(try metadata.varint(wire, "\(place).metadata.unit_ref"), "metadata.unit_ref")
                    default: try metadata.skip(wire, in: "\(place).metadata")
                    }
                }
            case 6: created = try Self.start(try message.signed(wire, "\(place).created_timestamp"), "\(place).created_timestamp")
            default: try message.skip(wire, in: place)
            }
        }
        guard references.count % 2 == 0 else {
            throw TelemetryFault(
                field: "\(place).labels_refs",
                expected: "pairs of a name and a value",
                found: "\(references.count) numbers"
            )
        }
        try count(samples: 0, labels: references.count / 2)
        for i in stride(from: 0, to: references.count, by: 2) {
            try Self.add(try symbol(references[i], "labels_refs"), try symbol(references[i + 1], "labels_refs"), to: &new, place)
        }
        if let created { for i in new.samples.indices where new.samples[i].startedAt == nil { new.samples[i].startedAt = created } }
        try keep(new, place)
    }

    // MARK: Both

    private mutating func keep(_ new: TelemetrySeries, _ place: String) throws(TelemetryFault) {
        guard !new.name.isEmpty else {
            throw TelemetryFault(field: "\(place).labels", expected: "a label __name__", found: "\(new.labels.count) others")
        }
        samples += new.samples.count
        series.append(new)
    }

    private mutating func count(samples added: Int, labels new: Int) throws(TelemetryFault) {
        try TelemetryLimits.check(samples + added, TelemetryLimits.samples, "timeseries.samples")
        labels += new
        try TelemetryLimits.check(labels, TelemetryLimits.labels, "timeseries.labels")
    }

    private static func otherVersion(_ field: UInt64, _ expected: String, _ other: String) -> TelemetryFault {
        TelemetryFault(
            field: "the body",
            expected: "the fields \(expected), as the Content-Type says",
            found: "field \(field), which is of \(other)"
        )
    }

    private static func add(_ name: String, _ value: String, to series: inout TelemetrySeries, _ place: String) throws(TelemetryFault) {
        guard !name.isEmpty else { throw TelemetryFault(field: "\(place).labels.name", expected: "a name", found: "none") }
        if name == "__name__", series.name.isEmpty {
            series.name = value
        } else if name == "__name__" || series.labels.updateValue(value, forKey: name) != nil {
            throw TelemetryFault(field: "\(place).labels.name", expected: "each label once", found: "\(name) twice")
        }
    }

    private static func sample(_ message: ProtobufReader, _ place: String) throws(TelemetryFault) -> TelemetrySample {
        var message = message
        var sample = TelemetrySample(time: Timestamp(microseconds: 0), value: 0)
        while let (field, wire) = try message.next(in: "\(place).samples") {
            switch field {
            case 1: sample.value = try message.double(wire, "\(place).samples.value")
            case 2:
                let milliseconds = try message.signed(wire, "\(place).samples.timestamp")
                guard let time = Timestamp(milliseconds: milliseconds) else {
                    throw TelemetryFault(field: "\(place).samples.timestamp", expected: "ms within 290,000 years", found: "\(milliseconds)")
                }
                sample.time = time
            case 3:
                let field = "\(place).samples.start_timestamp"
                sample.startedAt = try start(try message.signed(wire, field), field)
            default: try message.skip(wire, in: "\(place).samples")
            }
        }
        return sample
    }

    /// 0 says that it is not known; a time at which no count began is not known either.
    private static func start(_ milliseconds: Int64, _ field: String) throws(TelemetryFault) -> Timestamp? {
        guard milliseconds != 0 else { return nil }
        guard let time = Timestamp(milliseconds: milliseconds) else {
            throw TelemetryFault(field: field, expected: "ms within 290,000 years", found: "\(milliseconds)")
        }
        return time.asStart
    }

    private static func kind(_ number: UInt64) -> TelemetrySeries.Kind {
        switch number {
        case 0: .unknown
        case 1: .counter
        case 2: .gauge
        default: .other
        }
    }
}
