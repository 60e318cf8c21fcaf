/// The rows of the application's on-premise CSV, read with what each lacks made visible.
///
/// Columns: `cpuDescription, memory, machineType, startTime, endTime, country, region, machineName, cost, cpuUtilization,
/// powerUsageEffectiveness, dailyUptime, weeklyUptime, monthlyUptime, annualUptime`; the first, the second and one uptime are
/// needed, the others may be missing. Uptimes are hours.
public struct OnPremiseInventory: Sendable {
    public struct Row: Hashable, Sendable {
        /// Counted from 1 after the header.
        public var number: Int
        public var name: String
        public var country: String
        public var region: String
        public var machine: OnPremiseModel.Machine
        /// Hours up in each period that the row tells.
        public var uptimeHours: [Period: Double]
        public var notes: [String]
    }

    public enum Period: String, Hashable, Sendable, CaseIterable {
        case day, week, month, year

        var column: String {
            switch self {
            case .day: "dailyUptime"
            case .week: "weeklyUptime"
            case .month: "monthlyUptime"
            case .year: "annualUptime"
            }
        }

        var hours: Double {
            switch self {
            case .day: 24
            case .week: 168
            case .month: 744
            case .year: 8_784
            }
        }
    }

    public let rows: [Row]
    /// One for each row that could not be read; the others are in `rows`.
    public let faults: [FactorRows.Fault]

    /// More memory than any machine has, in GB: so much is likely a number of MB.
    static let likelyMegabytes = 65_536.0

    /// - Throws: `FactorRows.Fault` when a column is missing without which no row can be read.
    public init(_ table: FactorRows) throws(FactorRows.Fault) {
        var rows: [Row] = []
        var faults: [FactorRows.Fault] = []
        for (index, row) in try table.needing(["cpuDescription", "memory"]).enumerated() {
            do throws(FactorRows.Fault) {
                rows.append(try Self.read(row, number: index + 1))
            } catch {
                faults.append(error)
            }
        }
        self.rows = rows
        self.faults = faults
    }

    private static func read(_ row: FactorRows.Row, number: Int) throws(FactorRows.Fault) -> Row {
        var notes: [String] = []
        let memory = try row.number("memory")
        guard memory < likelyMegabytes else { throw row.fault("memory", "GB below \(Int(likelyMegabytes)); divide MB by 1024") }
        let utilisation = try row.optionalNumber("cpuUtilization")
        if let utilisation, utilisation > 100 { throw row.fault("cpuUtilization", "percent, 0 to 100") }
        var pue: PUE?
        if let ratio = try row.optionalNumber("powerUsageEffectiveness") {
            guard let read = PUE(ratio) else { throw row.fault("powerUsageEffectiveness", "a ratio of 1 to 4") }
            pue = read
        }
        var uptime: [Period: Double] = [:]
        for period in Period.allCases {
            guard let hours = try row.optionalNumber(period.column) else { continue }
            guard hours <= period.hours else {
                throw row.fault(period.column, "hours, at most \(Int(period.hours)) in a \(period.rawValue)")
            }
            uptime[period] = hours
        }
        if uptime.isEmpty { throw row.fault("dailyUptime", "hours in one of dailyUptime, weeklyUptime, monthlyUptime, annualUptime") }
        if utilisation == nil { notes.append("no cpuUtilization: \(Int(CloudUsage.assumedUtilisationPercent)) % is assumed") }
        if pue == nil { notes.append("no powerUsageEffectiveness: 1.58 is assumed") }
        if row.text("country").isEmpty { notes.append("no country: its CO2e is not known") }
        return Row(
            number: number,
            name: row.text("machineName"),
            country: row.text("country"),
            region: row.text("region"),
            machine: OnPremiseModel.Machine(
                cpuDescription: try row.required("cpuDescription"),
                memoryGigabytes: memory,
                utilisationPercent: utilisation,
                pue: pue
            ),
            uptimeHours: uptime,
            notes: notes
        )
    }
}
