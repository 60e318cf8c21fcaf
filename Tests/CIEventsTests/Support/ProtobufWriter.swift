import Documents

/// Writes OTLP's JSON as protobuf, by hand and from the published field numbers: it shares nothing with what reads it.
enum ProtobufWriter {
    static func traces(_ document: JSONValue) -> [UInt8] {
        list(document, "resourceSpans").flatMap { group in
            message(
                1,
                message(1, attributes(1, group.object?["resource"] ?? .null))
                    + list(group, "scopeSpans").flatMap { scope in
                        // The scope's own name, which nobody needs, comes first.
                        message(2, message(1, message(1, Array("scope".utf8))) + list(scope, "spans").flatMap { message(2, span($0)) })
                    }
                    + message(3, Array("https://opentelemetry.io/schemas/1.44.0".utf8))
            )
        }
    }

    private static func span(_ span: JSONValue) -> [UInt8] {
        let fields = span.object ?? [:]
        func text(_ name: String) -> String { fields[name]?.string ?? "" }
        func fixed64(_ number: UInt8, _ value: UInt64) -> [UInt8] {
            [number << 3 | 1] + (0..<8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
        }
        return message(1, hex(text("traceId"))) + message(2, hex(text("spanId"))) + message(4, hex(text("parentSpanId")))
            + message(5, Array(text("name").utf8)) + [6 << 3, UInt8(fields["kind"]?.integer ?? 0)]
            + fixed64(7, UInt64(text("startTimeUnixNano")) ?? 0) + fixed64(8, UInt64(text("endTimeUnixNano")) ?? 0)
            + attributes(9, span)
            + message(15, fields["status"]?.object?["code"]?.integer.map { [3 << 3, UInt8($0)] } ?? [])
    }

    private static func attributes(_ number: UInt8, _ holder: JSONValue) -> [UInt8] {
        list(holder, "attributes").flatMap { attribute in
            let fields = attribute.object ?? [:]
            let value = fields["value"]?.object?["stringValue"]?.string ?? ""
            return message(number, message(1, Array((fields["key"]?.string ?? "").utf8)) + message(2, message(1, Array(value.utf8))))
        }
    }

    private static func list(_ holder: JSONValue, _ name: String) -> [JSONValue] { holder.object?[name]?.array ?? [] }

    private static func hex(_ text: String) -> [UInt8] {
        let digits = Array(text)
        return stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) }
    }

    static func message(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [number << 3 | 2] + varint(bytes.count) + bytes }

    private static func varint(_ value: Int) -> [UInt8] {
        var value = value
        var bytes: [UInt8] = []
        while value > 127 {
            bytes.append(UInt8(value & 127) | 128)
            value >>= 7
        }
        return bytes + [UInt8(value)]
    }
}
