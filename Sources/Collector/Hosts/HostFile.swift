public import Documents
public import Energy
import Store

/// What a file says of hosts, host classes and pools.
public struct HostFile: Sendable {
    /// What is wrong with a file: which file, line and field, what was expected, what was found.
    public struct Fault: Error, CustomStringConvertible, Hashable {
        public let description: String
    }

    /// One host from an instant on.
    public struct Host: Sendable, Hashable {
        public var name: String
        public var aliases: [String] = []
        public var runners: [Runner] = []
        /// Nil where it always counted.
        public var from: Timestamp?
        /// As `HostRecordTable` lists its fields.
        public var record: [String: JSONValue] = [:]
        /// `hosts.yaml, line 12`.
        public var place: String
    }

    public struct Runner: Sendable, Hashable {
        public var name: String
        /// Empty for any CI.
        public var instance: String
        public var from: Timestamp?
        public var to: Timestamp?
    }

    /// A host class's figures from an instant on.
    public struct Class: Sendable, Hashable {
        public var fields: [String: JSONValue]
        public var from: Timestamp?
        public var place: String
    }

    /// How many jobs each machine of a pool takes at a time, from an instant on.
    public struct Pool: Sendable, Hashable {
        public var name: String
        public var slots: Double
        public var from: Timestamp?
    }

    public private(set) var hosts: [Host] = []
    public private(set) var classes: [Class] = []
    public private(set) var pools: [Pool] = []

    public init() {}

    /// - Parameters:
    ///   - text: YAML, CSV with a header, or a page with YAML between lines of `---`, as its name's ending says (`.yaml`, `.yml`, `.csv`,
    ///     `.md`).
    ///   - name: how messages call it.
    /// - Throws: `Fault`.
    public init(text: String, name: String) throws {
        let records: [FieldList]
        var classRecords: [FieldList] = []
        var poolRecords: [FieldList] = []
        if name.hasSuffix(".csv") {
            records = try HostFileReading.csv(text, name: name)
        } else if name.hasSuffix(".md") {
            records = [try HostFileReading.page(text, name: name)]
        } else {
            (records, classRecords, poolRecords) = try HostFileReading.yaml(text, name: name)
        }
        hosts = try records.map { try Self.host($0) }
        classes = try classRecords.map { try Self.hostClass($0) }
        pools = try poolRecords.map { try Self.pool($0) }
    }

    /// Both files' hosts, classes and pools.
    public mutating func add(_ other: HostFile) {
        hosts += other.hosts
        classes += other.classes
        pools += other.pools
    }

    // MARK: Hosts

    private static let texts: Set<String> = ["site", "arch", "os", "cpu", "pool", "parent", "model", "notes"]
    private static let numbers: [String: ClosedRange<Double>] = [
        "pue": 1...10, "slots": 0.001...100_000, "latitude": -90...90, "longitude": -180...180,
    ]
    private static let known =
        "name, aliases, runners, from, site, zone, pue, arch, os, cpu, threads, ram, ram_bytes, disks, gpus, pool, slots, parent, embodied,"
        + " cloud, model, notes, latitude, longitude"

    private static func host(_ list: FieldList) throws -> Host {
        var host = Host(name: "", place: list.place)
        var embodied: HostEmbodied?
        for field in list.fields {
            switch field.name {
            case "name":
                host.name = try field.text()
                guard HostName.isUsable(host.name) else { throw field.fault(HostName.expectation) }
            case "aliases":
                host.aliases = try field.list()
                for alias in host.aliases where !HostName.isUsable(alias) { throw field.fault("aliases, each \(HostName.expectation)") }
            case "runners": host.runners = try field.entries().map { try runner($0) }
            case "from": host.from = try field.time()
            case "zone", "grid_zone": host.record["grid_zone"] = .string(try field.gridZone())
            case "threads", "ram_bytes": host.record[field.name] = .integer(try field.count())
            case "ram": host.record["ram_bytes"] = .integer(try field.bytes())
            case "disks", "gpus": host.record[field.name] = .array(try field.list().map { .string($0) })
            case "embodied": embodied = try HostEmbodied(field)
            case "cloud":
                // Without a region and a type it is a word for people.
                let fields = try cloudFields(field)
                let says = fields.object.map { $0["region"] != nil || $0["instance_type"] != nil } ?? false
                host.record["cloud"] = says ? try cloud(field) : fields
            case let name where texts.contains(name): host.record[name] = .string(try field.text())
            case let name:
                guard let range = numbers[name] else { throw field.unknown(known) }
                host.record[name] = .whole(try field.number(range))
            }
        }
        guard !host.name.isEmpty else {
            throw Fault(description: "\(list.place): field name: expected the host's name, found nothing")
        }
        host.record["embodied"] = try HostEmbodied.record(embodied, of: host.record, place: list.place)
        return host
    }

