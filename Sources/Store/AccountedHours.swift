public import Energy
public import Postgres

/// What a settled host-hour was made of, by name.
public struct AccountedHour: Sendable, Hashable {
    public let hour: Hour
    /// How often its inputs have changed; `accounted_version` has what they were before.
    public let version: Int
    /// SHA-256 of the canonical form of all its inputs; nil for an hour that was accounted before there were digests.
    public let inputsSHA256: [UInt8]?
    /// The version of the software that accounted it.
    public let software: String

    public init(hour: Hour, version: Int, inputsSHA256: [UInt8]?, software: String) {
        self.hour = hour
        self.version = version
        self.inputsSHA256 = inputsSHA256
        self.software = software
    }
}

/// What a span said of itself that decides how large a part it gets.
public struct SpanTerms: Sendable, Hashable {
    public let timeResolution: Microseconds
    public let cpuShare: Double?
    public let cpus: Double?
    public let weight: Double?
    public let cpuTime: Microseconds?

    public init(timeResolution: Microseconds, cpuShare: Double?, cpus: Double?, weight: Double?, cpuTime: Microseconds?) {
        self.timeResolution = timeResolution
        self.cpuShare = cpuShare
        self.cpus = cpus
        self.weight = weight
        self.cpuTime = cpuTime
    }
}

extension SpanRow {
    public var terms: SpanTerms {
        SpanTerms(timeResolution: timeResolution, cpuShare: cpuShare, cpus: cpus, weight: weight, cpuTime: cpuTime)
    }
}

public enum AccountedHours {
    /// The accounted ones of a host's hours, in order.
    public static func read(hostID: Int32, hours: [Hour], _ connection: PostgresConnection) async throws -> [AccountedHour] {
        guard !hours.isEmpty else { return [] }
        return try await connection.query(
            Statement(
                "accounted_hours_named",
                """
                SELECT hour AS accounted, version, inputs_sha256, software FROM accounted_hour
                WHERE host_id = $1 AND hour = ANY($2) ORDER BY hour
                """
            ),
            [.int4(hostID), .timestamptzArray(microseconds: hours.map { $0.start.microseconds })]
        ).map(row)
    }

    /// What some hours were accounted from before their last version, the first one first; nothing of an hour whose inputs never changed.
    public static func superseded(
        hostID: Int32,
        hours: [Hour],
        _ connection: PostgresConnection
    ) async throws -> [Hour: [AccountedHour]] {
        guard !hours.isEmpty else { return [:] }
        let rows = try await connection.query(
            Statement(
                "superseded_versions",
                """
                SELECT v.hour AS accounted, v.version, v.inputs_sha256, v.software FROM accounted_version v
                    JOIN accounted_hour a USING (host_id, hour)
                WHERE v.host_id = $1 AND v.hour = ANY($2) AND v.version < a.version ORDER BY v.hour, v.version
                """
            ),
            [.int4(hostID), .timestamptzArray(microseconds: hours.map { $0.start.microseconds })]
        )
        return Dictionary(grouping: try rows.map(row), by: \.hour)
    }

    static func row(_ row: PostgresRow) throws -> AccountedHour {
        AccountedHour(
            hour: Hour(containing: Timestamp(microseconds: try row.timestampMicroseconds("accounted"))),
            version: Int(try row.int32("version")),
            inputsSHA256: try row.bytesIfPresent("inputs_sha256"),
            software: try row.string("software")
        )
    }
}
