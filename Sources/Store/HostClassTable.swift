import Carbon
public import Documents
public import Energy
public import Postgres

/// Machines of one kind that nobody can meter: their power is modelled.
public struct HostClass: Sendable, Hashable {
    /// What the class's machines draw, for those that are in no table of clouds.
    public struct Watts: Sendable, Hashable {
        public let vcpus: Double
        public let memoryGibibytes: Double
        /// With no work, and with all vCPUs busy.
        public let idle: Power
        public let maximum: Power
        /// No job's mean power is thought to lie outside.
        public let low: Power
        public let high: Power
    }

    /// `github/ubuntu-24.04-x64`.
    public let name: String
    public let provider: String
    /// Nil where `cloud` names the type of machine.
    public let watts: Watts?
    /// The part of the vCPUs' time that a job is taken to use when it does not say, 0...1.
    public let utilisation: Double
    /// Where the machines are, and with an instance type what they are.
    public let cloud: CloudPlacement?
    /// The zone of their electricity; nil where the cloud's region tells, or nobody knows.
    public let gridZone: String?
    /// Of their building; nil where the cloud's region tells, or nobody knows.
    public let pue: Double?
    public let source: String
    public let year: Int
    public let licence: String
    public let basis: String

    /// What is wrong with a class.
    public struct Fault: Error, Hashable, CustomStringConvertible {
        public let description: String
    }

    /// Where nobody says how busy a cloud's machine is.
    public static let assumedUtilisation = 0.5
    private static let columnsOfWatts = ["vcpus", "memory_gib", "idle_w", "max_w", "low_w", "high_w"]

    /// From the columns of `host_classes.csv`, by name, and `cloud`, `grid_zone` and `pue`; numbers may be texts.
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
        var cloud: CloudPlacement?
        if let value = fields["cloud"] {
            do throws(CloudPlacement.Fault) { cloud = try CloudPlacement(value) } catch { throw Fault(description: error.description) }
        }
        self.cloud = cloud
        if cloud?.instanceType == nil {
            let idle = Power(watts: try number("idle_w", 0...100_000))
            let maximum = Power(watts: try number("max_w", 0...100_000))
            let low = Power(watts: try number("low_w", 0...100_000))
            let high = Power(watts: try number("high_w", 0...100_000))
            guard low <= idle, idle <= maximum, maximum <= high else {
                throw Fault(description: "fields low_w, idle_w, max_w, high_w: expected them in this order, found another")
            }
            let vcpus = try number("vcpus", 0.1...10_000)
            let memory = try number("memory_gib", 0...1_000_000)
            watts = Watts(vcpus: vcpus, memoryGibibytes: memory, idle: idle, maximum: maximum, low: low, high: high)
            utilisation = try number("utilisation", 0...1)
        } else {
            if let column = Self.columnsOfWatts.first(where: { fields[$0] != nil }) {
                throw Fault(description: "field \(column): expected none beside cloud.instance_type, whose table has the watts, found one")
            }
            watts = nil
            utilisation = fields["utilisation"] == nil ? Self.assumedUtilisation : try number("utilisation", 0...1)
        }
        var zone: String?
        if fields["grid_zone"] != nil {
            let text = try text("grid_zone")
            guard GridZone(text) != nil else {
                throw Fault(description: "field grid_zone: expected a zone such as GB or US-CAL-CISO, found \(text)")
            }
            zone = text
        }
        gridZone = zone
        pue = fields["pue"] == nil ? nil : try number("pue", 1...4)
        source = try text("source")
        year = Int(try number("year", 2000...2100))
        licence = try text("licence", "operator's own")
        basis = try text("basis", "operator")
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
