import Documents
import Energy

/// An OTLP `ExportMetricsServiceRequest`: its sums and gauges as series, resource attributes among their labels.
///
/// Written after opentelemetry-proto 1.x (metrics/v1/metrics.proto), whose field numbers are stable.
public struct OTLPMetrics: Sendable, Hashable {
    public var series: [TelemetrySeries] = []
    /// Data points, of histograms and summaries too.
    public var points = 0
    /// Data points that make no sense, and in JSON whatever stands where they should be.
    public private(set) var rejected = 0
    /// What is wrong with the first of them.
    public private(set) var reason: TelemetryFault?
    private var labels = 0
    /// More than a request may hold: no reason to take a part of it.
    private var excess: TelemetryFault?

    /// From protobuf.
    ///
    /// - Throws: `TelemetryFault` that names the field.
    public init(protobuf bytes: [UInt8]) throws(TelemetryFault) {
        var request = ProtobufReader(bytes)
        while let (field, wire) = try request.next(in: "ExportMetricsServiceRequest") {
            guard field == 1 else {
                try request.skip(wire, in: "ExportMetricsServiceRequest")
                continue
            }
            try readResource(try request.message(wire, "resource_metrics"))
        }
    }

    private mutating func readResource(_ message: ProtobufReader) throws(TelemetryFault) {
        var message = message
        var labels: [String: String] = [:]
        var scopes: [ProtobufReader] = []
        try TelemetryLimits.check(
            try message.count(of: 2, in: "resource_metrics"),
            TelemetryLimits.series,
            "resource_metrics.scope_metrics"
        )
        while let (field, wire) = try message.next(in: "resource_metrics") {
            switch field {
            case 1:
                var resource = try message.message(wire, "resource_metrics.resource")
                let count = try resource.count(of: 1, in: "resource_metrics.resource")
                try TelemetryLimits.check(count, TelemetryLimits.labels, "resource_metrics.resource.attributes")
                while let (field, wire) = try resource.next(in: "resource_metrics.resource") {
                    guard field == 1 else {
                        try resource.skip(wire, in: "resource_metrics.resource")
                        continue
                    }
                    let name = "resource_metrics.resource.attributes"
                    try Self.readAttribute(try resource.message(wire, name), name, into: &labels)
                }
            case 2: scopes.append(try message.message(wire, "resource_metrics.scope_metrics"))
            default: try message.skip(wire, in: "resource_metrics")
            }
        }
        for var scope in scopes {
            while let (field, wire) = try scope.next(in: "resource_metrics.scope_metrics") {
                guard field == 2 else {
                    try scope.skip(wire, in: "resource_metrics.scope_metrics")
                    continue
                }
                try readMetric(try scope.message(wire, "metrics"), labels)
            }
        }
    }

    private mutating func readMetric(_ message: ProtobufReader, _ resource: [String: String]) throws(TelemetryFault) {
        var message = message
        var (name, unit) = ("", "")
        for field in [UInt64(5), 7, 9, 10, 11] {
            try TelemetryLimits.check(try message.count(of: field, in: "metrics"), 1, "metrics, bodies of one metric")
        }
        var bodies: [(kind: TelemetrySeries.Kind, body: ProtobufReader)] = []
        while let (field, wire) = try message.next(in: "metrics") {
            switch field {
            case 1: name = try message.string(wire, "metrics.name")
            case 3: unit = try message.string(wire, "metrics.unit")
            case 5: bodies.append((.gauge, try message.message(wire, "metrics.gauge")))
            case 7: bodies.append((.counter, try message.message(wire, "metrics.sum")))
            case 9, 10, 11: bodies.append((.other, try message.message(wire, "metrics.histogram")))
            default: try message.skip(wire, in: "metrics")
            }
        }
        for (form, body) in bodies {
            var body = body
            var points: [ProtobufReader] = []
            let count = self.points + (try body.count(of: 1, in: "metrics(\(name))"))
            try TelemetryLimits.check(count, TelemetryLimits.series, "metrics.data_points")
            var (temporality, isMonotonic) = (UInt64(0), false)
            while let (field, wire) = try body.next(in: "metrics(\(name))") {
                switch (field, form) {
                case (1, _): points.append(try body.message(wire, "metrics(\(name)).data_points"))
                case (2, .counter): temporality = try body.varint(wire, "metrics(\(name)).sum.aggregation_temporality")
                case (3, .counter): isMonotonic = try body.varint(wire, "metrics(\(name)).sum.is_monotonic") != 0
                default: try body.skip(wire, in: "metrics(\(name))")
                }
            }
            switch Self.kind(form, temporality: temporality, isMonotonic: isMonotonic, name) {
            case .success(let kind): for point in points { try readPoint(point, name: name, unit: unit, kind: kind, resource) }
            case .failure(let fault): for _ in points { reject(fault) }
            }
        }
    }

