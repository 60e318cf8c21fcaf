public import Energy
import HTTPClient
public import Meters

/// Why the configuration cannot be used: the key, where it was given, what was expected, what was found.
public struct SettingsFault: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
}

/// A setting that can be given by flag, environment or file.
public enum SettingKey: String, CaseIterable, Sendable {
    case collector, token
    case tokenFile = "token_file"
    case host, zone
    case stateDirectory = "state_dir"
    case socket
    case socketGroup = "socket_group"
    case jobSocketDirectory = "job_socket_dir"
    case rate, epsilon
    case cpuEpsilon = "cpu_epsilon"
    case batchInterval = "batch_interval"
    case batchIntervalInSpan = "batch_interval_span"
    case idleFloor = "idle_floor"
    case root
    case procRoot = "proc_root"
    case cgroupRoot = "cgroup_root"
    case spoolSize = "spool_mib"
    case logLevel = "log_level"
    case caFile = "ca_file"
    case clientCertificate = "client_certificate"
    case clientKey = "client_key"
    case proxy, gzip
    case metricsListen = "metrics_listen"
    case brokerSocket = "broker_socket"
    case governorSocket = "governor_socket"
    case governorGroup = "governor_group"
    case governorMode = "governor_mode"
    case enrolTokenFile = "enrol_token_file"
    case pool
    case runnerDirectories = "runner_directories"

    /// The environment's variable.
    public var environmentName: String { self == .collector ? "WATTLE_URL" : "WATTLE_\(rawValue.uppercased())" }

    /// The default, as it would be written in a file; nil for none.
    var defaultText: String? {
        switch self {
        case .stateDirectory: "/var/lib/wattle/agent"
        case .socket: "/run/wattle/agent.sock"
        case .socketGroup: "wattle"
        case .jobSocketDirectory: "/run/wattle/jobs"
        case .rate: "10"
        case .epsilon: "1"
        case .cpuEpsilon: "50"
        case .batchInterval: "10"
        case .batchIntervalInSpan: "5"
        case .spoolSize: "256"
        case .logLevel: "info"
        case .procRoot: "/proc"
        case .gzip: "yes"
        case .brokerSocket: "/run/wattle/broker.sock"
        case .governorGroup: "wattle"
        case .governorMode: "660"
        case .collector, .token, .tokenFile, .host, .zone, .idleFloor, .root, .cgroupRoot, .caFile, .clientCertificate, .clientKey, .proxy,
            .metricsListen, .governorSocket, .enrolTokenFile, .pool, .runnerDirectories:
            nil
        }
    }
}

/// Where a setting may come from, the first that has it wins.
public struct SettingsLayer: Sendable {
    /// `flag`, `environment`, a file's path.
    public var name: String
    public var values: [SettingKey: String]
    /// Options of sensors, by `<sensor>.<key>`.
    public var sensorOptions: [String: String]

    public init(name: String, values: [SettingKey: String], sensorOptions: [String: String] = [:]) {
        self.name = name
        self.values = values
        self.sensorOptions = sensorOptions
    }

    /// The variables of an environment. An empty one counts as not set.
    public init(environment: [String: String]) {
        name = "environment"
        values = [:]
        sensorOptions = [:]
        for key in SettingKey.allCases {
            if let value = environment[key.environmentName], !value.isEmpty { values[key] = value }
        }
        for option in SensorOptions.all {
            if let value = environment[option.environmentName], !value.isEmpty { sensorOptions[option.name] = value }
        }
    }

