import Energy

/// How long what is kept: `storage:` of the collector's settings.
public struct StorageTerms: Sendable, Hashable {
    public struct Fault: Error, CustomStringConvertible {
        public let description: String
    }

    /// Hours of knots that ended so many days ago are packed.
    public var packAfterDays: Int64 = 7
    /// Raw webhook events that were worked on; nil: for ever.
    public var eventsDays: Int64? = 90
    /// Packed hours; nil: for ever.
    public var packedDays: Int64?
    /// Ledgers: host-hours and jobs' slices of them; nil: for ever.
    public var ledgerDays: Int64?

    public init() {}

    /// The settings' names in the order in which they are shown.
    public static let names = ["pack_after_days", "events_days", "packed_days", "ledger_days"]

    public var values: [(name: String, value: String)] {
        [
            ("pack_after_days", "\(packAfterDays)"), ("events_days", Self.text(eventsDays)), ("packed_days", Self.text(packedDays)),
            ("ledger_days", Self.text(ledgerDays)),
        ]
    }

    /// - Parameter value: what stands under `storage:`, a mapping of the settings' names.
    /// - Throws: `Fault`, which names the setting.
    public init(_ value: Any) throws {
        guard let mapping = value as? [String: Any] else {
            throw Fault(description: "storage: expected settings such as `events_days: 90`, found \(value)")
        }
        for (name, value) in mapping {
            switch name {
            case "pack_after_days":
                guard let days = try Self.days(name, value), days <= 3_650 else {
                    throw Fault(description: "storage.pack_after_days: expected 1 to 3650 days, found \(value)")
                }
                packAfterDays = days
            case "events_days": eventsDays = try Self.days(name, value)
            case "packed_days": packedDays = try Self.days(name, value)
            case "ledger_days": ledgerDays = try Self.days(name, value)
            default:
                throw Fault(description: "storage.\(name): expected one of \(Self.names.joined(separator: ", ")), found \(name)")
            }
        }
        for (name, days) in [("packed_days", packedDays), ("ledger_days", ledgerDays)] {
            if let days, days < packAfterDays + 30 {
                throw Fault(description: "storage.\(name): expected at least 30 days more than pack_after_days, found \(days)")
            }
        }
        // An hour that is accounted anew without what it was made of would have nothing in it.
        if let packedDays, ledgerDays.map({ $0 > packedDays }) ?? true {
            throw Fault(
                description: "storage.packed_days: expected at least ledger_days (\(Self.text(ledgerDays))), found \(packedDays): a ledger "
                    + "whose packed hours are gone cannot be made anew when something late comes"
            )
        }
    }

    private static func days(_ name: String, _ value: Any) throws -> Int64? {
        if "\(value)" == "forever" { return nil }
        guard let days = Int64("\(value)"), (1...100_000).contains(days) else {
            throw Fault(description: "storage.\(name): expected a number of days (1 to 100000) or forever, found \(value)")
        }
        return days
    }

    private static func text(_ days: Int64?) -> String { days.map { "\($0)" } ?? "forever" }

    func before(_ days: Int64, _ now: Timestamp) -> Timestamp {
        Timestamp(microseconds: now.microseconds - days * Microseconds.day.count)
    }
}