    private static func cloud(_ field: FieldList.Field) throws -> JSONValue {
        let value = try cloudFields(field)
        do throws(CloudPlacement.Fault) {
            _ = try CloudPlacement(value)
        } catch {
            throw Fault(description: "\(field.place): \(error.description)")
        }
        return value
    }

    private static func cloudFields(_ field: FieldList.Field) throws -> JSONValue {
        try map(field, texts: ["vendor", "region", "instance_type"], numbers: ["vcpus"])
    }

    private static func map(_ field: FieldList.Field, texts: Set<String>, numbers: Set<String>) throws -> JSONValue {
        var result: [String: JSONValue] = [:]
        for part in try field.parts() {
            if texts.contains(part.name) {
                result[part.name] = .string(try part.text())
            } else if numbers.contains(part.name) {
                result[part.name] = .whole(try part.number(0...1e9))
            } else {
                throw part.unknown(texts.union(numbers).sorted().joined(separator: ", "))
            }
        }
        return .object(result)
    }

    private static func runner(_ list: FieldList) throws -> Runner {
        var runner = Runner(name: "", instance: "")
        for field in list.fields {
            switch field.name {
            case "name": runner.name = try field.text()
            case "instance": runner.instance = try field.text()
            case "from": runner.from = try field.time()
            case "to": runner.to = try field.time()
            default: throw field.unknown("name, instance, from, to")
            }
        }
        guard (1...512).contains(runner.name.utf8.count) else {
            throw Fault(description: "\(list.place): field runners: expected each runner's name, found nothing")
        }
        if let from = runner.from, let to = runner.to, to <= from {
            throw Fault(description: "\(list.place): field runners: expected to after from for the runner \(runner.name), found it before")
        }
        return runner
    }

    // MARK: Pools

    private static func pool(_ list: FieldList) throws -> Pool {
        var pool = Pool(name: "", slots: 0)
        for field in list.fields {
            switch field.name {
            case "name": pool.name = try field.text()
            case "slots": pool.slots = try field.number(numbers["slots"] ?? 0.001...100_000)
            case "from": pool.from = try field.time()
            default: throw field.unknown("name, slots, from")
            }
        }
        guard !pool.name.isEmpty, pool.slots > 0 else {
            throw Fault(description: "\(list.place): expected a pool's name and slots, found only one of them")
        }
        return pool
    }

    // MARK: Classes

    private static func hostClass(_ list: FieldList) throws -> Class {
        var result = Class(fields: [:], from: nil, place: list.place)
        let known = [
            "provider", "vcpus", "memory_gib", "idle_w", "max_w", "low_w", "high_w", "utilisation", "grid_zone", "pue", "source", "year",
            "licence", "basis",
        ]
        for field in list.fields {
            switch field.name {
            case "name", "class": result.fields["class"] = .string(try field.text())
            case "from": result.from = try field.time()
            case "cloud": result.fields["cloud"] = try cloud(field)
            case let name where known.contains(name): result.fields[name] = .string(try field.text())
            default: throw field.unknown((["name", "from", "cloud"] + known).joined(separator: ", "))
            }
        }
        do {
            _ = try HostClass(result.fields)
        } catch {
            throw Fault(description: "\(list.place): \(error.description)")
        }
        return result
    }
}
