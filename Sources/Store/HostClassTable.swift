public import Documents
public import Energy
public import Postgres

/// Machines of one kind that nobody can meter: their power is modelled.
public struct HostClass: Sendable, Hashable {
    /// `github/ubuntu-24.04-x64`.
    public let name: String
    public let provider: String
    public let vcpus: Double
    public let memoryGibibytes: Double
    /// With no work, and with all vCPUs busy.
    public let idle: Power
    public let maximum: Power
    /// No job's mean power is thought to lie outside.
    public let low: Power
    public let high: Power
    /// The part of the vCPUs' time that a job is taken to use when it does not say, 0...1.
    public let utilisation: Double
    public let source: String
    public let year: Int
    public let licence: String
    public let basis: String

    /// What is wrong with a class.
    public struct Fault: Error, Hashable, CustomStringConvertible {
        public let description: String
    }

    /// From the columns of `host_classes.csv`, by name; numbers may be texts.
    ///
    /// - Throws: `Fault`, naming the field.
    public init(_ fields: [String: JSONValue]) throws(Fault) {
        func text(_ name: String, _ fallback: String? = nil) throws(Fault) -> String {
            if let value = fields[name]?.string, !value.isEmpty { return value }
            if let fallback { return fallback }
            throw Fault(description: "field \(name): expected a text, found \(fields[name]?.described ?? "nothing")")
        }
        func number(_ name: String, _ range: ClosedRange<Double>) throws(Fault) -> Double {
            let value = fields[name]?.double ?? fields[name]?.string.flatMap { Double($0) }
            guard let value, range.contains(value) else {
                let found = fields[name]?.described ?? "nothing"
                throw Fault(description: "field \(name): expected a number from \(range.lowerBound) to \(range.upperBound), found \(found)")
            }
            return value
        }
        name = try text("class").lowercased()
        provider = try text("provider", name.split(separator: "/").first.map(String.init) ?? "")
        vcpus = try number("vcpus", 0.1...10_000)
        memoryGibibytes = try number("memory_gib", 0...1_000_000)
        idle = Power(watts: try number("idle_w", 0...100_000))
        maximum = Power(watts: try number("max_w", 0...100_000))
        low = Power(watts: try number("low_w", 0...100_000))
        high = Power(watts: try number("high_w", 0...100_000))
        utilisation = try number("utilisation", 0...1)
        source = try text("source")
        year = Int(try number("year", 2000...2100))
        licence = try text("licence", "operator's own")
        basis = try text("basis", "operator")
        guard low <= idle, idle <= maximum, maximum <= high else {
            throw Fault(description: "fields low_w, idle_w, max_w, high_w: expected them in this order, found another")
        }
    }
}

/// What operators say of host classes, from a day on; it comes before what the program carries.
public enum HostClassTable {
    public static func find(name: String, at instant: Timestamp, _ connection: PostgresConnection) async throws -> HostClass? {
        guard
            let row = try await connection.query(
                Statement(
                    "find_host_class",
                    """
                    SELECT record FROM host_class WHERE name = lower($1) AND valid_from <= $2 ORDER BY valid_from DESC LIMIT 1
                    """
                ),
                [.text(name), .timestamptz(microseconds: instant.microseconds)]
            ).first
        else { return nil }
        return try HostClass(try JSONValue(parsing: Array(try row.json("record").utf8)).object ?? [:])
    }

    /// The stored fields of the class that begins at that instant.
    public static func record(name: String, from: Timestamp, _ connection: PostgresConnection) async throws -> JSONValue? {
        try await connection.query(
            Statement("host_class_record", "SELECT record FROM host_class WHERE name = lower($1) AND valid_from = $2"),
            [.text(name), .timestamptz(microseconds: from.microseconds)]
        ).first.map { try JSONValue(parsing: Array(try $0.json("record").utf8)) }
    }

    public static func set(_ fields: [String: JSONValue], from: Timestamp, _ connection: PostgresConnection) async throws {
        let hostClass = try HostClass(fields)
        _ = try await connection.execute(
            Statement(
                "set_host_class",
                """
                INSERT INTO host_class (name, valid_from, record) VALUES ($1, $2, $3)
                ON CONFLICT (name, valid_from) DO UPDATE SET record = excluded.record
                """
            ),
            [.text(hostClass.name), .timestamptz(microseconds: from.microseconds), .jsonb(try JSONValue.object(fields).text)]
        )
    }
}
