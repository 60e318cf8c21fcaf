import Agent
import ArgumentParser
import Glibc

/// Where the configuration comes from.
struct ConfigurationOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Read this file instead of ~/.config/wattle/config.yaml and /etc/wattle/agent.yaml.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("Read /sys/class, /sys/devices and /dev below this directory.", valueName: "dir"))
    var root: String?

    @Option(help: ArgumentHelp("Read this directory for /proc.", valueName: "dir"))
    var procRoot: String?

    @Option(help: ArgumentHelp("Read this directory for the cgroup mount.", valueName: "dir"))
    var cgroupRoot: String?

    @Option(help: ArgumentHelp("Idle power of one CPU package.", valueName: "watts"))
    var idleFloor: String?

    var flags: [SettingKey: String?] { [.root: root, .procRoot: procRoot, .cgroupRoot: cgroupRoot, .idleFloor: idleFloor] }

    /// Flags, environment, files and defaults, in this order.
    func settings(flags more: [SettingKey: String?] = [:]) throws -> AgentSettings {
        var given: [SettingKey: String] = [:]
        for (key, value) in flags.merging(more, uniquingKeysWith: { $1 }) {
            if let value { given[key] = value }
        }
        var layers = [SettingsLayer(name: "flag", values: given), SettingsLayer(environment: environment)]
        if let config {
            guard let text = try read(config) else { throw ValidationError("--config \(config): expected a file, found none") }
            layers.append(try SettingsLayer(file: config, text: text, isShared: false))
        } else {
            // The first belongs to all of Wattle's programs.
            let home = environment["XDG_CONFIG_HOME"] ?? environment["HOME"].map { "\($0)/.config" }
            let files = [(home.map { "\($0)/wattle/config.yaml" }, true), ("/etc/wattle/agent.yaml", false)]
            for case (let path?, let isShared) in files {
                if let text = try read(path) { layers.append(try SettingsLayer(file: path, text: text, isShared: isShared)) }
            }
        }
        return try AgentSettings(layers: layers, hostName: hostName)
    }

    private var environment: [String: String] {
        var names = SettingKey.allCases.map(\.environmentName)
        names += ["HOME", "XDG_CONFIG_HOME"]
        var found: [String: String] = [:]
        for name in names {
            if let value = getenv(name) { found[name] = String(cString: value) }
        }
        return found
    }

    private var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Nil where there is no such file.
    private func read(_ path: String) throws -> String? {
        guard let file = fopen(path, "r") else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw ValidationError("\(path): cannot be read (error \(errno))")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while bytes.count < 1 << 20 {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
