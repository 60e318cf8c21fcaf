import Energy
import Testing

@testable import Meters

struct UtilisationTests {
    let table: CPUPowerTable

    init() throws { table = try CPUPowerTable.builtIn() }

    private func cpu(_ model: String, _ vendor: CPUVendor) -> CPUInfo { CPUInfo(model: model, vendor: vendor, packages: 1, cpus: 4) }

    @Test(arguments: [
        ("AMD EPYC 7763 64-Core Processor", "amd epyc 7763"),
        ("Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz", "intel xeon gold 6248"),
        ("12th Gen Intel(R) Core(TM) i7-1260P", "intel core i7-1260p"),
        ("AMD Ryzen 7 5825U with Radeon Graphics", "amd ryzen 7 5825u"),
        ("Raspberry Pi 4 Model B Rev 1.4", "raspberry pi 4 model b"),
        ("Intel(R) Xeon(R) CPU E5-2650 v4 @ 2.20GHz", "intel xeon e5-2650 v4"),
        ("AMD EPYC", "amd epyc"),
    ])
    func namesAreComparedInOneForm(name: String, form: String) { #expect(CPUModelName.normalised(name) == form) }

    @Test func everyRowIsFoundUnderItsOwnPattern() {
        for row in table.rows { #expect(CPUModelName.normalised(row.pattern) == row.pattern) }
    }

    @Test func aKnownModelHasItsRowScaledToAThread() throws {
        let match = table.match(cpu("AMD EPYC 7763 64-Core Processor", .amd))
        let row = try #require(match.row)
        #expect(row.threads == 128)
        #expect(abs(match.perThread.full.best.watts - row.package.full.best.watts / 128) < 1e-12)
    }

    @Test func aPartOfANameIsNoMatch() {
        #expect(table.match(cpu("AMD EPYC 7763X Whatever", .amd)).row == nil)
        #expect(table.match(cpu("", .amd)).row == nil)
    }

    @Test func anUnknownModelTakesTheMedianOfItsMakerWithTheExtremesAsLimits() {
        let match = table.match(cpu("AMD EPYC", .amd))
        let rows = table.rows.filter { $0.maker == "AMD" }
        #expect(match.row == nil)
        #expect(match.models == rows.count)
        let full = rows.map { $0.package.full.best.watts / Double($0.threads) }.sorted()
        let below = full.filter { $0 < match.perThread.full.best.watts }.count
        let above = full.filter { $0 > match.perThread.full.best.watts }.count
        #expect(below <= full.count / 2 && above <= full.count / 2)
        for row in rows {
            let low = row.package.idle.low.watts / Double(row.threads)
            let high = row.package.full.high.watts / Double(row.threads)
            #expect(match.perThread.idle.low.watts <= low * (1 + 1e-12))
            #expect(match.perThread.full.high.watts >= high * (1 - 1e-12))
        }
        #expect(match.perThread.boundRatios.low < 1 && match.perThread.boundRatios.high > 1)
    }

    @Test func anUnknownMakerTakesTheWholeTable() {
        #expect(table.match(cpu("Neoverse-N1", .other)).models == table.rows.count)
    }

    @Test func makersAreToldByVendorIdOrImplementer() {
        #expect(CPUInfo(parsing: "processor : 0\nvendor_id : AuthenticAMD\nmodel name : AMD EPYC\n").vendor == .amd)
        #expect(CPUInfo(parsing: "processor : 0\nvendor_id : GenuineIntel\n").vendor == .intel)
        #expect(CPUInfo(parsing: "processor : 0\nCPU implementer : 0xc0\n").vendor == .ampere)
        #expect(CPUInfo(parsing: "processor : 0\nCPU implementer : 0x41\n").vendor == .other)
        let board = CPUInfo(
            parsing: "processor : 0\nmodel name : ARMv7\nCPU implementer : 0x41\n\nModel : Raspberry Pi 4 Model B Rev 1.4\n"
        )
        #expect(board.vendor == .raspberryPi)
        #expect(board.model == "Raspberry Pi 4 Model B Rev 1.4")
    }

    @Test func aVirtualMachineGetsItsPartOfThePackage() throws {
        let host = try FixtureHost()
        try host.addProcessor(cpus: 4)
        let match = table.match(try CPUInfo(roots: host.roots))
        let row = try #require(match.row)
        var meter = try UtilisationMeter(roots: host.roots, match: match)
        #expect(try meter.read(at: Timestamp(microseconds: 0)).count == 0)
        // Ten seconds idle: 4/128 of the package's idle power.
        let idle = try meter.read(at: Timestamp(microseconds: 10_000_000)).count
        #expect(abs(Double(idle) - row.package.idle.best.watts * 4 / 128 * 1e7) <= 1)
        // Ten seconds with all four busy: 4/128 of its full power.
        try host.setBusy(ticks: 4_000, cpus: 4)
        let full = try meter.read(at: Timestamp(microseconds: 20_000_000)).count - idle
        #expect(abs(Double(full) - row.package.full.best.watts * 4 / 128 * 1e7) <= 1)
        #expect(meter.basis.contains("EPYC 7763") && meter.basis.contains("4 of 128 threads"))
        #expect(meter.idlePower.map { abs($0.best.watts - row.package.idle.best.watts * 4 / 128) < 1e-9 } == true)
    }

    @Test func ticksThatFallIntoTheWrongWindowAreNotLost() throws {
        let host = try FixtureHost()
        try host.addProcessor(cpus: 2)
        let match = table.match(try CPUInfo(roots: host.roots))
        var jittered = try UtilisationMeter(roots: host.roots, match: match)
        var steady = try UtilisationMeter(roots: host.roots, match: match)
        _ = try jittered.read(at: Timestamp(microseconds: 0))
        _ = try steady.read(at: Timestamp(microseconds: 0))
        // Two CPUs at 100 %: 20 ticks each 100 ms, seen as 23 and 17.
        for window in 1...100 {
            try host.setBusy(ticks: Int64(window) * 20 + (window % 2 == 1 ? 3 : 0))
            _ = try jittered.read(at: Timestamp(microseconds: Int64(window) * 100_000))
        }
        let end = Timestamp(microseconds: 10_000_000)
        #expect(try jittered.read(at: end) == steady.read(at: end))
    }

    @Test func anUnknownModelSaysSo() throws {
        let host = try FixtureHost()
        try host.addProcessor(model: "AMD EPYC")
        let sensors = try host.find()
        #expect(sensors.remarks.count == 1)
        #expect(sensors.meters[0].basis.contains("'AMD EPYC' is not in the CPU table"))
        #expect(sensors.meters[0].place.quality == .modelled)
    }

    @Test func aTableThatIsNoTableIsRefused() {
        #expect(throws: CPUPowerTable.Fault.self) { try CPUPowerTable(csv: "a,b\n1,2\n") }
        #expect(throws: CPUPowerTable.Fault.self) { try CPUPowerTable(csv: "") }
    }
}
