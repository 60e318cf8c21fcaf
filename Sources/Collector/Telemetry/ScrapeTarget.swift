import Documents

/// Something that the collector asks for its series.
public struct ScrapeTarget: Sendable, Hashable {
    /// What is wrong with `scrape:` in the configuration.
    public struct Fault: Error, CustomStringConvertible, Hashable {
        public let description: String
    }

    public var url: String
    /// Added to each series, over its own label of that name: `host`, and what the operator says.
    public var labels: [String: String]
    public var every: Duration
    public var timeout: Duration
    /// A file with a bearer token, read anew each time.
    public var tokenFile: String?
    /// A worker's node_exporter through OCluster's scheduler: a worker that is not connected is no fault of the target.
    public var isRelayed = false

    /// Reads `scrape:`, as YAML gives it.
    ///
    /// - Throws: `Fault` that names the target and the key.
    static func read(_ value: Any) throws -> [ScrapeTarget] {
        guard let list = value as? [Any] else { throw Fault(description: "scrape: expected a list of targets, found \(value)") }
        let targets = try list.enumerated().flatMap { try target($1, place: "scrape, target \($0 + 1)") }
        if let twice = Dictionary(grouping: targets, by: \.url).first(where: { $1.count > 1 }) {
            throw Fault(description: "scrape: expected each target once, found \(twice.key) twice")
        }
        return targets
    }

    private static let keys = ["url", "host", "ocluster", "workers", "every_s", "timeout_s", "labels", "token_file"]

    private static func target(_ value: Any, place: String) throws -> [ScrapeTarget] {
        guard let fields = value as? [String: Any] else { throw Fault(description: "\(place): expected `url: ADDRESS`, found \(value)") }
        if let unknown = fields.keys.sorted().first(where: { !keys.contains($0) }) {
            throw Fault(description: "\(place): expected one of \(keys.joined(separator: ", ")), found \(unknown)")
        }
        func seconds(_ key: String, _ standard: Double, _ range: ClosedRange<Double>) throws -> Duration {
            guard let value = fields[key] else { return .seconds(standard) }
            guard let number = Double("\(value)"), range.contains(number) else {
                throw Fault(description: "\(place), \(key): expected \(range.lowerBound) to \(range.upperBound), found \(value)")
            }
            return .seconds(number)
        }
        func address(_ key: String) throws -> String? {
            guard let value = fields[key] else { return nil }
            let text = "\(value)"
            guard text.hasPrefix("http://") || text.hasPrefix("https://") else {
                throw Fault(description: "\(place), \(key): expected http://... or https://..., found \(text)")
            }
            return text
        }
        let every = try seconds("every_s", 15, 1...3_600)
        var common = ScrapeTarget(url: "", labels: [:], every: every, timeout: try seconds("timeout_s", 10, 0.1...60))
        common.tokenFile = fields["token_file"].map { "\($0)" }
        if let labels = fields["labels"] {
            guard let labels = labels as? [String: Any] else {
                throw Fault(description: "\(place), labels: expected `name: value`, found \(labels)")
            }
            common.labels = labels.mapValues { "\($0)" }
        }
        if let url = try address("url"), fields["ocluster"] == nil, fields["workers"] == nil {
            common.url = url
            if let host = fields["host"] { common.labels["host"] = "\(host)" }
            if common.labels["instance"] == nil { common.labels["instance"] = authority(url) }
            return [common]
        }
        guard let scheduler = try address("ocluster"), fields["url"] == nil, fields["host"] == nil else {
            throw Fault(description: "\(place): expected either url (and host) or ocluster and workers")
        }
        guard let pools = fields["workers"] as? [String: Any], !pools.isEmpty else {
            throw Fault(description: "\(place), workers: expected `POOL: [WORKER, ...]`, found \(fields["workers"] ?? "nothing")")
        }
        return try pools.sorted { $0.key < $1.key }.flatMap { pool, workers in
            guard let names = workers as? [Any], !names.isEmpty else {
                throw Fault(description: "\(place), workers, \(pool): expected a list of workers, found \(workers)")
            }
            return names.map { name in
                var target = common
                let base = scheduler.hasSuffix("/") ? String(scheduler.dropLast()) : scheduler
                target.url = "\(base)/pool/\(pool.percentEncoded)/worker/\("\(name)".percentEncoded)/host-metrics"
                target.labels["host"] = "\(name)"
                target.isRelayed = true
                return target
            }
        }
    }

    private static func authority(_ url: String) -> String {
        let rest = url.drop { $0 != ":" }.dropFirst(3)
        return String(rest.prefix { $0 != "/" && $0 != "?" })
    }
}
