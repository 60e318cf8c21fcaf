import Energy
import Glibc
import TestSupport
import Testing

@testable import Meters

/// Odd machines: those of the corpus in `Machines`, and what an operator is told about them.
struct PowercapQuirkTests {
    @Test(arguments: try MachineArchive.all())
    func eachMachineOfTheCorpusHasItsCover(machine: MachineArchive) throws {
        let host = try FixtureHost(machine)
        let sensors = try host.find(options: machine.options)
        #expect(sensors.cover.sorted() == machine.cover, "\(machine.about)")
        // Of RAPL all that is left out is listed; of the other kinds what the machine is there to show.
        let isOfRAPL = { (name: String) in name.hasPrefix("powercap") || name.hasPrefix("msr") }
        let unused = sensors.unused.filter { isOfRAPL($0.name) }
        #expect(unused.map(\.name).sorted() == machine.unused.filter(isOfRAPL).sorted(), "\(machine.about)")
        #expect(Set(machine.unused).isSubset(of: sensors.unused.map(\.name)), "\(machine.about)")
        // Every meter reads, every one outside the cover has a reason, and no text shows where the fixture lies twice.
        let graph = Containment(sensors.meters.map(\.place))
        for var meter in sensors.meters {
            _ = try meter.read(at: Timestamp(microseconds: 1))
            #expect(meter.maximumPower > .zero)
            #expect(sensors.cover.contains(meter.place.name) == (graph.standing(of: meter.place.name) == .inCover))
        }
        for sensor in unused { #expect(!sensor.reason.isEmpty) }
    }

    @Test func theCorpusIsThere() throws {
        let machines = try MachineArchive.all()
        #expect(machines.count >= 20)
        #expect(machines.allSatisfy { !$0.about.isEmpty && !$0.cover.isEmpty })
    }

    @Test func anArchiveThatDoesNotSayWhereItComesFromIsRefused() {
        #expect(throws: MachineArchive.Fault.self) { try MachineArchive(name: "x", "about: something\n== /a\nb\n") }
        #expect(throws: MachineArchive.Fault.self) { try MachineArchive(name: "x", "provenance: heard of\n== /a\nb\n") }
        #expect(throws: MachineArchive.Fault.self) { try MachineArchive(name: "x", "provenance: invented\n== /a !ENOWHERE\n") }
    }

    private func sensors(_ name: String) throws -> HostSensors {
        let machine = try #require(try MachineArchive.all().first { $0.name == name })
        return try FixtureHost(machine).find(options: machine.options)
    }

    // MARK: What an operator is told

    private func said(_ name: String, _ sensor: String) throws -> UnusedSensor {
        try #require(try sensors(name).unused.first { $0.name == sensor })
    }

    @Test func eaccesIsSaidWithItsRemedy() throws {
        let said = try said("not-root", "powercap/intel-rapl:0")
        #expect(said.reason.contains("energy_uj: Permission denied"))
        #expect(said.remedy?.contains("root") == true)
    }

    @Test func einvalIsTheProcessorsOrTheHypervisorsAnswer() throws {
        let said = try said("zones-that-fail", "powercap/intel-rapl:0")
        #expect(said.reason.contains("Invalid argument") && said.remedy?.contains("hypervisor") == true)
    }

    @Test func enodataIsTheProcessorsOrTheHypervisorsAnswer() throws {
        let said = try said("zones-that-fail", "powercap/intel-rapl:0:0")
        #expect(said.reason.contains("No data available") && said.remedy?.contains("nothing to be done") == true)
    }

    @Test func aReadThatFailsIsSaidAsAnOpenThatFails() throws {
        let said = try said("zones-that-fail", "powercap/intel-rapl:1:0")
        #expect(said.reason.contains("Input/output error"))
    }

    @Test func aHiddenDirectoryNamesTheContainerAndTheMount() throws {
        let said = try said("container-hidden", "powercap/intel-rapl:0")
        #expect(said.reason.contains("1 more zones") && said.reason.contains("hidden"))
        #expect(said.remedy?.contains("/host/sys") == true)
    }

    @Test(arguments: ["container-empty", "virtual-machine"])
    func aMachineWithoutZonesSaysHowToGetThem(name: String) throws {
        let said = try said(name, "powercap")
        #expect(said.remedy?.contains("modprobe intel_rapl_msr") == true)
        #expect(said.remedy?.contains("virtual machine") == true)
    }

    @Test func aProcessorThatNeverHadRAPLIsNotAskedForIt() throws {
        let host = try FixtureHost()
        try host.addProcessor(model: "Neoverse-N1", vendor: "ARM")
        #expect(try host.find().unused.allSatisfy { !$0.name.hasPrefix("powercap") })
    }

    @Test func aMirroredDieAndAnAMDCoreSayWhy() throws {
        #expect(try said("threadripper-mirrored-dies", "powercap/intel-rapl:1").reason.contains("mirrors the counter of package-0-die-0"))
        #expect(try said("threadripper-mirrored-dies", "powercap/intel-rapl:0:0").reason.contains("one core"))
    }

    @Test func aTwinSaysWhose() throws {
        #expect(try said("client-mmio-twin", "powercap/intel-rapl-mmio:0").reason == "the same counter as intel-rapl:0, seen another way")
        #expect(try said("msr-haswell-ep", "powercap/intel-rapl:0").reason.contains("msr/package-0"))
    }

    @Test func thePlatformBesideTheCoverSaysWhatItIsFor() throws {
        let graph = Containment(try sensors("client-psys").meters.map(\.place))
        #expect(graph.explanation(of: "powercap/intel-rapl:1").contains("recorded beside"))
        #expect(graph.explanation(of: "powercap/intel-rapl:0:0") == "a part of powercap/intel-rapl:0, which is counted")
    }

    // MARK: Zones

    @Test func aSecondPackagesPlatformZoneIsItsOwn() throws {
        let meters = try sensors("psys-between-packages").meters
        #expect(meters.filter { $0.place.zone == .psys }.map(\.place.package) == [nil, 1])
        #expect(Containment(meters.map(\.place)).contains("powercap/intel-rapl:3", "powercap/intel-rapl:2"))
        #expect(!Containment(meters.map(\.place)).contains("powercap/intel-rapl:3", "powercap/intel-rapl:0"))
    }

    @Test func memoryOfADieIsOfTheDie() throws {
        let dram = try sensors("cascade-lake-ap").meters.filter { $0.place.zone == .dram }.map {
            "\($0.place.package ?? -1) \($0.place.die ?? -1)"
        }
        #expect(dram == ["0 0", "0 1", "1 0", "1 1"])
    }

    @Test func diesShareTheIdlePowerOfTheirPackage() throws {
        let machine = try #require(try MachineArchive.all().first { $0.name == "cascade-lake-ap" })
        let idle = try FixtureHost(machine).find(packageIdle: Power(watts: 60)).meters.compactMap { $0.idlePower?.best.watts }
        #expect(idle == [30, 30, 30, 30])
    }

    @Test func aPartThatIsInDoubtIsNotCountedTwice() throws {
        let host = try FixtureHost()
        try host.addProcessor(vendor: "GenuineIntel")
        try host.addZone("intel-rapl:0", label: "package-0")
        try host.addZone("intel-rapl:1", label: "package-0")
        let sensors = try host.find()
        #expect(sensors.cover == ["powercap/intel-rapl:0"])
        #expect(sensors.unused.contains { $0.name == "powercap/intel-rapl:1" && $0.reason.contains("only one of them") })
    }

    @Test(arguments: ["package-", "package--1", "package-0-die-", "package-0-core-1", "psys-", "psys-x", "package-0-die-1-2", "DRAM"])
    func aLabelThatIsNoZoneIsNotGuessedAt(label: String) {
        #expect(PowercapZone(controlType: "intel-rapl", ids: [0], directory: "intel-rapl:0", label: label).meaning == nil)
    }

    // MARK: The most power

    @Test func theMostPowerIsTheLargestOfAllLimits() throws {
        let host = try FixtureHost()
        try host.addProcessor(vendor: "GenuineIntel")
        try host.addZone("intel-rapl:0", label: "package-0", maximumPower: 65_000_000, powerLimits: [65_000_000, 160_000_000])
        try host.addZone("intel-rapl:1", label: "package-1", maximumPower: 764_000_000, powerLimits: [270_000_000])
        try host.addZone("intel-rapl:2", label: "package-2", powerLimits: [0, 80_000_000])
        try host.addZone("intel-rapl:3", label: "psys", powerLimits: [0, 0])
        let meters = try host.find().meters
        #expect(meters.map(\.maximumPower.watts) == [200, 764, 100, 1_000])
        #expect(meters[0].basis.contains("at most 200 W (power limit x 1.25)"))
        #expect(meters[1].basis.contains("at most 764 W (published)"))
        #expect(meters[3].basis.contains("at most 1000 W (assumed)"))
    }

    @Test func anUnknownPlatformMayDrawAsMuchAsAllItsPackages() {
        #expect(PowerCeiling.unpublished(of: .psys, packages: 4).watts == 4_000)
        #expect(PowerCeiling.unpublished(of: .package, packages: 4).watts == 1_000)
    }
}
