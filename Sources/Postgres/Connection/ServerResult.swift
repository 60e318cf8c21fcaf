import CLibPQ

/// Owns one `PGresult`.
final class ServerResult {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { PQclear(pointer) }

    var status: ExecStatusType { PQresultStatus(pointer) }

    /// `INSERT 0 5`.
    var commandTag: String { String(cString: PQcmdStatus(pointer)) }

    /// The number at the end of the command tag, 0 when there is none.
    var affectedRows: Int { Int(String(cString: PQcmdTuples(pointer))) ?? 0 }

    var shapeColumns: [ResultShape.Column] {
        (0..<PQnfields(pointer)).map { column in
            ResultShape.Column(
                name: String(cString: PQfname(pointer, column)),
                type: TypeOID(rawValue: PQftype(pointer, column))
            )
        }
    }

    var parameterTypes: [TypeOID] {
        (0..<PQnparams(pointer)).map { TypeOID(rawValue: PQparamtype(pointer, $0)) }
    }

    var rowCount: Int { Int(PQntuples(pointer)) }

    /// Copies all rows into `fields`.
    func appendRows(to fields: inout ResultFields) {
        let rows = PQntuples(pointer)
        let columns = PQnfields(pointer)
        for row in 0..<rows {
            for column in 0..<columns {
                if PQgetisnull(pointer, row, column) == 1 {
                    fields.append(nil)
                } else {
                    let length = Int(PQgetlength(pointer, row, column))
                    fields.append(UnsafeRawBufferPointer(start: PQgetvalue(pointer, row, column), count: length))
                }
            }
        }
    }

    /// A field of the server's error or notice (`PG_DIAG_...`; the macros are characters).
    func diagnostic(_ code: Unicode.Scalar) -> String? {
        PQresultErrorField(pointer, Int32(code.value)).map { String(cString: $0) }
    }

    /// The error in this result, nil when it is a success.
    func error(statementName: String?) -> PostgresError? {
        guard status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE || status == PGRES_NONFATAL_ERROR else { return nil }
        let sqlState = diagnostic("C")
        let kind: PostgresError.Kind
        switch sqlState {
        case nil: kind = .connection
        case "57014": kind = .cancelled
        default: kind = .server
        }
        return PostgresError(
            kind,
            diagnostic("M") ?? String(cString: PQresultErrorMessage(pointer)).trimmingTrailingNewlines,
            sqlState: sqlState,
            detail: diagnostic("D"),
            hint: diagnostic("H"),
            constraintName: diagnostic("n"),
            tableName: diagnostic("t"),
            columnName: diagnostic("c"),
            statementName: statementName
        )
    }
}

extension String {
    var trimmingTrailingNewlines: String {
        var text = Substring(self)
        while let last = text.last, last.isNewline || last == " " { text.removeLast() }
        return String(text)
    }
}