    private mutating func readPoint(
        _ message: ProtobufReader,
        name: String,
        unit: String,
        kind: TelemetrySeries.Kind,
        _ resource: [String: String]
    ) throws(TelemetryFault) {
        points += 1
        // What is no number is only counted.
        guard kind != .other else { return try add(TelemetrySeries(name: name, labels: resource, kind: kind, unit: unit)) }
        var message = message
        let place = "metrics(\(name)).data_points"
        var series = TelemetrySeries(name: name, labels: resource, kind: kind, unit: unit)
        var point = Point()
        try TelemetryLimits.check(try message.count(of: 7, in: place), TelemetryLimits.labels, "\(place).attributes")
        while let (field, wire) = try message.next(in: place) {
            switch field {
            case 2: point.start = try message.fixed64(wire, "\(place).start_time_unix_nano")
            case 3: point.time = try message.fixed64(wire, "\(place).time_unix_nano")
            case 4: point.value = try message.double(wire, "\(place).as_double")
            case 6: point.value = Double(Int64(bitPattern: try message.fixed64(wire, "\(place).as_int")))
            case 7: try Self.readAttribute(try message.message(wire, "\(place).attributes"), "\(place).attributes", into: &series.labels)
            case 8: point.isMissing = try message.varint(wire, "\(place).flags") & 1 == 1
            default: try message.skip(wire, in: place)
            }
        }
        try keep(point, in: series, place)
    }

    /// A point that has no time or no number is the sender's, and no reason to refuse the others.
    private mutating func keep(_ point: Point, in series: TelemetrySeries, _ place: String) throws(TelemetryFault) {
        var series = series
        do throws(TelemetryFault) {
            series.samples = [try point.sample(place)]
        } catch {
            points -= 1
            reject(error)
            return
        }
        try add(series)
    }

    private mutating func reject(_ fault: TelemetryFault) {
        points += 1
        rejected += 1
        reason = reason ?? fault
    }

    private static func readAttribute(
        _ message: ProtobufReader,
        _ place: String,
        into labels: inout [String: String]
    ) throws(TelemetryFault) {
        var message = message
        var key = ""
        var value: String?
        while let (field, wire) = try message.next(in: place) {
            switch field {
            case 1: key = try message.string(wire, "\(place).key")
            case 2:
                var any = try message.message(wire, "\(place).value")
                while let (field, wire) = try any.next(in: "\(place).value") {
                    switch field {
                    case 1: value = try any.string(wire, "\(place).value.string_value")
                    case 2: value = try any.varint(wire, "\(place).value.bool_value") == 0 ? "false" : "true"
                    case 3: value = "\(try any.signed(wire, "\(place).value.int_value"))"
                    case 4: value = "\(try any.double(wire, "\(place).value.double_value"))"
                    default: try any.skip(wire, in: "\(place).value")
                    }
                }
            default: try message.skip(wire, in: place)
            }
        }
        if !key.isEmpty, let value { labels[key] = value }
    }

