public import Documents
public import Energy
public import Logging
public import Postgres
import Store

/// What is stored, what it comes to in a year, and what a keeper would do with it now.
public struct StorageReport: Sendable {
    /// One table.
    public struct Row: Sendable, Hashable {
        public let table: String
        public let bytes: Int64
        public let indexBytes: Int64
        public let rows: Int64
        /// What a host adds to it in a year, from what it has of the hours so far; nil where that is not known or not kept so long.
        public let bytesPerHostYear: Int64?
    }

    /// A day of knots.
    public struct Day: Sendable, Hashable {
        public enum Plan: String, Sendable {
            /// Too young.
            case keep
            /// Hours in it can be packed.
            case pack
            /// Nothing is left in it.
            case drop
        }

        public let start: Timestamp
        public let bytes: Int64
        public let rows: Int64
        public let plan: Plan
    }

    public let hosts: Int64
    public let rows: [Row]
    public let days: [Day]
    /// Knots that came late, for a day without a partition.
    public let lateKnots: Int64
    /// Events that are old enough to be deleted.
    public let oldEvents: Int64

    /// Changes nothing.
    public static func make(terms: StorageTerms, now: Timestamp, _ connection: PostgresConnection) async throws -> StorageReport {
        let packable = terms.before(terms.packAfterDays, now)
        let amounts = try await StoredAmounts.read(
            packable: packable,
            events: terms.eventsDays.map { terms.before($0, now) },
            connection
        )
        let hoursOfYear = 8_766.0
        return StorageReport(
            hosts: amounts.hosts,
            rows: amounts.tables.map { table in
                let hours: Int64? =
                    switch table.name {
                    case "curve_hour": amounts.packableHours
                    case "host_hour", "stored_slice", "accounted_hour", "accounted_version", "idle_minutes": amounts.accountedHours
                    default: nil
                    }
                return Row(
                    table: table.name,
                    bytes: table.bytes,
                    indexBytes: table.indexBytes,
                    rows: table.rows,
                    bytesPerHostYear: hours.flatMap { $0 > 0 ? Int64(Double(table.bytes) / Double($0) * hoursOfYear) : nil }
                )
            },
            days: amounts.days.map { day in
                let plan: Day.Plan = day.start >= packable ? .keep : day.isEmpty && day.start + .day <= packable ? .drop : .pack
                return Day(start: day.start, bytes: day.bytes, rows: day.rows, plan: day.isEmpty && plan == .pack ? .keep : plan)
            },
            lateKnots: amounts.knotsOutside,
            oldEvents: amounts.oldEvents
        )
    }

    /// Does now what the keeper of a running collector does every ten minutes; safe beside it, and twice.
    ///
    /// - Returns: what was done, by name.
    public static func keep(
        terms: StorageTerms,
        pool: PostgresPool,
        now: @escaping @Sendable () -> Timestamp,
        log: Logger
    ) async throws -> [(name: String, count: Int)] {
        let done = try await StorageKeeper(pool: pool, log: log, now: now, metrics: CollectorMetrics(), terms: terms).keep()
        return [
            ("curve_hours_packed", done.packed), ("knots_released", done.released), ("days_dropped", done.dropped),
            ("days_made_again", done.remade), ("host_hours_to_account_first", done.marked), ("events_deleted", done.events),
            ("packed_hours_deleted", done.packedHoursDeleted), ("ledger_hours_deleted", done.ledgerHoursDeleted),
            ("host_hours_failed", done.failed),
        ]
    }

    /// As people read it.
    public var text: String {
        func megabytes(_ bytes: Int64) -> String { "\((bytes + 50_000) / 100_000 / 10).\((bytes + 50_000) / 100_000 % 10)" }
        func row(_ cells: [String]) -> String {
            let widths = [18, 12, 12, 14, 18]
            let padded = zip(cells, widths).enumerated().map { place, cell in
                let blanks = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
                return place == 0 ? cell.0 + blanks : blanks + cell.0
            }
            return padded.joined(separator: " ")
        }
        var lines = ["\(hosts) hosts", row(["table", "MB", "indexes MB", "rows, about", "MB a host-year"])]
        lines += rows.map {
            row([$0.table, megabytes($0.bytes), megabytes($0.indexBytes), "\($0.rows)", $0.bytesPerHostYear.map(megabytes) ?? "-"])
        }
        lines += ["", row(["day of knots", "MB", "rows, about", "next"])]
        lines += days.map { row([String(RFC3339.format($0.start).prefix(10)), megabytes($0.bytes), "\($0.rows)", $0.plan.rawValue]) }
        lines += ["", "\(lateKnots) knots of days that were dropped", "\(oldEvents) events to delete"]
        return lines.joined(separator: "\n")
    }

    public var json: JSONValue {
        .object([
            "hosts": .integer(hosts),
            "tables": .array(
                rows.map {
                    .object([
                        "table": .string($0.table), "bytes": .integer($0.bytes), "index_bytes": .integer($0.indexBytes),
                        "rows_estimated": .integer($0.rows),
                        "bytes_per_host_year": $0.bytesPerHostYear.map { .integer($0) } ?? .null,
                    ])
                }
            ),
            "days": .array(
                days.map {
                    .object([
                        "day": .string(String(RFC3339.format($0.start).prefix(10))), "bytes": .integer($0.bytes),
                        "rows_estimated": .integer($0.rows), "next": .string($0.plan.rawValue),
                    ])
                }
            ),
            "late_knots": .integer(lateKnots), "old_events": .integer(oldEvents),
        ])
    }
}
