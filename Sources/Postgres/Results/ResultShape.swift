/// What all rows of a result have in common.
final class ResultShape: Sendable {
    struct Column: Sendable {
        var name: String
        var type: TypeOID
    }

    let statementName: String
    let columns: [Column]
    private let positions: [String: Int]

    init(statementName: String, columns: [Column]) {
        self.statementName = statementName
        self.columns = columns
        // As in libpq, the first of several columns with one name is found.
        positions = Dictionary(columns.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func position(of name: String) throws(PostgresError) -> Int {
        guard let position = positions[name] else {
            throw PostgresError(
                .decoding,
                "no column \"\(name)\" in the result, it has \(columns.map { "\"\($0.name)\"" }.joined(separator: ", "))",
                columnName: name,
                statementName: statementName
            )
        }
        return position
    }

    func check(position: Int) throws(PostgresError) {
        guard columns.indices.contains(position) else {
            throw PostgresError(
                .decoding,
                "no column \(position) in the result, it has \(columns.count) columns, the first is 0",
                statementName: statementName
            )
        }
    }
}

/// The fields of a result, copied out of libpq into one block, so that rows are plain values and nothing outlives its memory.
struct ResultFields: Sendable {
    private(set) var bytes: [UInt8] = []
    /// For each field where it ends in `bytes` (it starts where the one before ends); of a NULL the complement, which is negative.
    private var ends: [Int] = []

    var count: Int { ends.count }

    mutating func reserve(fields: Int) { ends.reserveCapacity(fields) }

    mutating func append(_ field: UnsafeRawBufferPointer?) {
        if let field {
            bytes.append(contentsOf: field)
            ends.append(bytes.count)
        } else {
            ends.append(~bytes.count)
        }
    }

    /// The field's bytes, or nil for NULL.
    func withField<Value, Failure: Error>(
        _ index: Int,
        _ body: (UnsafeRawBufferPointer?) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let end = ends[index]
        guard end >= 0 else { return try body(nil) }
        let before = index == 0 ? 0 : ends[index - 1]
        let start = before < 0 ? ~before : before
        let outcome: Result<Value, Failure> = bytes.withUnsafeBytes { all in
            do throws(Failure) {
                return .success(try body(UnsafeRawBufferPointer(rebasing: all[start..<end])))
            } catch {
                return .failure(error)
            }
        }
        return try outcome.get()
    }
}
