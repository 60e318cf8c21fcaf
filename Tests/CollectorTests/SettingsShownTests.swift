import Collector
import Testing

@Suite struct SettingsShownTests {
    private func shown(_ name: String, _ value: String) throws -> String {
        let configuration = try CollectorConfiguration(flags: [name: value], environment: [:], file: nil)
        return try #require(configuration.settings.first { $0.name == name }).shown
    }

    @Test(arguments: ["database_url", "read_url"]) func noPasswordIsShown(setting: String) throws {
        for url in [
            "postgresql://wattle:secret@db1,db2/wattle?target_session_attrs=read-write", "host=db1,db2 user=wattle password=secret",
            "postgresql://db1,db2/wattle?user=wattle&password=secret",
        ] {
            let text = try shown(setting, url)
            #expect(!text.contains("secret") && text.contains("***"), "\(text)")
        }
        #expect(try shown(setting, "postgresql://db/wattle") == "postgresql://db/wattle")
        #expect(try shown("base_url", "https://x@y.example") == "https://x@y.example")
    }

    @Test func aReplicaIsNamedByFlagEnvironmentOrFile() throws {
        let named = try CollectorConfiguration(flags: [:], environment: ["WATTLE_READ_URL": "postgresql://b/wattle"], file: nil)
        #expect(named["read_url"] == "postgresql://b/wattle")
        #expect(named.settings.first { $0.name == "read_url" }?.origin == .environment)
    }
}
