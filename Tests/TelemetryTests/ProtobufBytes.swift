/// Writes protobuf by hand, for payloads of which every byte is known.
struct ProtobufBytes {
    private(set) var bytes: [UInt8] = []

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func number(_ field: UInt64, _ value: UInt64) {
        varint(field << 3)
        varint(value)
    }

    mutating func signed(_ field: UInt64, _ value: Int64) { number(field, UInt64(bitPattern: value)) }

    mutating func fixed64(_ field: UInt64, _ value: UInt64) {
        varint(field << 3 | 1)
        for i in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * i))) }
    }

    mutating func double(_ field: UInt64, _ value: Double) { fixed64(field, value.bitPattern) }

    mutating func text(_ field: UInt64, _ value: String) { raw(field, Array(value.utf8)) }

    mutating func raw(_ field: UInt64, _ value: [UInt8]) {
        varint(field << 3 | 2)
        varint(UInt64(value.count))
        bytes += value
    }

    mutating func packed(_ field: UInt64, _ values: [UInt64]) {
        var inner = ProtobufBytes()
        for value in values { inner.varint(value) }
        raw(field, inner.bytes)
    }

    mutating func message(_ field: UInt64, _ fill: (inout ProtobufBytes) -> Void) {
        var inner = ProtobufBytes()
        fill(&inner)
        raw(field, inner.bytes)
    }

    static func make(_ fill: (inout ProtobufBytes) -> Void) -> [UInt8] {
        var bytes = ProtobufBytes()
        fill(&bytes)
        return bytes.bytes
    }
}

/// Requests of remote write as Prometheus makes them.
enum RemoteWritePayload {
    typealias Series = (labels: [(String, String)], samples: [(value: Double, ms: Int64)])

    static func one(_ series: [Series]) -> [UInt8] {
        ProtobufBytes.make { request in
            for one in series {
                request.message(1) { message in
                    for (name, value) in one.labels {
                        message.message(1) {
                            $0.text(1, name)
                            $0.text(2, value)
                        }
                    }
                    for sample in one.samples {
                        message.message(2) {
                            $0.double(1, sample.value)
                            $0.signed(2, sample.ms)
                        }
                    }
                }
            }
        }
    }

    static func two(_ series: [Series], kind: UInt64 = 1, unit: String = "", createdMs: Int64? = nil) -> [UInt8] {
        var symbols = [""]
        func reference(_ text: String) -> UInt64 {
            if let i = symbols.firstIndex(of: text) { return UInt64(i) }
            symbols.append(text)
            return UInt64(symbols.count - 1)
        }
        let references = series.map { $0.labels.flatMap { [reference($0.0), reference($0.1)] } }
        let unitReference = reference(unit)
        return ProtobufBytes.make { request in
            for symbol in symbols { request.text(4, symbol) }
            for (i, one) in series.enumerated() {
                request.message(5) { message in
                    message.packed(1, references[i])
                    for sample in one.samples {
                        message.message(2) {
                            $0.double(1, sample.value)
                            $0.signed(2, sample.ms)
                        }
                    }
                    message.message(5) {
                        $0.number(1, kind)
                        $0.number(4, unitReference)
                    }
                    if let createdMs { message.signed(6, createdMs) }
                }
            }
        }
    }
}
