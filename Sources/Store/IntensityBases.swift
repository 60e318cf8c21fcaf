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

/// Where a figure of an intensity is from, without its value.
public struct IntensitySource: Sendable, Hashable {
    public let zone: String
    public let kind: String
    public let basis: String
    public let provider: String
}

extension IntensityTable {
    /// Where some figures are from, by their ids.
    public static func sources(of ids: [Int64], _ connection: PostgresConnection) async throws -> [Int64: IntensitySource] {
        guard !ids.isEmpty else { return [:] }
        let rows = try await connection.query(
            Statement(
                "sources_of_intensities",
                "SELECT intensity_id, zone, kind, basis, provider FROM intensity WHERE intensity_id = ANY($1)"
            ),
            [.int8Array(ids)]
        )
        return Dictionary(
            try rows.map {
                (
                    try $0.int64("intensity_id"),
                    IntensitySource(
                        zone: try $0.string("zone"),
                        kind: try $0.string("kind"),
                        basis: try $0.string("basis"),
                        provider: try $0.string("provider")
                    )
                )
            }
        ) { first, _ in first }
    }
}
