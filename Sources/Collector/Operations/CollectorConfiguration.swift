import Foundation
import Yams

/// One setting, and where its value came from.
public struct Setting: Sendable {
    public enum Origin: String, Sendable {
        case flag, environment, file, `default`
    }

    public let name: String
    public let value: String?
    public let origin: Origin
    let isSecret: Bool

    /// For `--show-config`: the value with passwords masked.
    public var shown: String {
        guard let value else { return "(not set)" }
        guard isSecret else { return value }
        // As words: host=db password=...; or as a parameter of a URL.
        if value.contains("password") { return "*** (with a password)" }
        guard let at = value.lastIndex(of: "@"), let scheme = value.range(of: "://") else { return value }
        return value[..<scheme.upperBound] + "***" + value[at...]
    }
}

/// What `wattle-collector` is told: flag before environment before file before default.
public struct CollectorConfiguration: Sendable {
    public struct Fault: Error, CustomStringConvertible {
        public let description: String
    }

    public private(set) var settings: [Setting] = []
    /// What the collector itself asks for series; only a file can say it.
    public private(set) var scrapeTargets: [ScrapeTarget] = []
    /// The zones whose intensities are asked for; only a file can say it.
    public private(set) var grid: [GridZoneSettings] = []
    /// How long what is kept; only a file can say it.
    public private(set) var storage = StorageTerms()

    /// Name, environment variable, default; in the order in which they are shown.
    private static let known: [(name: String, variable: String, standard: String?)] = [
        ("listen", "WATTLE_LISTEN", "127.0.0.1:8480"),
        ("base_url", "WATTLE_BASE_URL", nil),
        ("embedded", "WATTLE_EMBEDDED", nil),
        ("database_url", "WATTLE_DATABASE_URL", nil),
        ("read_url", "WATTLE_READ_URL", nil),
        ("connections", "WATTLE_CONNECTIONS", "10"),
        ("access", "WATTLE_ACCESS", "public"),
        ("poll_only", "WATTLE_POLL_ONLY", "false"),
        ("reconcile_interval_s", "WATTLE_RECONCILE_INTERVAL_S", "3600"),
        ("meters", "WATTLE_METERS", nil),
        ("log_level", "WATTLE_LOG_LEVEL", "info"),
    ]

    /// - Parameters:
    ///   - flags: by setting name; nil for one that was not given.
    ///   - file: a file that must exist, or nil for the usual places, which need not.
    public init(flags: [String: String?], environment: [String: String], file: String?) throws {
        let (fromFile, targets, zones, terms) = try Self.read(file: file, home: environment["HOME"])
        scrapeTargets = targets
        grid = zones
        storage = terms ?? StorageTerms()
        for (name, variable, standard) in Self.known {
            let value: String?
            let origin: Setting.Origin
            if let flag = flags[name] ?? nil {
                (value, origin) = (flag, .flag)
            } else if let variable = environment[variable], !variable.isEmpty {
                (value, origin) = (variable, .environment)
            } else if let setting = fromFile[name] {
                (value, origin) = (setting, .file)
            } else {
                (value, origin) = (standard, .default)
            }
            settings.append(Setting(name: name, value: value, origin: origin, isSecret: name.hasSuffix("_url") && name != "base_url"))
        }
        if !targets.isEmpty { settings.append(Setting(name: "scrape", value: "\(targets.count) targets", origin: .file, isSecret: false)) }
        for zone in grid { settings.append(Setting(name: "grid.\(zone.zone)", value: zone.shown, origin: .file, isSecret: false)) }
        for (name, value) in storage.values {
            settings.append(Setting(name: "storage.\(name)", value: value, origin: terms == nil ? .default : .file, isSecret: false))
        }
        // A flag for one kind of database leaves the other kind of lesser origin out.
        if let embedded = setting("embedded"), let url = setting("database_url"), embedded.value != nil, url.value != nil {
            guard embedded.origin != url.origin else {
                throw Fault(
                    description: "expected either embedded or database_url, found both (\(embedded.origin.rawValue)); leave one out"
                )
            }
            let loser = Self.rank(embedded.origin) < Self.rank(url.origin) ? "database_url" : "embedded"
            settings = settings.map { $0.name == loser ? Setting(name: loser, value: nil, origin: .default, isSecret: $0.isSecret) : $0 }
        }
    }

