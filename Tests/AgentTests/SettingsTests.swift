import Energy
import Meters
import Testing

@testable import Agent

struct SettingsTests {
    private func settings(_ layers: SettingsLayer...) throws -> AgentSettings { try AgentSettings(layers: layers, hostName: "here") }

    @Test func flagsWinOverEnvironmentOverFilesOverDefaults() throws {
        let settings = try settings(
            SettingsLayer(name: "flag", values: [.zone: "FR"]),
            SettingsLayer(environment: ["WATTLE_ZONE": "GB", "WATTLE_URL": "https://w.example/", "WATTLE_RATE": ""]),
            try SettingsLayer(file: "agent.yaml", text: "zone: DE\nrate: 50\ncollector: http://no\n", isShared: false)
        )
        #expect(settings.zone == "FR")
        #expect(settings.collector == "https://w.example")
        #expect(settings.sampling.rate == 50)
        #expect(settings.host == "here")
        let sources = Dictionary(settings.resolved.map { ($0.key, $0.source) }, uniquingKeysWith: { $1 })
        #expect(sources[.zone] == "flag" && sources[.collector] == "environment" && sources[.rate] == "agent.yaml")
        #expect(sources[.epsilon] == "default")
    }

    @Test func tokensAreMasked() throws {
        let settings = try settings(SettingsLayer(name: "flag", values: [.token: "wtl_0123456789abcdef"]))
        #expect(!settings.table.contains("0123456789"))
        #expect(settings.table.contains("wtl_...(masked)"))
    }

    @Test func theHigherLayersTokenWins() throws {
        let file = try SettingsLayer(file: "f", text: "token_file: /etc/wattle/token", isShared: false)
        let overruled = try settings(SettingsLayer(name: "flag", values: [.token: "t"]), file)
        #expect(overruled.token == "t" && overruled.tokenFile == nil)
        let reversed = try settings(file, SettingsLayer(name: "x", values: [.token: "t"]))
        #expect(reversed.token == nil && reversed.tokenFile == "/etc/wattle/token")
    }

    @Test(
        arguments: [
            (.rate, "0"), (.rate, "many"), (.epsilon, "-1"), (.epsilon, "nan"), (.collector, "ftp://x"), (.collector, "https://"),
            (.host, "a b"),
            (.logLevel, "loud"), (.batchInterval, "0"), (.idleFloor, "1e9"), (.token, "a b"), (.zone, "F R"),
        ] as [(SettingKey, String)]
    )
    func valuesOutOfRangeAreRefusedWithKeyAndSource(key: SettingKey, value: String) {
        #expect { try settings(SettingsLayer(name: "flag", values: [key: value])) } throws: {
            "\($0)".contains("\(key.rawValue) (flag): expected") && !(key == .token && "\($0)".contains(value))
        }
    }

    @Test func theFlatSubsetOfYAMLIsReadAndTheRestIsRefused() throws {
        let text = "---\n# comment\nzone: FR # trailing\nhost: \"a#b\"\ntoken: 'x: y'\nrate:\nepsilon: ~\nstate_dir: /a/b\r\n"
        #expect(try FlatYAML(parsing: text).values == ["zone": "FR", "host": "a#b", "token": "x: y", "state_dir": "/a/b"])
        for bad in ["a:\n  b: 1", "- a", "a: [1]", "a: {b: 1}", "a: |", "a: 'open", "just words", "a: 1\na: 2", "a:b", "a: \"\\n\""] {
            #expect(throws: FlatYAML.Fault.self, "\(bad)") { try FlatYAML(parsing: bad) }
        }
    }

    @Test func aFileSharedWithOtherProgramsMayHoldTheirs() throws {
        let text = "zone: FR\nreport:\n  format: json\nbudgets: [a, b]\n- x\n"
        #expect(try SettingsLayer(file: "config.yaml", text: text, isShared: true).values == [.zone: "FR"])
        #expect(throws: SettingsFault.self) { try SettingsLayer(file: "agent.yaml", text: "zonne: FR", isShared: false) }
    }

    @Test func theAnnotatedExampleHasEveryKeyAndOnlyThose() throws {
        // Every documented line, uncommented, must be understood.
        let path = #filePath.split(separator: "Tests/AgentTests")[0] + "config/agent.yaml"
        let bytes = try #require(try Disk.read(String(path)))
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        let settings = lines.filter { line in SettingKey.allCases.contains { line.hasPrefix("# \($0.rawValue): ") } }.map {
            $0.dropFirst(2)
        }
        let layer = try SettingsLayer(file: "agent.yaml", text: settings.joined(separator: "\n"), isShared: false)
        // A token belongs into a file of its own.
        #expect(Set(layer.values.keys) == Set(SettingKey.allCases).subtracting([.token]))
        #expect(throws: Never.self) { try AgentSettings(layers: [layer], hostName: "h") }
    }
}
