public import Carbon
public import Energy
public import Postgres

extension IntensityTable {
    /// Whether one of the providers of `forecastPairs` has not given leave to hand its figures on: what their forecasts missed by would tell
    /// of them. Nobody's terms are no leave.
    public static func holdsWithheldForecastPairs(
        zone: String,
        basis: Intensity.Basis,
        since: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> Bool {
        let rows = try await connection.query(
            Statement(
                "withheld_forecast_pairs",
                """
                SELECT EXISTS (
                    SELECT FROM intensity f LEFT JOIN grid_provider p ON p.provider = f.provider
                    WHERE f.zone = $1 AND f.basis = $2 AND f.from_t >= $3 AND f.kind = 'forecast' AND p.may_be_redistributed IS NOT TRUE
                        AND EXISTS (
                            SELECT FROM intensity i
                            WHERE (i.zone, i.from_t, i.to_t, i.basis, i.provider) = (f.zone, f.from_t, f.to_t, f.basis, f.provider)
                                AND i.kind IN ('actual', 'estimated'))) AS is_withheld
                """
            ),
            [.text(zone), .text(basis.description), .timestamptz(microseconds: since.microseconds)]
        )
        return try rows.first?.bool("is_withheld") ?? true
    }
}
