import Accounting
import Energy
import Postgres
import Store

/// Makes the accounts of one host-hour from what the database holds now.
struct HourAccounts: Sendable {
    let inputs: HourInputs
    let rows: [LedgerRow]
    let intensity: StoredIntensity?

    /// The same for a settled hour, one that has just ended and the running one, whose window ends at `now`.
    static func make(host: HostRow, hour: Hour, now: Timestamp, _ connection: PostgresConnection) async throws -> HourAccounts {
        let inputs = try await HourInputs.read(host: host, hour: hour, now: now, connection)
        var intensity: StoredIntensity?
        if let zone = host.gridZone { intensity = try await IntensityTable.find(zone: zone, at: hour.start, connection) }
        let rows = Sweep.accounts(of: inputs.input).map {
            LedgerRow(hostID: host.id, hour: hour, accounts: $0, pue: host.pue, intensities: $0.pieces.map { _ in intensity })
        }
        return HourAccounts(inputs: inputs, rows: rows, intensity: intensity)
    }

    /// A span's slices, one for each component.
    func slices(of spanID: Int64) -> [SliceRow] {
        rows.compactMap { row in
            row.accounts.slices.first { $0.spanID == spanID }.map {
                SliceRow(hour: row.hour, slice: $0, pue: row.pue, intensity: intensity)
            }
        }
    }

    /// All slices of the hour.
    var slices: [SliceRow] {
        rows.flatMap { row in row.accounts.slices.map { SliceRow(hour: row.hour, slice: $0, pue: row.pue, intensity: intensity) } }
    }
}
