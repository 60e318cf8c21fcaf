import Meters

/// What can be set for the kinds of sensor: `<sensor>.<key>`, or `<sensor>.<which>.<key>` where a kind takes several.
public enum SensorOptions {
    public struct Option: Hashable, Sendable {
        public var name: String
        public var help: String
        public var standard: String?

        /// `WATTLE_MSR_CPUS`.
        public var environmentName: String {
            "WATTLE_" + String(name.map { $0 == "." || $0 == "-" ? "_" : Character($0.uppercased()) })
        }
    }

    /// In the order of the kinds' names.
    public static let all: [Option] = HostSensors.kinds.sorted { $0.name < $1.name }.flatMap { kind in
        kind.options.map { Option(name: "\(kind.name).\($0.key)", help: $0.help, standard: $0.standard) }
    }

    /// For people. Of a kind that takes several the first two are shown.
    public static var table: String {
        let shown = all.filter { option in
            let parts = option.name.split(separator: ".")
            return parts.count < 3 || parts[1] == "2"
        }
        return TextTable.render(
            header: ["option", "default", "what it is"],
            rows: shown.map { [$0.name, $0.standard ?? "-", $0.help] }
        )
    }

    static func isKnown(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, let sensor = parts.first, let key = parts.last else { return false }
        return all.contains { $0.name == "\(sensor).\(key)" }
    }

    /// The options of a `--set sensor.key=value`.
    ///
    /// - Throws: `SettingsFault` where it names none.
    public static func parse(_ assignments: [String]) throws(SettingsFault) -> [String: String] {
        var options: [String: String] = [:]
        for text in assignments {
            guard let sign = text.firstIndex(of: "="), isKnown(String(text[..<sign])) else {
                let known = all.map(\.name).joined(separator: ", ")
                throw SettingsFault(description: "--set: expected key=value with a key of \(known), found '\(text)'")
            }
            options[String(text[..<sign])] = String(text[text.index(after: sign)...])
        }
        return options
    }
}
