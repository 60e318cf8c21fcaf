/// Counts the spans and attributes of a request in protobuf before it is decoded: a span of two bytes on the wire is hundreds in memory.
struct TraceCount {
    private(set) var spans = 0
    private(set) var attributes = 0

    static func check(_ bytes: [UInt8]) throws(UnreadableDelivery) {
        var count = TraceCount()
        count.resourceSpans(bytes[...])
        try TraceLimits.check(spans: count.spans)
        guard count.attributes <= TraceLimits.attributes else {
            throw UnreadableDelivery("expected at most \(TraceLimits.attributes) attributes in a request, found \(count.attributes)")
        }
    }

    // Field numbers as in trace.proto. What is malformed ends the count: the decoder will say so.

    private mutating func resourceSpans(_ request: ArraySlice<UInt8>) {
        Self.messages(in: request) { number, group in
            guard number == 1 else { return }
            Self.messages(in: group) { number, part in
                if number == 1 {
                    attributes += Self.count(1, in: part)
                } else if number == 2 {
                    scopeSpans(part)
                }
            }
        }
    }

    private mutating func scopeSpans(_ scope: ArraySlice<UInt8>) {
        Self.messages(in: scope) { number, span in
            guard number == 2 else { return }
            spans += 1
            attributes += Self.count(9, in: span)
        }
    }

    private static func count(_ wanted: UInt64, in message: ArraySlice<UInt8>) -> Int {
        var count = 0
        messages(in: message) { number, value in
            // A value within a list counts too: it is as large. Two bytes is the least that one takes.
            if number == wanted { count += 1 + value.count / 16 }
        }
        return count
    }

    /// The length-delimited fields of a message.
    private static func messages(in message: ArraySlice<UInt8>, _ body: (UInt64, ArraySlice<UInt8>) -> Void) {
        var rest = message
        while !rest.isEmpty {
            guard let tag = varint(&rest) else { return }
            switch tag & 7 {
            case 0: guard varint(&rest) != nil else { return }
            case 1: rest = rest.dropFirst(8)
            case 5: rest = rest.dropFirst(4)
            case 2:
                guard let length = varint(&rest), length <= UInt64(rest.count) else { return }
                body(tag >> 3, rest.prefix(Int(length)))
                rest = rest.dropFirst(Int(length))
            default: return
            }
        }
    }

    private static func varint(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }
}
