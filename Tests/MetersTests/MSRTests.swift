import Energy
import TestSupport
import Testing

@testable import Meters

struct MSRTests {
    private func host(_ name: String) throws -> (host: FixtureHost, options: [String: String]) {
        let machine = try #require(try MachineArchive.all().first { $0.name == name })
        return (try FixtureHost(machine), machine.options)
    }

    private func meters(_ name: String, _ options: [String: String] = [:]) throws -> [any Meter] {
        let (host, standard) = try host(name)
        return MSRSensor.find(on: try host.sensorHost(options: standard.merging(options) { $1 })).meters
    }

    private func unused(_ name: String, _ options: [String: String]) throws -> [UnusedSensor] {
        let (host, standard) = try host(name)
        return MSRSensor.find(on: try host.sensorHost(options: standard.merging(options) { $1 })).unused
    }

    // MARK: Units

    @Test func aCountIsTheWholeMicrojoulesOfTheRegister() throws {
        let unit = try #require(EnergyUnit(jouleDividedByTwoTo: 14))
        #expect(
            unit.microjoules(0) == 0 && unit.microjoules(1) == 61 && unit.microjoules(2) == 122 && unit.microjoules(16_384) == 1_000_000
        )
        #expect(unit.modulusMicrojoules == 262_144_000_000)
        #expect(unit.microjoules(.max) == unit.modulusMicrojoules - 62)
        #expect(try #require(EnergyUnit(jouleDividedByTwoTo: 0)).modulusMicrojoules == 4_294_967_296_000_000)
        #expect(try #require(EnergyUnit(microjouleTimesTwoTo: 5)).microjoules(3) == 96)
        #expect(EnergyUnit(jouleDividedByTwoTo: 32) == nil && EnergyUnit(microjouleTimesTwoTo: 30) == nil)
        #expect(unit.text == "61.0 µJ" && EnergyUnit(jouleDividedByTwoTo: 16)?.text == "15.3 µJ")
    }

    @Test func noRoundingAddsUpAndNoWrapIsShort() throws {
        for seed in 0..<UInt64(50) {
            var random = RandomSource(seed: seed)
            let exponent = Int.random(in: 0...31, using: &random)
            let unit = try #require(EnergyUnit(jouleDividedByTwoTo: exponent))
            var counter = CounterUnwrapping(modulus: unit.modulusMicrojoules, maximumRate: 0, isRateBinding: false)
            let start = UInt64(UInt32.random(in: 0 ... .max, using: &random))
            var count = start
            var total: Int64 = 0
            // Four thousand reads over several turns of the register.
            for read in 0..<4_000 {
                let time = Timestamp(microseconds: Int64(read))
                let raw = unit.microjoules(UInt32(truncatingIfNeeded: count))
                if case .exactly(let increase) = counter.read(raw: raw, at: time) { total += increase }
                if read < 3_999 { count += UInt64.random(in: 0...10_000_000, using: &random) }
            }
            // In 128 bits, of the counts themselves: floor(end x unit) - floor(start x unit).
            func exact(_ count: UInt64) -> Int64 { Int64((UInt128(count) * 1_000_000) >> UInt128(exponent)) }
            #expect(total == exact(count) - exact(start), "seed \(seed)")
        }
    }

    @Test func memoryOfServersAndPlatformOfLaterOnesHaveUnitsOfTheirOwn() throws {
        func unit(_ model: Int, _ zone: Zone, vendor: String = "GenuineIntel", family: Int = 6) -> String? {
            MSRProcessor(cpuinfo: "vendor_id\t: \(vendor)\ncpu family\t: \(family)\nmodel\t\t: \(model)\nmodel name\t: x\n")?
                .unit(of: zone, unitRegister: 0xA0E03)?.text
        }
        for model in [63, 79, 85, 106, 108, 87, 133] {
            #expect(unit(model, .dram) == "15.3 µJ")
            #expect(unit(model, .package) == "61.0 µJ")
        }
        #expect(unit(143, .dram) == "61.0 µJ" && unit(143, .psys) == "1 J" && unit(207, .psys) == "1 J")
        #expect(unit(142, .dram) == "61.0 µJ" && unit(142, .psys) == "61.0 µJ")
        #expect(unit(0x37, .package) == "16384 µJ")
        #expect(unit(49, .package, vendor: "AuthenticAMD", family: 23) == "61.0 µJ")
        #expect(unit(1, .package, vendor: "HygonGenuine", family: 24) == "61.0 µJ")
        #expect(unit(2, .package, vendor: "AuthenticAMD", family: 21) == nil)
        #expect(MSRProcessor(cpuinfo: "vendor_id : GenuineIntel\n") == nil)
    }

    // MARK: Registers

    @Test func registersAreReadOnOneCPUOfEachPackage() throws {
        var meters = try meters("msr-haswell-ep")
        #expect(meters.map(\.place.name) == ["msr/package-0", "msr/dram-0", "msr/package-1", "msr/dram-1"])
        #expect(meters.map(\.place.package) == [0, 0, 1, 1] && meters.allSatisfy { $0.place.die == nil })
        #expect(try meters[0].read(at: Timestamp(microseconds: 0)).count == (0x89AB_CDEF * 1_000_000) >> 14)
        #expect(try meters[1].read(at: Timestamp(microseconds: 0)).count == (0x123_4567 * 1_000_000) >> 16)
        #expect(meters[2].basis.contains("0x611 read on CPU 2"))
        #expect(meters[1].maximumPower.watts == 1_000)
        #expect(meters[0].counting == .hardware(modulus: 262_144_000_000))
        #expect(meters[1].counting == .hardware(modulus: 65_536_000_000))
    }

    @Test func theUpperHalfOfAnAMDRegisterIsNotTheCounter() throws {
        var meters = try meters("msr-zen")
        #expect(try meters[1].read(at: Timestamp(microseconds: 0)).count == (0x3456_789A * 1_000_000) >> 16)
        #expect(meters.map(\.place.zone) == [.package, .package])
    }

    @Test func aWrapOfARegisterLosesNothing() throws {
        let (host, options) = try host("msr-zen")
        var meter = try #require(MSRSensor.find(on: try host.sensorHost(options: options)).meters.first)
        guard case .hardware(let modulus) = meter.counting else { throw Unexpected() }
        var counter = CounterUnwrapping(modulus: modulus, maximumRate: meter.maximumPower.watts)
        _ = counter.read(raw: try meter.read(at: Timestamp(microseconds: 0)).count, at: Timestamp(microseconds: 0))
        // From 0xfffffff0 to 0x10: 32 counts of 15.2587890625 µJ.
        try MachineArchive.write(
            [.init(address: 0xC001_0299, value: 0xA1003), .init(address: 0xC001_029B, value: 0x1_0000_0010)],
            to: "\(host.root)/dev/cpu/0/msr"
        )
        let increase = counter.read(raw: try meter.read(at: Timestamp(microseconds: 100_000)).count, at: Timestamp(microseconds: 100_000))
        #expect(increase == .exactly(244 + 245))
    }

    @Test func aRegisterThatIsNotThereIsNoZone() throws {
        // Cores stand at 0, graphics and platform are not there at all.
        #expect(try meters("msr-haswell-ep").allSatisfy { [.package, .dram].contains($0.place.zone) })
    }

    @Test func thePlatformIsReadOnceAndTheEnergyFilterIsSaid() throws {
        let (host, options) = try host("msr-sapphire-rapids")
        let found = MSRSensor.find(on: try host.sensorHost(options: options))
        var platform = try #require(found.meters.first { $0.place.zone == .psys })
        #expect(try platform.read(at: Timestamp(microseconds: 0)).count == 0x3000 * 1_000_000)
        #expect(platform.place.package == nil)
        #expect(found.remarks.count == 1 && found.remarks[0].contains("energy filter"))
        let (plain, plainOptions) = try self.host("msr-haswell-ep")
        #expect(MSRSensor.find(on: try plain.sensorHost(options: plainOptions)).remarks.isEmpty)
    }

    @Test func aPackageThatNeverCountsIsAHypervisors() throws {
        let (host, options) = try host("msr-sapphire-rapids")
        try MachineArchive.write([.init(address: 0x611, value: 0)], to: "\(host.root)/dev/cpu/0/msr")
        let found = MSRSensor.find(on: try host.sensorHost(options: options))
        #expect(found.meters.allSatisfy { $0.place.zone != .package })
        #expect(found.unused.contains { $0.name == "msr/package-0" && $0.reason.contains("hypervisor") })
    }

    @Test func theMostPowerIsThatOfThePackagesLimits() {
        func watts(limits: UInt64?, information: UInt64?) -> Double? {
            PowerCeiling(packageLimits: limits, information: information, units: 0xA0E03).power?.watts
        }
        // In eighths of a watt: 0x348 is 105 W, 0x3f0 is 126 W, 0x690 is 210 W.
        #expect(watts(limits: 0x0042_83F0_001A_8348, information: 0x0000_0690_0000_0348) == 210)
        #expect(watts(limits: 0x0042_83F0_001A_8348, information: 0x0000_0000_0000_0348) == 157.5)
        #expect(watts(limits: nil, information: 0x348) == 105)
        #expect(watts(limits: 0, information: 0) == nil)
        #expect(watts(limits: 0xFFFF_FFFF_FFFF_FFFF, information: 0xFFFF_FFFF_FFFF_FFFF) == nil, "reserved bits: not these registers")
    }

    // MARK: Settings

    @Test func registersAreLeftAloneUnlessAskedFor() throws {
        let (host, _) = try host("msr-haswell-ep")
        let sensors = try host.find()
        #expect(sensors.meters.allSatisfy { $0.sensor != "msr" })
        #expect(sensors.cover == ["powercap/intel-rapl:0", "powercap/intel-rapl:0:0", "powercap/intel-rapl:1"])
        #expect(try unused("msr-haswell-ep", ["msr.enabled": "maybe"]).first?.reason.contains("expected yes or no, found 'maybe'") == true)
    }

    @Test func theCPUsCanBeNamed() throws {
        #expect(try meters("msr-haswell-ep", ["msr.cpus": "0,2"]).count == 4)
        #expect(try meters("msr-haswell-ep", ["msr.cpus": "0-3"]).map(\.place.name).count == 4)
        #expect(try meters("msr-haswell-ep", ["msr.cpus": "2"]).map(\.place.package) == [1, 1])
        let unused = try unused("msr-haswell-ep", ["msr.cpus": "2,9"])
        #expect(unused.map(\.name) == ["msr/cpu9", "msr/package-0"])
        #expect(unused.map(\.remedy) == ["name CPUs of 0 to 3", "add CPU 0 to msr.cpus"])
        #expect(try self.unused("msr-haswell-ep", ["msr.cpus": "a-b"]).first?.reason.contains("expected CPUs as 0,1 or 0-3") == true)
    }

    @Test(arguments: ["", "1-", "-1", "3-1", "1,,2", "0-99999", "x"])
    func aListThatIsNoneIsRefused(text: String) { #expect(CPUTopology.list(text) == nil) }

    @Test func aListOfCPUs() { #expect(CPUTopology.list("0,2-4") == [0, 2, 3, 4]) }

    @Test func aMissingModuleIsSaid() throws {
        let unused = try unused("msr-haswell-ep", ["msr.cpus": "1,3"])
        #expect(unused.count == 2)
        #expect(unused.allSatisfy { $0.remedy?.contains("modprobe msr") == true })
    }

    @Test func kernelLockdownIsSaid() throws {
        let (host, options) = try host("msr-haswell-ep")
        host.faults = ["\(host.root)/dev/cpu/0/msr": 1]
        let found = MSRSensor.find(on: try host.sensorHost(options: options))
        #expect(found.meters.count == 2)
        #expect(found.unused.first?.remedy?.contains("lockdown") == true)
        // What registers do not give, powercap does.
        #expect(try host.find(options: options).cover.contains("powercap/intel-rapl:0"))
    }

    @Test func aProcessorWithoutTheRegistersIsSaid() throws {
        let host = try FixtureHost()
        try host.addProcessor(model: "Neoverse-N1", vendor: "ARM")
        let found = MSRSensor.find(on: try host.sensorHost(options: ["msr.enabled": "yes"]))
        #expect(found.unused.first?.reason.contains("found 'Neoverse-N1'") == true)
    }

    private struct Unexpected: Error {}
}
