import Accounting
import Energy
import Postgres
import Store

/// Makes the accounts of one host-hour from what the database holds now.
struct HourAccounts: Sendable {
    let inputs: HourInputs
    let rows: [LedgerRow]

    /// The same for a settled hour, one that has just ended and the running one, whose window ends at `now`.
    ///
    /// - Parameter machines: of the answer that it is made for.
    static func make(
        host: HostRow,
        hour: Hour,
        now: Timestamp,
        machines: OpenMachineHours = OpenMachineHours(),
        _ connection: PostgresConnection
    ) async throws -> HourAccounts {
        HourAccounts(try await HourInputs.read(host: host, hour: hour, now: now, machines: machines, connection))
    }

    /// A pure function of the inputs.
    init(_ inputs: HourInputs) {
        self.inputs = inputs
        rows = Sweep.accounts(of: inputs.input).map { accounts in
            var accounts = accounts
            if inputs.isDerived { accounts.flags.insert(.derived) }
            for place in accounts.slices.indices { accounts.slices[place].spanID = inputs.spanIDs[Int(accounts.slices[place].spanID)] }
            return LedgerRow(
                hostID: inputs.host.id,
                hour: inputs.hour,
                accounts: accounts,
                pue: inputs.host.pue,
                intensities: accounts.pieces.map { inputs.intensities?.intensity(at: $0.interval.start) }
            )
        }
    }

    /// A span's slices, in order of components and time.
    func slices(of spanID: Int64) -> [SliceRow] { slices.filter { $0.slice.spanID == spanID } }

    /// All slices of the hour.
    var slices: [SliceRow] { rows.flatMap(\.slices) }

    /// What is written of it.
    var accounted: AccountedRows { AccountedRows(hour: inputs.hour, rows: rows, inputsSHA256: inputs.digest()) }
}
