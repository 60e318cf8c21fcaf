/// `buildkite-agent.cfg`: the agent's name, which may hold words that the agent replaces as it starts. Its token is passed over unread.
enum BuildkiteAgentFile {
    private static let mostSpawned: UInt32 = 256

    /// - Parameter hostName: what `%hostname` stands for.
    static func registrations(_ text: String, hostName: String) -> [RunnerRegistration] {
        var name = "%hostname-%spawn"
        var spawn: UInt32 = 1
        var endpoint = ""
        for line in text.split(whereSeparator: \.isNewline) {
            guard let (key, value) = ConfigurationLine.keyAndValue(ConfigurationLine.trimmed(line)) else { continue }
            switch key {
            case "name": name = value
            case "spawn": spawn = min(mostSpawned, max(1, UInt32(value) ?? 1))
            case "endpoint": endpoint = value
            default: break
            }
        }
        let instance =
            endpoint.isEmpty || endpoint.contains("agent.buildkite.com") ? "buildkite.com" : RunnerRegistration.place(of: endpoint).instance
        var names: [String] = []
        for number in 1...spawn {
            let full =
                name.replacing("%hostname", with: hostName).replacing("%spawn", with: "\(number)").replacing("%n", with: "\(number)")
            // A name with a random part or a process id is another one at each start: nothing to look up by.
            if !full.isEmpty, !full.contains("%"), !names.contains(full) { names.append(full) }
        }
        return names.map { RunnerRegistration(name: $0, instance: instance, kind: .buildkite, concurrent: 1) }
    }
}
