import Carbon
import Glibc
import Tracker

/// A value with where it came from.
struct Setting {
    /// Nil: not set, and there is no default.
    var value: String?
    /// `--collector`, `WATTLE_URL`, a file with its line, `default`.
    var origin: String
}

/// What the tool works with: flag, else environment, else file, else default.
struct Settings {
    var url: Setting
    var token: Setting
    var zone: Setting
    var socket: Setting
    /// Files that could not be understood. A measured command runs on without them.
    var complaints: [String]

    /// - Parameters:
    ///   - environment: reads one variable; empty counts as unset.
    init(url: String?, token: String?, zone: String?, socket: String?, environment: (String) -> String? = Settings.variable) {
        var complaints: [String] = []
        var files: [SettingsFile] = []
        for path in Settings.paths(environment) {
            guard let bytes = InputFile.read(path, atMost: 1 << 20) else { continue }
            do throws(SettingsFile.Fault) {
                files.append(try SettingsFile(String(decoding: bytes, as: UTF8.self), path: path))
            } catch {
                complaints.append(error.description)
            }
        }
        func setting(_ flag: String?, _ flagName: String, _ variable: String, _ key: String, _ standard: String?) -> Setting {
            if let flag { return Setting(value: flag, origin: flagName) }
            if let value = environment(variable) { return Setting(value: value, origin: variable) }
            for file in files {
                if let entry = file.entries[key] { return Setting(value: entry.value, origin: "\(file.path):\(entry.line)") }
            }
            return Setting(value: standard, origin: "default")
        }
        self.url = setting(url, "--collector", "WATTLE_URL", "url", nil)
        self.token = setting(token, "--token", "WATTLE_TOKEN", "token", nil)
        self.zone = setting(zone, "--zone", "WATTLE_ZONE", "zone", nil)
        self.socket = setting(socket, "--socket", "WATTLE_SOCKET", "socket", AgentSocket.defaultPath)
        self.complaints = complaints
    }

    /// The grid zone, or a complaint.
    func gridZone() throws -> GridZone? {
        guard let text = zone.value else { return nil }
        guard let zone = GridZone(text) else {
            throw Failure.usage(
                "\(zone.origin): expected a grid zone such as FR, DE or US-CAL-CISO (upper case), or WORLD, found \"\(text)\""
            )
        }
        return zone
    }

    /// One line a setting, with where it came from; secrets are not shown.
    var table: String {
        func row(_ name: String, _ setting: Setting, secret: Bool = false) -> [String] {
            let value = setting.value.map { secret ? "(a secret of \($0.count) characters)" : $0 } ?? "(not set)"
            return [name, value, setting.value == nil ? "" : setting.origin]
        }
        var text = TextTable(
            columns: [.left("setting"), .left("value"), .left("from")],
            rows: [row("url", url), row("token", token, secret: true), row("zone", zone), row("socket", socket)]
        ).text
        for complaint in complaints { text += "\n\(complaint)\n" }
        return text
    }

    static func variable(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    private static func paths(_ environment: (String) -> String?) -> [String] {
        var paths: [String] = []
        if let directory = environment("XDG_CONFIG_HOME") {
            paths.append(directory + "/wattle/config.yaml")
        } else if let home = environment("HOME") {
            paths.append(home + "/.config/wattle/config.yaml")
        }
        return paths + ["/etc/wattle/wattle.yaml"]
    }
}
