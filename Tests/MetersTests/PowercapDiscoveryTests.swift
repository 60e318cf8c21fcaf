import Energy
import Testing

@testable import Meters

struct PowercapDiscoveryTests {
    let host: FixtureHost

    init() throws {
        host = try FixtureHost()
        try host.addProcessor(model: "Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz", vendor: "GenuineIntel")
    }

    private func discover(vendor: CPUVendor = .intel) throws -> (meters: [PowercapMeter], notFit: [UnusedSensor]) {
        var sensorHost = try host.sensorHost()
        sensorHost.cpu.vendor = vendor
        return PowercapDiscovery(host: sensorHost).find()
    }

    private func find(vendor: CPUVendor = .intel) throws -> (names: [String], cover: Set<String>, unused: [UnusedSensor]) {
        let found = try discover(vendor: vendor)
        return (found.meters.map(\.place.name), Cover.choose(among: found.meters.map(\.place)), found.notFit)
    }

    @Test func twoSocketsWithMemoryAreFourMetersAndAllInTheCover() throws {
        for socket in 0...1 {
            try host.addZone("intel-rapl:\(socket)", label: "package-\(socket)")
            try host.addZone("intel-rapl:\(socket):0", label: "dram", range: 65_712_999_613)
        }
        let found = try discover()
        #expect(found.meters.map(\.place.zone) == [.package, .package, .dram, .dram])
        #expect(found.meters.map(\.place.package) == [0, 1, 0, 1])
        #expect(Cover.choose(among: found.meters.map(\.place)).count == 4)
        #expect(found.notFit.isEmpty)
    }

    @Test func coreAndUncoreAreChildrenAndNeverInTheCover() throws {
        try host.addZone("intel-rapl:0", label: "package-0")
        try host.addZone("intel-rapl:0:0", label: "core")
        try host.addZone("intel-rapl:0:1", label: "uncore")
        let (names, cover, _) = try find()
        #expect(names.count == 3)
        #expect(cover == ["powercap/intel-rapl:0"])
    }

    @Test func thePlatformZoneIsNotAddedToItsPackages() throws {
        try host.addZone("intel-rapl:0", label: "package-0")
        try host.addZone("intel-rapl:1", label: "psys")
        #expect(try find().cover == ["powercap/intel-rapl:0"])
    }

    @Test func theMemoryMappedTwinOfAPackageIsLeftOut() throws {
        try host.addZone("intel-rapl:0", label: "package-0")
        try host.addZone("intel-rapl-mmio:0", label: "package-0")
        let (names, _, unused) = try find()
        #expect(names == ["powercap/intel-rapl:0"])
        #expect(unused.map(\.name) == ["powercap/intel-rapl-mmio:0"])
    }

    @Test func aMemoryMappedPackageWithoutATwinIsUsed() throws {
        try host.addZone("intel-rapl-mmio:0", label: "package-0")
        #expect(try find().cover == ["powercap/intel-rapl-mmio:0"])
    }

    @Test func diesAddUpOnIntelAndMirrorEachOtherOnAMD() throws {
        try host.addZone("intel-rapl:0", label: "package-0-die-0")
        try host.addZone("intel-rapl:1", label: "package-0-die-1")
        #expect(try find(vendor: .intel).cover.count == 2)
        #expect(try find(vendor: .amd).cover == ["powercap/intel-rapl:0"])
    }

    @Test func diesBesideTheirPackageAreNotCountedTwice() throws {
        try host.addZone("intel-rapl:0", label: "package-0")
        try host.addZone("intel-rapl:1", label: "package-0-die-0")
        try host.addZone("intel-rapl:2", label: "package-0-die-1")
        #expect(try find().cover == ["powercap/intel-rapl:0"])
    }

    @Test func idsAreHexadecimal() throws {
        for id in 0..<12 { try host.addZone("intel-rapl:\(String(id, radix: 16))", label: "package-\(id)") }
        let (names, _, unused) = try find()
        #expect(names.count == 12)
        #expect(names.contains("powercap/intel-rapl:b"))
        #expect(unused.isEmpty)
    }

