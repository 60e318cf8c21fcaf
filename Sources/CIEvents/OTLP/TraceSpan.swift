import Documents
import SwiftProtobuf

/// A span of a trace, whichever encoding it came in.
struct TraceSpan: Sendable {
    /// Lower-case hex digits.
    var traceID: String
    var spanID: String
    /// Empty for a root.
    var parentID: String
    var name: String
    var startNanoseconds: UInt64
    var endNanoseconds: UInt64
    var isError: Bool
    var attributes: [String: JSONValue]
    var resource: [String: JSONValue]
}

/// What a request may hold at most; a request that holds more is refused whole, as one that cannot be read.
enum TraceLimits {
    static let bytes = 8 << 20
    static let spans = 20_000
    static let attributes = 500_000

    static func check(spans count: Int) throws(UnreadableDelivery) {
        guard count <= spans else {
            throw UnreadableDelivery("expected at most \(spans) spans in a request, found more; set a smaller batch in the exporter")
        }
    }

    static func check(bytes count: Int) throws(UnreadableDelivery) {
        guard count <= bytes else {
            throw UnreadableDelivery(
                "expected a request of at most \(bytes) bytes after inflation, found \(count); set a smaller batch in the exporter"
            )
        }
    }
}

/// OTLP's JSON: lowerCamelCase, ids as hex digits, 64-bit numbers as texts or numbers.
enum TraceJSON {
    static func spans(_ bytes: [UInt8]) throws(UnreadableDelivery) -> [TraceSpan] {
        try TraceLimits.check(bytes: bytes.count)
        let document: JSONValue
        do {
            document = try JSONValue(parsing: bytes)
        } catch {
            throw UnreadableDelivery("expected an ExportTraceServiceRequest as JSON, found \(bytes.count) bytes that are none")
        }
        guard document.object != nil, document["resourceSpans"].array != nil || document["resourceSpans"].isNull else {
            throw UnreadableDelivery("field resourceSpans: expected a list, found \(document["resourceSpans"].described)")
        }
        var result: [TraceSpan] = []
        for group in document["resourceSpans"].array ?? [] {
            let resource = attributes(group["resource"]["attributes"])
            for scope in group["scopeSpans"].array ?? [] {
                let spans = scope["spans"].array ?? []
                try TraceLimits.check(spans: result.count + spans.count)
                for span in spans {
                    result.append(
                        TraceSpan(
                            traceID: (span["traceId"].string ?? "").lowercased(),
                            spanID: (span["spanId"].string ?? "").lowercased(),
                            parentID: (span["parentSpanId"].string ?? "").lowercased(),
                            name: span["name"].legible ?? "",
                            startNanoseconds: unsigned(span["startTimeUnixNano"]),
                            endNanoseconds: unsigned(span["endTimeUnixNano"]),
                            isError: span["status"]["code"].integer == 2,
                            attributes: attributes(span["attributes"]),
                            resource: resource
                        )
                    )
                }
            }
        }
        return result
    }

    /// 0, which is no time, for what is no number.
    private static func unsigned(_ value: JSONValue) -> UInt64 {
        value.string.flatMap { UInt64($0) } ?? value.integer.flatMap { UInt64(exactly: $0) } ?? 0
    }

    private static func attributes(_ list: JSONValue) -> [String: JSONValue] {
        var result: [String: JSONValue] = [:]
        for attribute in list.array ?? [] {
            guard let key = attribute["key"].string, result[key] == nil else { continue }
            let value = attribute["value"]
            if let text = value["stringValue"].string {
                result[key] = .string(text)
            } else if let number = value["intValue"].integer ?? value["intValue"].string.flatMap({ Int64($0) }) {
                result[key] = .integer(number)
            } else if let number = value["doubleValue"].double {
                result[key] = .number(number)
            } else if let flag = value["boolValue"].bool {
                result[key] = .bool(flag)
            } else if let values = value["arrayValue"]["values"].array {
                result[key] = .array(values.compactMap { $0["stringValue"].string.map { .string($0) } })
            }
        }
        return result
    }
}

/// OTLP's protobuf.
enum TraceProtobuf {
    private static let options: BinaryDecodingOptions = {
        var options = BinaryDecodingOptions()
        options.discardUnknownFields = true
        options.messageDepthLimit = JSONValue.deepest
        return options
    }()

    static func spans(_ bytes: [UInt8]) throws(UnreadableDelivery) -> [TraceSpan] {
        try TraceLimits.check(bytes: bytes.count)
        try TraceCount.check(bytes)
        let request: OTLPExportTraceRequest
        do {
            request = try OTLPExportTraceRequest(serializedBytes: bytes, options: options)
        } catch {
            throw UnreadableDelivery("expected an ExportTraceServiceRequest in protobuf, found \(bytes.count) bytes that are none")
        }
        var result: [TraceSpan] = []
        for group in request.resourceSpans {
            let resource = attributes(group.resource.attributes)
            for span in group.scopeSpans.lazy.flatMap(\.spans) {
                result.append(
                    TraceSpan(
                        traceID: Hex.text(span.traceID),
                        spanID: Hex.text(span.spanID),
                        parentID: Hex.text(span.parentSpanID),
                        name: span.name,
                        startNanoseconds: span.startTimeUnixNano,
                        endNanoseconds: span.endTimeUnixNano,
                        isError: span.status.code == 2,
                        attributes: attributes(span.attributes),
                        resource: resource
                    )
                )
            }
        }
        return result
    }

    private static func attributes(_ list: [OTLPKeyValue]) -> [String: JSONValue] {
        var result: [String: JSONValue] = [:]
        for attribute in list where result[attribute.key] == nil {
            switch attribute.value.value {
            case .stringValue(let value)?: result[attribute.key] = .string(value)
            case .boolValue(let value)?: result[attribute.key] = .bool(value)
            case .intValue(let value)?: result[attribute.key] = .integer(value)
            case .doubleValue(let value)?: result[attribute.key] = .number(value)
            case .arrayValue(let list)?:
                result[attribute.key] = .array(
                    list.values.compactMap { if case .stringValue(let value)? = $0.value { .string(value) } else { nil } }
                )
            case nil: break
            }
        }
        return result
    }
}
