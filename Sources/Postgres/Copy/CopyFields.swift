/// Reads the rows that a binary COPY sends, field after field, without making objects of them.
///
/// Made for `PostgresConnection.copyOut`: feed it each chunk. The caller says what type each field has, in the order of the columns;
/// a field of another length is refused, so that a wrong type is mostly found.
public struct CopyFields {
    private let statementName: String
    private var isBegun = false
    private var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    private var position = 0

    /// - Parameter statementName: for errors.
    public init(_ statementName: String) { self.statementName = statementName }

    /// Calls `row` at the beginning of each row of a chunk, which holds whole rows; `row` reads every field, and says how many there are.
    public mutating func read(
        _ chunk: [UInt8],
        columns: Int,
        _ row: (_ fields: inout CopyFields) throws(PostgresError) -> Void
    ) throws(PostgresError) {
        let outcome = chunk.withUnsafeBytes { bytes in
            Result { () throws(PostgresError) in try self.readRows(bytes, columns: columns, row) }
        }
        bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        try outcome.get()
    }

    private mutating func readRows(
        _ chunk: UnsafeRawBufferPointer,
        columns: Int,
        _ row: (_ fields: inout CopyFields) throws(PostgresError) -> Void
    ) throws(PostgresError) {
        bytes = chunk
        position = 0
        if !isBegun {
            let signature = CopyBuffer.header.prefix(11)
            guard chunk.count >= 19, chunk.prefix(11).elementsEqual(signature) else { throw malformed("a header") }
            position = 19 + Int(max(0, chunk.bigEndian(at: 15, as: Int32.self)))
            isBegun = true
        }
        while position < chunk.count {
            let count: Int16 = try number()
            if count == -1 { return }
            guard Int(count) == columns else { throw malformed("\(columns) fields") }
            try row(&self)
        }
    }

    public mutating func int2() throws(PostgresError) -> Int16 { try fixed() }
    public mutating func int4() throws(PostgresError) -> Int32 { try fixed() }
    public mutating func int8() throws(PostgresError) -> Int64 { try fixed() }
    /// Microseconds since 1970-01-01T00:00:00Z; `Int64.max` is `infinity`, `Int64.min` is `-infinity`.
    public mutating func timestamptzMicroseconds() throws(PostgresError) -> Int64 {
        PostgresEpoch.unixMicroseconds(fromServer: try fixed())
    }

    public mutating func int8IfPresent() throws(PostgresError) -> Int64? { try isNull() ? nil : int8() }
    public mutating func float8IfPresent() throws(PostgresError) -> Double? {
        try isNull() ? nil : Double(bitPattern: try fixed())
    }
    public mutating func timestamptzMicrosecondsIfPresent() throws(PostgresError) -> Int64? {
        try isNull() ? nil : timestamptzMicroseconds()
    }

    public mutating func text() throws(PostgresError) -> String {
        let length: Int32 = try number()
        return try text(length)
    }

    public mutating func textIfPresent() throws(PostgresError) -> String? { try isNull() ? nil : text() }

    public mutating func bytea() throws(PostgresError) -> [UInt8] {
        let length: Int32 = try number()
        return Array(try take(length))
    }

    /// A `text[]` of one dimension without nulls.
    public mutating func textArray() throws(PostgresError) -> [String] {
        let length: Int32 = try number()
        let end = position + Int(max(0, length))
        let dimensions: Int32 = try number()
        _ = try number() as Int32
        _ = try number() as Int32
        guard dimensions > 0 else { return [] }
        let count: Int32 = try number()
        _ = try number() as Int32
        var values: [String] = []
        for _ in 0..<count {
            let length: Int32 = try number()
            values.append(try text(length))
        }
        guard position == end else { throw malformed("a text[]") }
        return values
    }

    public mutating func textArrayIfPresent() throws(PostgresError) -> [String]? { try isNull() ? nil : textArray() }

    /// Whether the next field is NULL; it is passed over then.
    private mutating func isNull() throws(PostgresError) -> Bool {
        guard position + 4 <= bytes.count else { throw malformed("a field") }
        guard bytes.bigEndian(at: position, as: Int32.self) == -1 else { return false }
        position += 4
        return true
    }

    @inline(__always)
    private mutating func fixed<Number: FixedWidthInteger>() throws(PostgresError) -> Number {
        let size = MemoryLayout<Number>.size
        guard position + 4 + size <= bytes.count, bytes.bigEndian(at: position, as: Int32.self) == Int32(size) else {
            throw malformed("\(size) bytes")
        }
        let value: Number = bytes.bigEndian(at: position + 4)
        position += 4 + size
        return value
    }

    @inline(__always)
    private mutating func number<Number: FixedWidthInteger>() throws(PostgresError) -> Number {
        let size = MemoryLayout<Number>.size
        guard position + size <= bytes.count else { throw malformed("\(size) bytes") }
        let value: Number = bytes.bigEndian(at: position)
        position += size
        return value
    }

    private mutating func take(_ length: Int32) throws(PostgresError) -> UnsafeRawBufferPointer {
        guard length >= 0, position + Int(length) <= bytes.count else { throw malformed("\(length) bytes") }
        defer { position += Int(length) }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + Int(length)])
    }

    private mutating func text(_ length: Int32) throws(PostgresError) -> String {
        String(decoding: try take(length), as: UTF8.self)
    }

    private func malformed(_ expected: String) -> PostgresError {
        PostgresError(
            .decoding,
            "the copied row does not go on as expected: \(expected) at byte \(position) of \(bytes.count)",
            hint: "The columns of the COPY and what is read of them differ.",
            statementName: statementName
        )
    }
}