    public subscript(name: String) -> String? { setting(name)?.value }

    /// Address and port to listen on; a port of 0 takes any free one.
    public func listen() throws -> (host: String, port: Int) {
        let text = self["listen"] ?? ""
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port),
            colon > text.startIndex
        else { throw Fault(description: "listen: expected ADDRESS:PORT such as 127.0.0.1:8480, found \(text)") }
        return (text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]")), port)
    }

    /// What people without a token see.
    public func access() throws -> Access {
        guard let access = self["access"].flatMap(Access.init(rawValue:)) else {
            throw Fault(
                description: "access: expected public (what something said is public) or token, found \(self["access"] ?? "nothing")"
            )
        }
        return access
    }

    public func connections() throws -> Int {
        guard let text = self["connections"], let number = Int(text), (2...1_000).contains(number) else {
            throw Fault(description: "connections: expected 2 to 1000, found \(self["connections"] ?? "nothing")")
        }
        return number
    }

    /// Whether sources' systems are only asked, and no webhook is taken.
    public func isPollOnly() throws -> Bool {
        switch self["poll_only"]?.lowercased() {
        case "true", "yes", "1": return true
        case "false", "no", "0": return false
        default: throw Fault(description: "poll_only: expected true or false, found \(self["poll_only"] ?? "nothing")")
        }
    }

    /// How often sources' systems are asked for what their webhooks missed.
    public func reconcileInterval() throws -> Duration {
        guard let text = self["reconcile_interval_s"], let seconds = Int(text), (30...86_400).contains(seconds) else {
            throw Fault(
                description: "reconcile_interval_s: expected 30 to 86400 seconds, found \(self["reconcile_interval_s"] ?? "nothing")"
            )
        }
        return .seconds(seconds)
    }

    /// The providers of `grid:` with their keys.
    public func gridChains(environment: [String: String]) throws -> [GridChain] {
        do {
            return try grid.map { zone in try zone.chain { try $0.key(environment: environment) } }
        } catch let fault as GridFault {
            throw Fault(description: fault.description)
        }
    }

    private func setting(_ name: String) -> Setting? { settings.first { $0.name == name } }

    private static func rank(_ origin: Setting.Origin) -> Int {
        switch origin {
        case .flag: 0
        case .environment: 1
        case .file: 2
        case .default: 3
        }
    }

    private static func read(file: String?, home: String?) throws
        -> (values: [String: String], targets: [ScrapeTarget], grid: [GridZoneSettings], storage: StorageTerms?)
    {
        let usual = [home.map { $0 + "/.config/wattle/config.yaml" }, "/etc/wattle/collector.yaml"].compactMap { $0 }
        guard let path = file ?? usual.first(where: { FileManager.default.fileExists(atPath: $0) }) else { return ([:], [], [], nil) }
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw Fault(description: "--config: \(path) cannot be read: \(error.localizedDescription)")
        }
        let loaded: Any?
        do {
            loaded = try Yams.load(yaml: text)
        } catch {
            throw Fault(description: "\(path): expected YAML, found \(error)")
        }
        guard let loaded else { return ([:], [], [], nil) }
        guard let mapping = loaded as? [String: Any] else { throw Fault(description: "\(path): expected settings as `name: value`") }
        var values: [String: String] = [:]
        var targets: [ScrapeTarget] = []
        var grid: [GridZoneSettings] = []
        var storage: StorageTerms?
        for (name, value) in mapping {
            if name == "scrape" {
                do { targets = try ScrapeTarget.read(value) } catch { throw Fault(description: "\(path): \(error)") }
                continue
            }
            if name == "grid" {
                do { grid = try GridZoneSettings.read(value) } catch { throw Fault(description: "\(path): \(error)") }
                continue
            }
            if name == "storage" {
                do { storage = try StorageTerms(value) } catch { throw Fault(description: "\(path): \(error)") }
                continue
            }
            guard known.contains(where: { $0.name == name }) else {
                if file == nil { continue }
                let names = known.map(\.name) + ["scrape", "grid", "storage"]
                throw Fault(description: "\(path): unknown setting \(name); expected one of \(names.joined(separator: ", "))")
            }
            values[name] = "\(value)"
        }
        return (values, targets, grid, storage)
    }
}