    /// A sum that may fall is no counter.
    private static func kind(
        _ form: TelemetrySeries.Kind,
        temporality: UInt64,
        isMonotonic: Bool,
        _ name: String
    ) -> Result<TelemetrySeries.Kind, TelemetryFault> {
        guard form == .counter else { return .success(form) }
        guard temporality == 1 || temporality == 2 else {
            return .failure(
                TelemetryFault(
                    field: "metrics(\(name)).sum.aggregation_temporality",
                    expected: "1 (delta) or 2 (cumulative)",
                    found: "\(temporality)"
                )
            )
        }
        guard isMonotonic else { return .success(.gauge) }
        return .success(temporality == 1 ? .delta : .counter)
    }

    private mutating func add(_ new: TelemetrySeries) throws(TelemetryFault) {
        labels += new.labels.count
        do throws(TelemetryFault) {
            try TelemetryLimits.check(series.count + 1, TelemetryLimits.series, "data_points")
            try TelemetryLimits.check(labels, TelemetryLimits.labels, "attributes")
        } catch {
            excess = excess ?? error
            throw error
        }
        series.append(new)
    }

    /// A data point as it is found, in either form.
    struct Point {
        var start: UInt64 = 0
        var time: UInt64?
        var value: Double?
        /// The flag that says that there is no value: the series has ended.
        var isMissing = false

        func sample(_ place: String) throws(TelemetryFault) -> TelemetrySample {
            guard let time, time > 0 else { throw TelemetryFault(field: "\(place).time_unix_nano", expected: "a time", found: "none") }
            guard isMissing || value != nil else {
                throw TelemetryFault(field: "\(place).as_double", expected: "a number in as_double or as_int", found: "none")
            }
            return TelemetrySample(
                time: Timestamp(microseconds: Int64(time / 1_000)),
                value: isMissing ? TelemetrySample.staleValue : value ?? 0,
                startedAt: start == 0 ? nil : Timestamp(microseconds: Int64(start / 1_000)).asStart
            )
        }
    }
}

// MARK: JSON

extension OTLPMetrics {
    /// From OTLP's JSON: names in lowerCamelCase, numbers of 64 bits as texts or numbers.
    ///
    /// What is no JSON object is refused; what is no resource, metric or point within it is rejected, and the rest is taken.
    ///
    /// - Throws: `TelemetryFault` that names the field.
    public init(json bytes: [UInt8]) throws(TelemetryFault) {
        let document: JSONValue
        do throws(JSONValue.Malformed) {
            document = try JSONValue(parsing: bytes)
        } catch {
            throw TelemetryFault(field: "the body", expected: error.expected, found: "something else at byte \(error.offset)")
        }
        for resource in try Self.list(document, "resourceMetrics", "the body") {
            do throws(TelemetryFault) { try readResource(resource) } catch { reject(error) }
        }
        if let excess { throw excess }
    }

    private mutating func readResource(_ resource: JSONValue) throws(TelemetryFault) {
        var labels: [String: String] = [:]
        let attributes = resource.object?["resource"].flatMap { $0.isNull ? nil : $0 } ?? .object([:])
        try Self.readAttributes(attributes, "resourceMetrics.resource", into: &labels)
        for scope in try Self.list(resource, "scopeMetrics", "resourceMetrics") {
            for metric in try Self.list(scope, "metrics", "resourceMetrics.scopeMetrics") {
                do throws(TelemetryFault) { try readMetric(metric, labels) } catch { reject(error) }
            }
        }
    }

    private static func text(_ value: JSONValue?, _ place: String) throws(TelemetryFault) -> String {
        guard let text = value?.string else { return "" }
        guard !text.utf8.contains(0) else { throw TelemetryFault(field: place, expected: "a text without U+0000", found: "one with it") }
        return text
    }

