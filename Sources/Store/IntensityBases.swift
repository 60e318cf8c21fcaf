public import Postgres

extension IntensityTable {
    /// The bases that some figures are of, each once.
    public static func bases(of ids: [Int64], _ connection: PostgresConnection) async throws -> Set<String> {
        guard !ids.isEmpty else { return [] }
        let rows = try await connection.query(
            Statement("bases_of_intensities", "SELECT DISTINCT basis FROM intensity WHERE intensity_id = ANY($1)"),
            [.int8Array(ids)]
        )
        return Set(try rows.map { try $0.string("basis") })
    }
}
