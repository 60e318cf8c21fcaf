import Carbon
import Collector
import Energy
import Foundation
import Testing

/// `grid:` of the configuration.
@Suite struct GridSettingsTests {
    private func read(_ yaml: String, environment: [String: String] = [:], _ body: (CollectorConfiguration) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "wattle-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { do { try FileManager.default.removeItem(at: folder) } catch { print(error) } }
        try "the-secret\n".write(to: folder.appending(path: "key"), atomically: true, encoding: .utf8)
        let file = folder.appending(path: "collector.yaml")
        try yaml.replacing("FOLDER", with: folder.path).write(to: file, atomically: true, encoding: .utf8)
        try body(try CollectorConfiguration(flags: [:], environment: environment, file: file.path))
    }

    private static let every = """
        grid:
          - {zone: GB, providers: [gb-carbon-intensity]}
          - zone: FR
            since: 2026-08-01T00:00:00Z
            forecast: false
            every_s: 600
            providers: [{name: fr-eco2mix, url: "https://mirror.example.org/"}]
          - zone: DE
            basis: lifecycle/average/consumption
            providers:
              - {name: electricity-maps, key_file: FOLDER/key}
              - {name: co2-signal, url: "http://bridge:8080"}
              - {name: own, as: my-meter, url: /var/lib/de.csv}
          - zone: US-CAL-CISO
            providers: [{name: watttime-marginal, user: me, region: CAISO_NORTH, key_file: FOLDER/key}]
          - zone: BE
            providers:
              - name: entsoe-mix
                domain: 10YBE----------2
                scope: lifecycle
                factors: {B04: [410, 490, 650], B14: 12}
                factors_edition: IPCC AR5
                key_file: FOLDER/key
          - zone: SE
            basis: lifecycle/average/production
            providers: []
          - zone: NL
            providers: [{name: carbon-aware-file, as: sdk, url: "https://example.org/nl.json", location: westeurope, basis: direct/average/production}]
        """

    @Test func everyProviderCanBeConfiguredAndNoKeyIsShown() throws {
        let environment = ["WATTLE_CO2_SIGNAL_KEY": "other-secret"]
        try read(Self.every, environment: environment) { (configuration) throws in
            let shown = configuration.settings.filter { $0.name.hasPrefix("grid.") }.map { "\($0.name): \($0.shown)" }
            #expect(
                shown == [
                    "grid.GB: gb-carbon-intensity", "grid.FR: fr-eco2mix; since 2026-08-01T00:00:00Z; no forecast",
                    "grid.DE: electricity-maps, then co2-signal, then my-meter; lifecycle/average/consumption",
                    "grid.US-CAL-CISO: watttime-marginal", "grid.BE: entsoe-mix",
                    "grid.SE: nobody is asked; lifecycle/average/production", "grid.NL: sdk",
                ]
            )
            #expect(!configuration.settings.contains { $0.shown.contains("secret") })
            #expect(try configuration.gridChains(environment: environment).count == 7)
            // Without the environment one key is missing, which is said before anything starts.
            #expect {
                try configuration.gridChains(environment: [:])
            } throws: {
                "\($0)".contains("zone 3 (DE), provider 2 (co2-signal): expected a key") && "\($0)".contains("WATTLE_CO2_SIGNAL_KEY")
            }
        }
    }

    @Test(arguments: [
        ("grid: GB", "grid: expected a list of zones"),
        ("grid: [{zone: nowhere, providers: [gb-carbon-intensity]}]", "grid, zone 1, zone: expected a grid zone"),
        ("grid: [{zone: NO, providers: [gb-carbon-intensity]}]", "write Norway as \"NO\""),
        ("grid: [{zone: GB}]", "grid, zone 1 (GB), providers: expected a list"),
        ("grid: [{zone: GB, providers: []}]", "providers: expected at least one"),
        ("grid: [{zone: GB, providers: [nobody]}]", "grid, zone 1 (GB), provider 1, name: expected one of gb-carbon-intensity"),
        ("grid: [{zone: GB, provider: x, providers: []}]", "expected zone, basis, since, forecast, every_s, providers, found provider"),
        ("grid: [{zone: GB, every_s: 0, providers: [gb-carbon-intensity]}]", "every_s: expected 1.0 to 3600.0, found 0"),
        ("grid: [{zone: GB, since: soon, providers: [gb-carbon-intensity]}]", "since: expected a time such as"),
        ("grid: [{zone: GB, basis: carbon, providers: [gb-carbon-intensity]}]", "basis: expected lifecycle or direct"),
        ("grid: [{zone: DE, providers: [gb-carbon-intensity]}]", "expected the zone GB, or GB-1 to GB-17"),
        ("grid: [{zone: GB-18, providers: [gb-carbon-intensity]}]", "expected the zone GB, or GB-1 to GB-17"),
        ("grid: [{zone: GB, providers: [gb-carbon-intensity, gb-carbon-intensity]}]", "expected each provider once"),
        (
            "grid: [{zone: GB, providers: [gb-carbon-intensity]}, {zone: GB, providers: [gb-carbon-intensity]}]",
            "expected each zone once, found GB twice"
        ),
        (
            "grid: [{zone: FR, providers: [fr-eco2mix, electricity-maps-direct]}]",
            "provider 2 (electricity-maps-direct): expected figures of direct/average/production, found direct/average/consumption"
        ),
        (
            "grid: [{zone: GB, basis: lifecycle/average/consumption, providers: [gb-carbon-intensity]}]",
            "expected figures of lifecycle/average/consumption, found direct/average/consumption"
        ),
        (
            "grid: [{zone: US-CAL-CISO, providers: [{name: watttime-average, user: u, region: r}, {name: watttime-marginal, user: u, region: r}]}]",
            "found direct/marginal/production"
        ),
        ("grid: [{zone: DE, providers: [{name: electricity-maps, key: abc}]}]", "key: expected no key in the configuration"),
        ("grid: [{zone: GB, providers: [{name: gb-carbon-intensity, key_file: x}]}]", "expected name, url, found key_file"),
        ("grid: [{zone: US-CAL-CISO, providers: [{name: watttime-average, user: u}]}]", "region: expected WattTime's name"),
        ("grid: [{zone: GB, providers: [{name: gb-carbon-intensity, url: ftp://x}]}]", "url: expected http://"),
        ("grid: [{zone: DE, providers: [{name: own, as: x, url: /x}]}]", "basis: expected what the figures count"),
        ("grid: [{zone: DE, providers: [{name: own, url: /x}]}]", "as: expected the name that stands beside its figures"),
        (
            "grid: [{zone: BE, providers: [{name: entsoe-mix, domain: x, scope: direct, factors: {B04: [3, 2, 1]}, factors_edition: x}]}]",
            "factors, B04: expected g/kWh"
        ),
    ]) func whatIsWrongIsNamedWithItsPlace(yaml: String, message: String) throws {
        #expect {
            try read(yaml) { _ in }
        } throws: { error in
            if !"\(error)".contains(message) { print("\(error)") }
            return "\(error)".contains(message) && !"\(error)".contains("abc")
        }
    }

    @Test func aKeyFileThatIsNotThereOrEmptyIsSaid() throws {
        let yaml = "grid: [{zone: DE, providers: [{name: electricity-maps, key_file: FOLDER/none}]}]"
        try read(yaml) { (configuration) throws in
            #expect {
                try configuration.gridChains(environment: ["WATTLE_ELECTRICITY_MAPS_KEY": "k"])
            } throws: {
                "\($0)".contains("provider 1 (electricity-maps), key_file: expected a file with a key")
            }
        }
    }
}
