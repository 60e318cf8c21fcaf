import Energy
import Testing

@testable import Meters

struct ConstantTests {
    let host: FixtureHost

    init() throws {
        host = try FixtureHost()
        try host.addProcessor()
    }

    private func find(_ watts: String?) throws -> SensorFindings {
        ConstantSensor.find(on: try host.sensorHost(options: watts.map { ["const.watts": $0] } ?? [:]))
    }

    @Test func nothingIsConfiguredByDefault() throws {
        let found = try find(nil)
        #expect(found.meters.isEmpty)
        #expect(found.unused.isEmpty)
    }

    @Test func aKnownPowerTimesTheTimeThatPassedIsItsEnergy() throws {
        var meter = try #require(try find("250.5").meters.first)
        #expect(meter.place == MeterPlace(name: "const/node", zone: .node, package: nil, quality: .modelled))
        #expect(meter.basis == "const:250.5, as configured")
        #expect(meter.counting == .program)
        let start = Timestamp(microseconds: 1_700_000_000_000_003)
        #expect(try meter.read(at: start).count == 0)
        #expect(try meter.read(at: start + .milliseconds(1)).count == 250_500)
        #expect(try meter.read(at: start + .seconds(3_600)).count == 901_800_000_000)
        // A clock that goes back takes nothing away.
        #expect(try meter.read(at: start).count == 901_800_000_000)
    }

    @Test func zonesCanBeKnownOneByOne() throws {
        let places = try find("node=250, package:1=95,dram=12.5").meters.map(\.place)
        #expect(places.map(\.name) == ["const/node", "const/package-1", "const/dram"])
        #expect(places.map(\.package) == [nil, 1, nil])
    }

    @Test(arguments: ["", "0", "-5", "250W", "nan", "node=", "attic=5", "package:x=3", "node=1,node=2", "1e300", "250,"])
    func whatIsNoPowerIsSaidAndMeasuresNothing(text: String) throws {
        let found = try find(text)
        #expect(found.meters.isEmpty)
        #expect(found.unused.map(\.name) == ["const.watts"])
        #expect(found.unused.allSatisfy { $0.reason.contains("expected") && $0.reason.contains("'\(text)'") && $0.remedy != nil })
    }
}
