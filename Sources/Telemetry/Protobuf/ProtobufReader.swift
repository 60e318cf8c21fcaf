/// Reads the fields of one protobuf message from bytes; nothing is allocated for what the bytes only claim to hold.
struct ProtobufReader {
    enum Wire: UInt64 {
        case varint = 0
        case fixed64 = 1
        case length = 2
        case fixed32 = 5

        var name: String {
            switch self {
            case .varint: "a varint"
            case .fixed64: "8 bytes"
            case .length: "a length and bytes"
            case .fixed32: "4 bytes"
            }
        }
    }

    private let bytes: [UInt8]
    private var position: Int
    private let end: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
        end = bytes.count
    }

    private init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    /// The next field's number and form; nil at the end.
    mutating func next(in message: @autoclosure () -> String) throws(TelemetryFault) -> (number: UInt64, wire: Wire)? {
        guard position < end else { return nil }
        let key = try varint(message)
        guard let wire = Wire(rawValue: key & 7), key >> 3 > 0 else {
            throw TelemetryFault(field: message(), expected: "fields of protobuf", found: "a key of \(key) before byte \(position)")
        }
        return (key >> 3, wire)
    }

    /// Passes over a field that is of no use here.
    mutating func skip(_ wire: Wire, in message: @autoclosure () -> String) throws(TelemetryFault) {
        switch wire {
        case .varint: _ = try varint(message)
        case .fixed64: try advance(8, message)
        case .fixed32: try advance(4, message)
        case .length: _ = try span(message)
        }
    }

    mutating func varint(_ wire: Wire, _ name: @autoclosure () -> String) throws(TelemetryFault) -> UInt64 {
        try expect(.varint, wire, name)
        return try varint(name)
    }

    mutating func signed(_ wire: Wire, _ name: @autoclosure () -> String) throws(TelemetryFault) -> Int64 {
        Int64(bitPattern: try varint(wire, name()))
    }

    mutating func fixed64(_ wire: Wire, _ name: @autoclosure () -> String) throws(TelemetryFault) -> UInt64 {
        try expect(.fixed64, wire, name)
        let start = position
        try advance(8, name)
        var value: UInt64 = 0
        for i in 0..<8 { value |= UInt64(bytes[start + i]) << UInt64(8 * i) }
        return value
    }

    mutating func double(_ wire: Wire, _ name: @autoclosure () -> String) throws(TelemetryFault) -> Double {
        Double(bitPattern: try fixed64(wire, name()))
    }

    mutating func message(_ wire: Wire, _ name: @autoclosure () -> String) throws(TelemetryFault) -> ProtobufReader {
        try expect(.length, wire, name)
        return ProtobufReader(bytes, try span(name))
    }

    mutating func string(_ wire: Wire, _ name: @autoclosure () -> String) throws(TelemetryFault) -> String {
        try expect(.length, wire, name)
        let range = try span(name)
        guard let text = String(validating: bytes[range], as: UTF8.self) else {
            throw TelemetryFault(field: name(), expected: "UTF-8", found: "\(range.count) other bytes")
        }
        guard !text.utf8.contains(0) else { throw TelemetryFault(field: name(), expected: "a text without U+0000", found: "one with it") }
        return text
    }

    /// How often a field is ahead; nothing is kept of them.
    func count(of field: UInt64, in message: @autoclosure () -> String) throws(TelemetryFault) -> Int {
        var (ahead, count) = (self, 0)
        while let (number, wire) = try ahead.next(in: message()) {
            if number == field { count += 1 }
            try ahead.skip(wire, in: message())
        }
        return count
    }

    /// Numbers one after the other in one field, or a single one in a field of its own.
    mutating func varints(
        _ wire: Wire,
        _ name: @autoclosure () -> String,
        into list: inout [UInt64],
        most: Int
    ) throws(TelemetryFault) {
        guard list.count < most else { throw TelemetryFault(field: name(), expected: "at most \(most) numbers", found: "more") }
        if wire == .varint {
            list.append(try varint(name))
            return
        }
        var packed = try message(wire, name())
        while packed.position < packed.end {
            guard list.count < most else { throw TelemetryFault(field: name(), expected: "at most \(most) numbers", found: "more") }
            list.append(try packed.varint(name))
        }
    }

    private func expect(_ expected: Wire, _ found: Wire, _ name: () -> String) throws(TelemetryFault) {
        guard expected == found else { throw TelemetryFault(field: name(), expected: expected.name, found: found.name) }
    }

    private mutating func advance(_ count: Int, _ name: () -> String) throws(TelemetryFault) {
        guard count <= end - position else {
            throw TelemetryFault(field: name(), expected: "\(count) bytes", found: "the end after \(end - position)")
        }
        position += count
    }

    private mutating func span(_ name: () -> String) throws(TelemetryFault) -> Range<Int> {
        let length = try varint(name)
        guard length <= UInt64(end - position) else {
            throw TelemetryFault(field: name(), expected: "\(length) bytes", found: "the end after \(end - position)")
        }
        let start = position
        position += Int(length)
        return start..<position
    }

    private mutating func varint(_ name: () -> String) throws(TelemetryFault) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end {
            let byte = bytes[position]
            position += 1
            if shift == 63, byte > 1 { break }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
            if shift > 63 { break }
        }
        throw TelemetryFault(field: name(), expected: "a number of at most 64 bits", found: position < end ? "a longer one" : "the end")
    }
}
