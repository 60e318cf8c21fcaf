import Documents
import Energy
import Factors
import Store
import Testing

@testable import Collector

@Suite struct HostClassTests {
    @Test func eachShippedClassStandsOnceWithItsWattsInOrderAndItsSource() throws {
        let table = try CSVTable(parsing: Factors.hostClassesCSV)
        #expect(
            table.header == [
                "class", "provider", "vcpus", "memory_gib", "idle_w", "max_w", "low_w", "high_w", "utilisation", "source", "year",
                "licence", "basis",
            ]
        )
        #expect(table.rows.allSatisfy { !$0.contains("") })
        // Reading checks the order of the watts.
        let classes = try HostClasses.readShipped()
        #expect(classes.count >= 30 && HostClasses.shipped.count == classes.count)
        for one in classes {
            let watts = try #require(one.watts)
            #expect(watts.low.watts * 2 <= watts.idle.watts * 1.01 + 0.02 && watts.high.watts >= watts.maximum.watts * 1.99, "\(one.name)")
            #expect(one.name.hasPrefix(one.provider + "/"), "\(one.name)")
        }
        // Eco CI measures 1.76 W at rest and 8.18 W at full load for 4 threads of GitHub's EPYC 7763: within the limits.
        let ubuntu = try #require(HostClasses.shipped["github/ubuntu-24.04-x64"]?.watts)
        #expect(ubuntu.low.watts < 1.76 && 8.18 < ubuntu.high.watts)
    }

    private static func named(_ fields: [String: JSONValue], _ instance: String = "https://github.com") -> String? {
        HostClasses.named(by: fields, instance: instance)
    }

    @Test func aHostedMachineIsKnownByWhatOnlyItsOwnerCanSay() {
        func labels(_ names: String...) -> JSONValue { .array(names.map { .string($0) }) }
        #expect(Self.named(["labels": labels("ubuntu-latest"), "runner_group": "GitHub Actions"]) == "github/ubuntu-24.04-x64")
        #expect(Self.named(["labels": labels("macos-14"), "runner": "GitHub Actions 12"]) == "github/macos-14-arm64")
        #expect(
            Self.named(["labels": labels("ubuntu-22.04"), "runner": "GitHub Actions 12", "repository_private": .bool(true)])
                == "github/ubuntu-22.04-x64-2vcpu"
        )
        #expect(Self.named(["labels": labels("our-64-cores"), "runner_group": "GitHub Actions"]) == "github/unknown")
        #expect(Self.named(["labels": labels("ubuntu-latest"), "runner": "ubuntu-1", "runner_group": "Default"]) == nil)
        #expect(Self.named(["labels": labels("self-hosted", "ubuntu-latest"), "runner_group": "GitHub Actions"]) == nil)
        #expect(Self.named(["runner": "GitHub Actions Runner"]) == nil)
        #expect(Self.named(["host_class": "Own/Big"]) == "own/big")
        let gitLab: [String: JSONValue] = ["runner": "3-blue.saas-linux-small-amd64.runners-manager.gitlab.com/default"]
        #expect(Self.named(gitLab, "https://gitlab.com") == "gitlab/saas-linux-small-amd64")
        #expect(Self.named(["labels": labels("saas-linux-2xlarge-amd64")], "gitlab.com") == "gitlab/saas-linux-2xlarge-amd64")
        #expect(Self.named(gitLab, "https://gitlab.example.org") == nil)
    }

    @Test func hostedEnergyIsIdlePlusThePartOfTheCPUTimeThatWasUsed() throws {
        let one = try HostClass([
            "class": "x/y", "vcpus": .number(4), "memory_gib": .number(16), "idle_w": .number(4), "max_w": .number(16), "low_w": .number(2),
            "high_w": .number(32), "utilisation": .number(0.5), "source": "test", "year": .integer(2026),
        ])
        let watts = try #require(one.watts)
        func energy(_ cpuTime: Microseconds?) -> [Double] {
            let result = HostedModel.energy(watts, utilisation: one.utilisation, duration: .seconds(100), cpuTime: cpuTime)
            return [result.low.joules, result.best.joules, result.high.joules]
        }
        #expect(energy(nil) == [200, 1_000, 3_200])
        #expect(energy(.seconds(100)) == [200, 700, 3_200])
        #expect(energy(.zero) == [200, 400, 3_200])
        // More than there is is all there is.
        #expect(energy(.seconds(4_000)) == [200, 1_600, 3_200])
        #expect(HostedModel.energy(watts, utilisation: one.utilisation, duration: .zero, cpuTime: .seconds(1)) == (.zero, .zero, .zero))
    }

    @Test func aClassWithItsWattsOutOfOrderIsRefused() {
        #expect(throws: HostClass.Fault.self) {
            try HostClass([
                "class": "x/y", "vcpus": .number(4), "memory_gib": .number(16), "idle_w": .number(4), "max_w": .number(3),
                "low_w": .number(2), "high_w": .number(32), "utilisation": .number(0.5), "source": "test", "year": .integer(2026),
            ])
        }
    }
}