    /// A configuration file's text.
    ///
    /// - Parameter isShared: other programs keep their settings there too; keys that the agent does not know are no fault.
    public init(file: String, text: String, isShared: Bool) throws(SettingsFault) {
        name = file
        values = [:]
        sensorOptions = [:]
        do {
            let yaml = try FlatYAML(parsing: text, isShared: isShared)
            for (name, value) in yaml.values {
                if let key = SettingKey(rawValue: name) {
                    values[key] = value
                } else if SensorOptions.isKnown(name) {
                    sensorOptions[name] = value
                } else if !isShared {
                    let known = (SettingKey.allCases.map(\.rawValue) + SensorOptions.all.map(\.name)).joined(separator: ", ")
                    throw SettingsFault(description: "\(file): expected one of the keys \(known), found '\(name)'")
                }
            }
        } catch let fault as SettingsFault {
            throw fault
        } catch {
            throw SettingsFault(description: "\(file): \(error)")
        }
    }
}

/// The agent's configuration, each value with where it came from.
public struct AgentSettings: Sendable {
    public struct Resolved: Hashable, Sendable {
        public var key: SettingKey
        /// The key as it is written.
        public var name: String { key.rawValue }
        /// Nil where nothing gives it and there is no default.
        public var value: String?
        public var source: String
    }

    public let resolved: [Resolved]

    /// Without a slash at its end; nil for none.
    public internal(set) var collector: String?
    public let token: String?
    public let tokenFile: String?
    public internal(set) var host: String
    /// A token with which an agent that has none of its own gets one.
    public let enrolTokenFile: String?
    public let pool: String?
    /// Where runner registrations are looked for beside the usual places; may hold `*`.
    public let runnerDirectories: [String]
    public let zone: String?
    public let stateDirectory: String
    public let socket: String
    public let socketGroup: String
    /// Where single jobs get sockets of their own; nil for nowhere.
    public let jobSocketDirectory: String?
    public let sampling: SamplingSettings
    public let batchInterval: Microseconds
    public let batchIntervalInSpan: Microseconds
    /// Of one package.
    public let idleFloor: Power?
    public let roots: HostRoots
    public let spoolBytes: Int
    public let logLevel: String
    /// Files of the trusted authorities and of this agent's own certificate, and a proxy's URL; nil for libcurl's defaults.
    public let caFile: String?
    public let clientCertificate: String?
    public let clientKey: String?
    public let proxy: String?
    /// Whether batches are sent compressed.
    public let isCompressing: Bool
    /// Where the local metrics are served; nil for nowhere.
    let metricsAddress: MetricsAddress?
    public let brokerSocket: String
    /// The socket that speaks the carbon-ops governor's protocol; nil for none.
    public let governorSocket: String?
    public let governorGroup: String
    public let governorMode: UInt16
    /// By `<sensor>.<key>`, each with where it came from.
    public let sensorOptions: [String: (value: String, source: String)]