    @Test func anUnknownNameIsSaidAndNotACrash() throws {
        try host.addZone("intel-rapl:0", label: "package-15-foo")
        try host.addZone("intel-rapl:1", label: "")
        try host.addZone("intel-rapl:2", label: "package-2")
        let (names, _, unused) = try find()
        #expect(names == ["powercap/intel-rapl:2"])
        #expect(unused.count == 2)
    }

    @Test func aZoneWhoseReadFailsIsTreatedAsNotThere() throws {
        try host.addZone("intel-rapl:0", label: "package-0", energy: nil)
        // Reads of a process's memory at 0 fail with EIO, as counters do that a hypervisor hides.
        try host.link("/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj", to: "/proc/self/mem")
        try host.addZone("intel-rapl:1", label: "package-1")
        try host.addZone("intel-rapl:2", label: "package-2", energy: nil)
        let (names, cover, unused) = try find()
        #expect(names == ["powercap/intel-rapl:1"])
        #expect(cover == ["powercap/intel-rapl:1"])
        #expect(unused.count == 2)
        #expect(unused.allSatisfy { $0.reason.contains("energy_uj") })
    }

    @Test func aModelStandsInOnlyWhereNoPackageCanBeRead() throws {
        #expect(try host.find().cover == ["model/cpu"])
        try host.addZone("intel-rapl:0", label: "package-0", energy: nil)
        #expect(try host.find().cover == ["model/cpu"])
        try host.setEnergy("intel-rapl:0", 5)
        let sensors = try host.find()
        #expect(sensors.cover == ["powercap/intel-rapl:0"])
        #expect(sensors.meters.count == 1)
    }

    @Test func thePublishedLimitIsThePowerLimitAndOneKilowattElse() throws {
        try host.addZone("intel-rapl:0", label: "package-0", maximumPower: 150_000_000)
        try host.addZone("intel-rapl:1", label: "package-1", maximumPower: 0)
        let powers = try discover().meters.map(\.maximumPower.watts)
        #expect(powers == [150, 1_000])
    }

    @Test func theIdleFloorIsTheConfiguredOneElseTheTables() throws {
        try host.addZone("intel-rapl:0", label: "package-0")
        let table = try CPUPowerTable.builtIn()
        let row = try #require(table.rows.first { $0.pattern == "intel xeon gold 6248" })
        #expect(try host.find().meters[0].idlePower == row.package.idle)
        let configured = try host.find(packageIdle: Power(watts: 33))
        #expect(configured.meters[0].idlePower?.best.watts == 33)
    }

    @Test(arguments: [(65_712_999_613, 15), (262_143_328_850, 61)] as [(Int64, Int64)])
    func aWrapInMidRunLosesNoMicrojoule(range: Int64, unit: Int64) throws {
        try host.addZone("intel-rapl:0", label: "package-0", energy: range - 500, range: range)
        var meter = try #require(try discover().meters.first)
        guard case .hardware(let modulus) = meter.counting else { throw Unexpected() }
        var counter = CounterUnwrapping(modulus: modulus, maximumRate: meter.maximumPower.watts)
        var total: Int64 = 0
        // The register counts units of `unit` µJ modulo 2^32; powercap shows the truncated product.
        for (second, raw) in [range - 500, 700, 900].enumerated() {
            try host.setEnergy("intel-rapl:0", raw)
            let time = Timestamp(microseconds: Int64(second) * 1_000_000)
            if case .exactly(let increase) = counter.read(raw: try meter.read(at: time).count, at: time) { total += increase }
        }
        #expect(total == 500 + unit + 900)
    }

    @Test func aValueBeyondTheCounterIsRefused() throws {
        try host.addZone("intel-rapl:0", label: "package-0")
        var meter = try #require(try discover().meters.first)
        for text in ["18446744073709551000", "-5", "", "zero", "262143329999"] {
            try host.write("/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj", text)
            #expect(throws: SensorFault.self) { try meter.read(at: Timestamp(microseconds: 1)) }
        }
    }

    private struct Unexpected: Error {}
}
