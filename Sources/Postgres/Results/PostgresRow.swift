/// One row of a result. Columns are read by name or by position (from 0), each by the accessor of its type; a NULL is an error except in
/// the `...IfPresent` accessors. Errors name the statement, the column and what was found.
public struct PostgresRow: Sendable {
    let storage: PostgresRows.Storage
    let index: Int

    /// Whether the column is NULL.
    public func isNull(_ column: String) throws(PostgresError) -> Bool {
        try isNull(storage.shape.position(of: column))
    }

    /// Whether the column is NULL.
    public func isNull(_ column: Int) throws(PostgresError) -> Bool {
        try storage.shape.check(position: column)
        return storage.fields.withField(index * storage.shape.columns.count + column) { $0 == nil }
    }

    /// Decodes one field with `decoder`, nil for NULL.
    func decode<Value>(_ column: Int, _ decoder: FieldDecoder<Value>) throws(PostgresError) -> Value? {
        try storage.shape.check(position: column)
        let type = storage.shape.columns[column].type
        return try storage.fields.withField(index * storage.shape.columns.count + column) { bytes throws(PostgresError) -> Value? in
            guard let bytes else { return nil }
            switch decoder.decode(type, bytes) {
            case .value(let value): return value
            case .wrongType: throw refusal(column, "expected \(decoder.expected), found \(type.sqlName)", decoder.hint)
            case .malformed: throw refusal(column, "the bytes of this \(type.sqlName) are not as expected of \(decoder.expected)", nil)
            case .nullElement: throw refusal(column, "expected \(decoder.expected), found an array with NULL in it", decoder.hint)
            }
        }
    }

    /// Decodes one field that must not be NULL.
    func require<Value>(_ column: Int, _ decoder: FieldDecoder<Value>) throws(PostgresError) -> Value {
        guard let value = try decode(column, decoder) else {
            throw refusal(column, "expected \(decoder.expected), found NULL", "Read it with the IfPresent accessor.")
        }
        return value
    }

    private func refusal(_ column: Int, _ message: String, _ hint: String?) -> PostgresError {
        PostgresError(
            .decoding,
            message,
            hint: hint,
            columnName: storage.shape.columns[column].name,
            statementName: storage.shape.statementName
        )
    }
}
