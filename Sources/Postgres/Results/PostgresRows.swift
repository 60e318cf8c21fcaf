/// The rows of a result, in the server's order.
public struct PostgresRows: Sendable {
    /// The fields are shared by all rows, so that a row costs a reference and an index.
    final class Storage: Sendable {
        let shape: ResultShape
        let fields: ResultFields
        let rowCount: Int

        init(shape: ResultShape, fields: ResultFields, rowCount: Int) {
            self.shape = shape
            self.fields = fields
            self.rowCount = rowCount
        }
    }

    let storage: Storage

    init(shape: ResultShape, fields: ResultFields, rowCount: Int) {
        storage = Storage(shape: shape, fields: fields, rowCount: rowCount)
    }

    /// The columns' names in order.
    public var columnNames: [String] { storage.shape.columns.map(\.name) }

    /// The one row of a result that must have exactly one.
    public func only() throws(PostgresError) -> PostgresRow {
        guard count == 1 else {
            throw PostgresError(
                .decoding,
                "exactly one row was expected, \(count) came",
                statementName: storage.shape.statementName
            )
        }
        return self[0]
    }
}

extension PostgresRows: RandomAccessCollection {
    public var startIndex: Int { 0 }
    public var endIndex: Int { storage.rowCount }
    public subscript(position: Int) -> PostgresRow {
        precondition(position >= 0 && position < storage.rowCount, "row index out of range")
        return PostgresRow(storage: storage, index: position)
    }
}
