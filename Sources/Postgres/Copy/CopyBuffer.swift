/// Rows in Postgres' binary COPY format, for `PostgresConnection.copyIn`.
///
/// Append-only: `beginRow()`, then one append for each column, whose type must be exactly the column's (COPY converts nothing). All rows
/// lie in one array and a field allocates nothing. A row with a wrong number of fields makes `copyIn` refuse the whole buffer.
public struct CopyBuffer: Sendable {
    /// Fields in each row.
    public let columns: Int
    /// Rows begun so far.
    public private(set) var rowCount = 0
    /// The first row, from 0, that has not exactly `columns` fields.
    private(set) var malformedRow: Int?

    /// The rows, and room after them: growing in large steps and writing in place is several times faster than appending.
    private var storage: [UInt8]
    private var used = 0
    private var fieldsInRow: Int

    /// An empty buffer for rows of `columns` fields.
    public init(columns: Int, reservingBytes: Int = 0) {
        self.columns = columns
        storage = [UInt8](repeating: 0, count: max(0, reservingBytes))
        fieldsInRow = columns
    }

    /// Bytes of all rows.
    public var byteCount: Int { used }
    public var isEmpty: Bool { rowCount == 0 }

    /// Forgets all rows and keeps the memory.
    public mutating func removeAll() {
        rowCount = 0
        used = 0
        fieldsInRow = columns
        malformedRow = nil
    }

    /// Begins the next row.
    public mutating func beginRow() {
        if fieldsInRow != columns && malformedRow == nil { malformedRow = rowCount - 1 }
        fieldsInRow = 0
        rowCount += 1
        write(bigEndian: Int16(truncatingIfNeeded: columns))
    }

    public mutating func append(int2 value: Int16) { append(fixed: value) }
    public mutating func append(int4 value: Int32) { append(fixed: value) }
    public mutating func append(int8 value: Int64) { append(fixed: value) }
    public mutating func append(float8 value: Double) { append(fixed: value.bitPattern) }
    public mutating func append(bool value: Bool) { append(fixed: UInt8(value ? 1 : 0)) }

    /// Microseconds since 1970-01-01T00:00:00Z; `Int64.max` is `infinity`, `Int64.min` is `-infinity`.
    public mutating func append(timestamptzMicroseconds value: Int64) {
        append(fixed: PostgresEpoch.serverMicroseconds(fromUnix: value))
    }

    /// For `text`, `varchar`, `json` and enums.
    public mutating func append(text value: String) { appendUTF8(value, version: nil) }

    /// JSON text for a `jsonb` column.
    public mutating func append(jsonb value: String) { appendUTF8(value, version: 1) }

    public mutating func append(bytea value: [UInt8]) {
        value.withUnsafeBytes { append(bytes: $0) }
    }

    /// For an `int4[]` column.
    public mutating func append(int4Array values: [Int32]) { append(array: values, element: .int4) }
    /// For an `int8[]` column.
    public mutating func append(int8Array values: [Int64]) { append(array: values, element: .int8) }

    public mutating func appendNull() {
        fieldsInRow += 1
        write(bigEndian: Int32(-1))
    }

    /// Appends the value, or NULL.
    public mutating func append(int4 value: Int32?) { if let value { append(int4: value) } else { appendNull() } }
    /// Appends the value, or NULL.
    public mutating func append(int8 value: Int64?) { if let value { append(int8: value) } else { appendNull() } }
    /// Appends the value, or NULL.
    public mutating func append(float8 value: Double?) { if let value { append(float8: value) } else { appendNull() } }
    /// Appends the value, or NULL.
    public mutating func append(text value: String?) { if let value { append(text: value) } else { appendNull() } }
    /// Appends the value, or NULL.
    public mutating func append(timestamptzMicroseconds value: Int64?) {
        if let value { append(timestamptzMicroseconds: value) } else { appendNull() }
    }

    /// The complaint about a row with a wrong number of fields, nil when all rows are right.
    var complaint: String? {
        let row = malformedRow ?? (fieldsInRow == columns ? nil : rowCount - 1)
        return row.map { "row \($0) of the copy buffer has not exactly \(columns) fields" }
    }

    /// Gives the rows to `body`, without header and trailer.
    func withRows<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        storage.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<used])) }
    }

    /// What comes before the rows: signature, no flags, no header extension.
    static let header: [UInt8] = Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00] + [UInt8](repeating: 0, count: 8)
    /// What comes after the rows: a field count of -1.
    static let trailer: [UInt8] = [0xFF, 0xFF]

    @inline(__always)
    private mutating func reserve(_ count: Int) {
        let missing = used + count - storage.count
        if missing > 0 { storage.append(contentsOf: repeatElement(0, count: max(missing, storage.count, 4096))) }
    }

    @inline(__always)
    private mutating func write<Number: FixedWidthInteger>(bigEndian value: Number) {
        let size = MemoryLayout<Number>.size
        reserve(size)
        let offset = used
        storage.withUnsafeMutableBytes { $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Number.self) }
        used += size
    }

    @inline(__always)
    private mutating func append<Number: FixedWidthInteger>(fixed value: Number) {
        let size = MemoryLayout<Number>.size
        fieldsInRow += 1
        reserve(4 + size)
        let offset = used
        storage.withUnsafeMutableBytes {
            $0.storeBytes(of: Int32(truncatingIfNeeded: size).bigEndian, toByteOffset: offset, as: Int32.self)
            $0.storeBytes(of: value.bigEndian, toByteOffset: offset + 4, as: Number.self)
        }
        used += 4 + size
    }

    private mutating func append(bytes: UnsafeRawBufferPointer) {
        fieldsInRow += 1
        write(bigEndian: Int32(truncatingIfNeeded: bytes.count))
        write(bytes: bytes)
    }

    private mutating func write(bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count)
        let offset = used
        storage.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[offset...]).copyMemory(from: bytes) }
        used += bytes.count
    }

    private mutating func appendUTF8(_ text: String, version: UInt8?) {
        fieldsInRow += 1
        write(bigEndian: Int32(truncatingIfNeeded: text.utf8.count + (version == nil ? 0 : 1)))
        if let version { write(bigEndian: version) }
        // Native strings lie in memory as UTF-8 and need no copy.
        var text = text
        text.withUTF8 { write(bytes: UnsafeRawBufferPointer($0)) }
    }

    private mutating func append<Number: FixedWidthInteger>(array values: [Number], element: TypeOID) {
        let size = MemoryLayout<Number>.size
        fieldsInRow += 1
        let bodyCount = values.isEmpty ? 12 : 20 + values.count * (4 + size)
        reserve(4 + bodyCount)
        write(bigEndian: Int32(truncatingIfNeeded: bodyCount))
        write(bigEndian: Int32(values.isEmpty ? 0 : 1))
        write(bigEndian: Int32(0))
        write(bigEndian: element.rawValue)
        if values.isEmpty { return }
        write(bigEndian: Int32(truncatingIfNeeded: values.count))
        write(bigEndian: Int32(1))
        for value in values {
            write(bigEndian: Int32(truncatingIfNeeded: size))
            write(bigEndian: value)
        }
    }
}