    /// - Parameters:
    ///   - layers: the first that has a key wins.
    ///   - hostName: the host's name where none is configured.
    public init(layers: [SettingsLayer], hostName: String) throws(SettingsFault) {
        var resolved: [Resolved] = []
        for key in SettingKey.allCases {
            if let layer = layers.first(where: { $0.values[key] != nil }) {
                resolved.append(Resolved(key: key, value: layer.values[key], source: layer.name))
            } else {
                resolved.append(Resolved(key: key, value: key == .host ? hostName : key.defaultText, source: "default"))
            }
        }
        // A token and a token file are two ways of saying one thing: the higher layer's wins.
        let tokenLayers = [SettingKey.token, .tokenFile].map { key in layers.firstIndex { $0.values[key] != nil } ?? Int.max }
        let loser: SettingKey = tokenLayers[0] <= tokenLayers[1] ? .tokenFile : .token
        if tokenLayers[0] != Int.max, tokenLayers[1] != Int.max, let i = resolved.firstIndex(where: { $0.key == loser }) {
            resolved[i] = Resolved(key: loser, value: nil, source: "overruled by \(loser == .token ? "token_file" : "token")")
        }
        self.resolved = resolved
        let reader = Reader(resolved: resolved)

        collector = try reader.url(.collector)
        token = try reader.token(.token)
        tokenFile = reader.text(.tokenFile)
        host = try reader.name(.host, longest: 255)
        enrolTokenFile = reader.text(.enrolTokenFile)
        pool = reader.text(.pool) == nil ? nil : try reader.name(.pool, longest: 255)
        runnerDirectories = (reader.text(.runnerDirectories) ?? "").split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
        guard runnerDirectories.allSatisfy({ $0.hasPrefix("/") }) else {
            throw reader.fault(.runnerDirectories, "whole paths, parted by commas, such as /data/runners/*")
        }
        zone = reader.text(.zone) == nil ? nil : try reader.name(.zone, longest: 64)
        stateDirectory = try reader.path(.stateDirectory)
        socket = try reader.path(.socket)
        socketGroup = try reader.name(.socketGroup, longest: 64)
        let jobSockets = try reader.path(.jobSocketDirectory)
        // The name of a socket in it takes 63 bytes of the 107 that a path may have.
        guard jobSockets == "none" || (jobSockets.hasPrefix("/") && jobSockets.utf8.count <= 43) else {
            throw reader.fault(.jobSocketDirectory, "a whole path of at most 43 bytes, or none")
        }
        jobSocketDirectory = jobSockets == "none" ? nil : jobSockets
        sampling = SamplingSettings(
            rate: try reader.number(.rate, 1...1_000, "readings a second"),
            energyEpsilon: .joules(try reader.number(.epsilon, 0...1_000_000, "J")),
            cpuEpsilon: Microseconds(Int64(saturating: try reader.number(.cpuEpsilon, 0...1e6, "ms") * 1_000))
        )
        batchInterval = Microseconds(Int64(saturating: try reader.number(.batchInterval, 0.1...3_600, "s") * 1e6))
        batchIntervalInSpan = Microseconds(Int64(saturating: try reader.number(.batchIntervalInSpan, 0.1...3_600, "s") * 1e6))
        idleFloor = reader.text(.idleFloor) == nil ? nil : Power(watts: try reader.number(.idleFloor, 0...10_000, "W a package"))
        roots = HostRoots(
            root: reader.text(.root) ?? "",
            proc: try reader.path(.procRoot),
            cgroup: reader.text(.cgroupRoot) == nil ? nil : try reader.path(.cgroupRoot)
        )
        spoolBytes = Int(try reader.number(.spoolSize, 1...1_048_576, "MiB")) << 20
        caFile = reader.text(.caFile)
        clientCertificate = reader.text(.clientCertificate)
        clientKey = reader.text(.clientKey)
        if clientKey != nil, clientCertificate == nil { throw reader.fault(.clientCertificate, "a file, because client_key is given") }
        proxy = reader.text(.proxy)
        isCompressing = try reader.choice(.gzip)
        metricsAddress = try reader.address(.metricsListen)
        brokerSocket = try reader.path(.brokerSocket)
        governorSocket = reader.text(.governorSocket) == nil ? nil : try reader.path(.governorSocket)
        governorGroup = try reader.name(.governorGroup, longest: 64)
        guard let mode = reader.text(.governorMode).flatMap({ UInt16($0, radix: 8) }), mode <= 0o777 else {
            throw reader.fault(.governorMode, "an octal file mode such as 660")
        }
        governorMode = mode
        var options: [String: (value: String, source: String)] = [:]
        for layer in layers.reversed() {
            for (name, value) in layer.sensorOptions { options[name] = (value, layer.name) }
        }
        sensorOptions = options
        let level = reader.text(.logLevel) ?? "info"
        let levels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]
        guard levels.contains(level) else { throw reader.fault(.logLevel, "one of \(levels.joined(separator: ", "))") }
        logLevel = level
    }

    /// How connections to the collector are made. The word `none` means no proxy, whatever the environment says.
    var connection: HTTPClient.Connection {
        HTTPClient.Connection(
            caFile: caFile,
            certificateFile: clientCertificate,
            keyFile: clientKey,
            proxy: proxy == "none" ? "" : proxy
        )
    }

    /// Whether somebody chose the host's name, rather than that it is the machine's own.
    var isHostConfigured: Bool { resolved.contains { $0.key == .host && $0.source != "default" } }

    /// What `--show-config` prints: each key, its value and which source won. Tokens are masked.
    public var table: String {
        let rows = resolved.map { row -> [String] in
            let value = row.value.map { row.key == .token ? Self.masked($0) : $0 } ?? "-"
            return [row.key.rawValue, value, row.source]
        }
        let options = SensorOptions.all.map { option -> [String] in
            let given = sensorOptions[option.name]
            return [option.name, given?.value ?? option.standard ?? "-", given?.source ?? "default"]
        }
        let others = sensorOptions.keys.filter { name in !SensorOptions.all.contains { $0.name == name } }.sorted()
        let further = others.map { [$0, sensorOptions[$0]?.value ?? "-", sensorOptions[$0]?.source ?? "-"] }
        return TextTable.render(header: ["key", "value", "source"], rows: rows + options + further)
    }

    private static func masked(_ token: String) -> String { token.count > 12 ? "\(token.prefix(4))...(masked)" : "(masked)" }

    private struct Reader {
        let resolved: [Resolved]

        private func row(_ key: SettingKey) -> Resolved? { resolved.first { $0.key == key } }

        func text(_ key: SettingKey) -> String? { row(key)?.value.flatMap { $0.isEmpty ? nil : $0 } }

        func fault(_ key: SettingKey, _ expected: String) -> SettingsFault {
            let found = text(key).map { key == .token ? "something else" : "'\($0)'" } ?? "nothing"
            return SettingsFault(description: "\(key.rawValue) (\(row(key)?.source ?? "default")): expected \(expected), found \(found)")
        }

        func number(_ key: SettingKey, _ range: ClosedRange<Double>, _ unit: String) throws(SettingsFault) -> Double {
            guard let number = text(key).flatMap({ Double($0) }), range.contains(number) else {
                throw fault(key, "a number of \(unit) from \(Self.short(range.lowerBound)) to \(Self.short(range.upperBound))")
            }
            return number
        }

        private static func short(_ number: Double) -> String { number == number.rounded() ? "\(Int64(saturating: number))" : "\(number)" }

        func address(_ key: SettingKey) throws(SettingsFault) -> MetricsAddress? {
            guard let text = text(key) else { return nil }
            do {
                return try MetricsAddress(parsing: text)
            } catch {
                throw fault(key, "an address and a port such as 127.0.0.1:9480")
            }
        }

        func choice(_ key: SettingKey) throws(SettingsFault) -> Bool {
            switch text(key) {
            case "yes", "true", "on", "1": return true
            case "no", "false", "off", "0": return false
            default: throw fault(key, "yes or no")
            }
        }

        func path(_ key: SettingKey) throws(SettingsFault) -> String {
            guard let path = text(key), !path.utf8.contains(0) else { throw fault(key, "a path") }
            return path
        }

        /// A name without blanks and control characters.
        func name(_ key: SettingKey, longest: Int) throws(SettingsFault) -> String {
            guard let name = text(key), name.utf8.count <= longest, name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
                throw fault(key, "a name of 1 to \(longest) bytes without blanks")
            }
            return name
        }

        func token(_ key: SettingKey) throws(SettingsFault) -> String? {
            guard let token = text(key) else { return nil }
            guard token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { throw fault(key, "a token of printable ASCII without blanks") }
            return token
        }

        func url(_ key: SettingKey) throws(SettingsFault) -> String? {
            guard var url = text(key) else { return nil }
            while url.hasSuffix("/") { url.removeLast() }
            let rest = url.hasPrefix("https://") ? url.dropFirst(8) : url.hasPrefix("http://") ? url.dropFirst(7) : ""
            guard !rest.isEmpty, rest.first != "/", url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !url.contains("?"), !url.contains("#")
            else {
                throw fault(key, "a URL such as https://wattle.example.org")
            }
            return url
        }
    }
}
