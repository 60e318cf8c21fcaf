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

    @Option(help: ArgumentHelp("The socket of wattle-broker, which opens files for an agent without privileges.", valueName: "path"))
    var brokerSocket: String?

    @Option(
        help: ArgumentHelp(
            "Set an option of a sensor, such as msr.cpus=0,1; may be given again. 'wattle-agent detect --options' lists them.",
            valueName: "sensor.key=value"
        )
    )
    var set: [String] = []

    @Option(help: ArgumentHelp("sysfs (powercap) or msr: where RAPL counters are read.", valueName: "mode"))
    var raplMode: String?

    @Option(help: ArgumentHelp("CPUs whose MSRs are read, one of each package; with --rapl-mode=msr.", valueName: "list"))
    var msrCpus: String?

    private var sensorOptions: [String: String] {
        get throws {
            var options = try SensorOptions.parse(set)
            switch raplMode {
            case nil: break
            case "msr": options["msr.enabled"] = "yes"
            case "sysfs", "powercap": options["msr.enabled"] = "no"
            case let other?: throw ValidationError("--rapl-mode: expected sysfs or msr, found '\(other)'")
            }
            if let msrCpus { options["msr.cpus"] = msrCpus }
            return options
        }
    }

    var flags: [SettingKey: String?] {
        [
            .brokerSocket: brokerSocket, .root: root, .procRoot: procRoot, .cgroupRoot: cgroupRoot, .idleFloor: idleFloor,
        ]
    }

    /// Flags, environment, files and defaults, in this order.
    func settings(flags more: [SettingKey: String?] = [:]) throws -> AgentSettings {
        var given: [SettingKey: String] = [:]
        for (key, value) in flags.merging(more, uniquingKeysWith: { $1 }) {
            if let value { given[key] = value }
        }
        var layers = [
            SettingsLayer(name: "flag", values: given, sensorOptions: try sensorOptions), SettingsLayer(environment: environment),
        ]
        if let config {
            guard let text = try read(config) else { throw ValidationError("--config \(config): expected a file, found none") }
            layers.append(try SettingsLayer(file: config, text: text, isShared: false))
        } else {
            // The first belongs to all of Wattle's programs.
            let home = environment["XDG_CONFIG_HOME"] ?? environment["HOME"].map { "\($0)/.config" }
            let files = [(home.map { "\($0)/wattle/config.yaml" }, true), ("/etc/wattle/agent.yaml", false)]
            for case (let path?, let isShared) in files {
                // Another user's home, as after a change of user: nothing in it is for this program.
                if access(path, R_OK) != 0, errno == EACCES {
                    StandardError.write("wattle-agent: \(path) cannot be read by this user: passed over\n")
                    continue
                }
                if let text = try read(path) { layers.append(try SettingsLayer(file: path, text: text, isShared: isShared)) }
            }
        }
        return try AgentSettings(layers: layers, hostName: hostName)
    }

    private var environment: [String: String] {
        var names = SettingKey.allCases.map(\.environmentName)
        names += SensorOptions.all.map(\.environmentName)
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
            throw ValidationError("\(path): cannot be read: \(String(cString: strerror(errno)))")
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