    private mutating func readMetric(_ metric: JSONValue, _ resource: [String: String]) throws(TelemetryFault) {
        guard let fields = metric.object else { throw TelemetryFault(field: "metrics", expected: "an object", found: metric.described) }
        let name = try Self.text(fields["name"], "metrics.name")
        let unit = try Self.text(fields["unit"], "metrics.unit")
        let forms: [(String, TelemetrySeries.Kind)] = [
            ("gauge", .gauge), ("sum", .counter), ("histogram", .other), ("exponentialHistogram", .other), ("summary", .other),
        ]
        for (form, kind) in forms {
            guard let body = fields[form], !body.isNull else { continue }
            let place = "metrics(\(name)).\(form).dataPoints"
            var series = TelemetrySeries(name: name, labels: resource, kind: kind, unit: unit)
            if form == "sum" {
                let word = body.object?["aggregationTemporality"]
                let names = ["AGGREGATION_TEMPORALITY_DELTA": UInt64(1), "AGGREGATION_TEMPORALITY_CUMULATIVE": 2]
                let temporality = word?.string.flatMap { names[$0] } ?? word?.wholeNumber.map { UInt64(clamping: $0) } ?? 0
                let isMonotonic = body.object?["isMonotonic"]?.bool ?? false
                series.kind = try Self.kind(.counter, temporality: temporality, isMonotonic: isMonotonic, name).get()
            }
            for point in try Self.list(body, "dataPoints", "metrics(\(name)).\(form)") {
                points += 1
                guard kind != .other else {
                    try add(series)
                    continue
                }
                do throws(TelemetryFault) {
                    try add(point, of: series, place)
                } catch {
                    points -= 1
                    reject(error)
                }
            }
        }
    }

    private mutating func add(_ json: JSONValue, of series: TelemetrySeries, _ place: String) throws(TelemetryFault) {
        guard let fields = json.object else { throw TelemetryFault(field: place, expected: "objects", found: json.described) }
        var series = series
        try Self.readAttributes(json, place, into: &series.labels)
        func nanoseconds(_ name: String) throws(TelemetryFault) -> UInt64? {
            guard let value = fields[name], !value.isNull else { return nil }
            // Numbers of 64 bits are texts in protobuf's JSON; many senders write them as numbers.
            if let number = value.string.flatMap({ UInt64($0) }) ?? value.integer.flatMap({ UInt64(exactly: $0) }) { return number }
            throw TelemetryFault(field: "\(place).\(name)", expected: "ns since 1970 as a text", found: value.described)
        }
        var point = Point()
        point.time = try nanoseconds("timeUnixNano")
        point.start = try nanoseconds("startTimeUnixNano") ?? 0
        point.value = fields["asDouble"]?.double ?? fields["asDouble"]?.string.flatMap { Double($0) }
        if point.value == nil { point.value = fields["asInt"]?.wholeNumber.map { Double($0) } }
        point.isMissing = (fields["flags"]?.wholeNumber ?? 0) & 1 == 1
        try keep(point, in: series, place)
    }

    private static func list(_ value: JSONValue, _ name: String, _ place: String) throws(TelemetryFault) -> [JSONValue] {
        guard let fields = value.object else { throw TelemetryFault(field: place, expected: "an object", found: value.described) }
        guard let list = fields[name], !list.isNull else { return [] }
        guard let array = list.array else { throw TelemetryFault(field: "\(place).\(name)", expected: "a list", found: list.described) }
        return array
    }

    private static func readAttributes(_ owner: JSONValue, _ place: String, into labels: inout [String: String]) throws(TelemetryFault) {
        for attribute in try list(owner, "attributes", place) {
            guard let name = attribute.object?["key"], name.string != nil, let value = attribute.object?["value"]?.object else {
                throw TelemetryFault(field: "\(place).attributes", expected: "objects with key and value", found: attribute.described)
            }
            let key = try text(name, "\(place).attributes.key")
            if value["stringValue"]?.string != nil {
                labels[key] = try text(value["stringValue"], "\(place).attributes(\(key))")
            } else if let number = value["intValue"]?.wholeNumber {
                labels[key] = "\(number)"
            } else if let flag = value["boolValue"]?.bool {
                labels[key] = flag ? "true" : "false"
            } else if let number = value["doubleValue"]?.double {
                labels[key] = "\(number)"
            }
        }
    }
}
