import Energy
import FoundationEssentials
import Glibc
import Meters
import TestSupport
import Testing

@testable import Agent

/// The corpus of machines, which the tests of the sensors have beside them.
let machinesOfTheCorpus = "/\(#filePath.split(separator: "/").dropLast(2).joined(separator: "/"))/MetersTests/Machines"

/// A machine of the corpus in a temporary directory, removed with the object.
final class UnpackedMachine {
    private let root: String
    private let faults: [String: Int32]
    private let options: [String: String]

    init(_ machine: MachineArchive) throws {
        root = FileManager.default.temporaryDirectory.path + "/wattle-machine-\(UInt64.random(in: 0 ... .max))"
        options = machine.options
        faults = try machine.unpack(below: root)
    }

    deinit {
        do { try FileManager.default.removeItem(atPath: root) } catch { print("left behind: \(root): \(error)") }
    }

    func find() throws -> HostSensors {
        HostSensors.find(
            on: try SensorHost(
                roots: HostRoots(root: root, proc: root + "/proc"),
                files: Files(faults: faults),
                options: options,
                clock: { Timestamp(microseconds: 0) },
                powerTable: try CPUPowerTable.builtIn()
            )
        )
    }

    /// Opens files but for those that answer with an error, also to root.
    private struct Files: FileOpening {
        let faults: [String: Int32]

        func open(_ path: String) throws(SensorFault) -> Int32 {
            var fault = faults[path]
            if let resolved = realpath(path, nil) {
                fault = fault ?? faults[String(cString: resolved)]
                free(resolved)
            }
            if let fault { throw SensorFault(path: path, errno: fault) }
            return try DirectFiles().open(path)
        }
    }
}

/// `wattle-agent detect` explains each machine of the corpus: what is measured and how well, what is missing and how to get it.
struct DetectTests {
    private func report(_ name: String) throws -> DetectReport {
        let machine = try #require(try MachineArchive.all(in: machinesOfTheCorpus).first { $0.name == name })
        return DetectReport(try UnpackedMachine(machine).find())
    }

    @Test(arguments: try MachineArchive.all(in: machinesOfTheCorpus))
    func everyMachineIsExplained(machine: MachineArchive) throws {
        let sensors = try UnpackedMachine(machine).find()
        let report = DetectReport(sensors)
        #expect(report.lines.filter(\.in_cover).map(\.meter).sorted() == machine.cover, "\(machine.about)")
        #expect(Set(machine.unused).isSubset(of: report.lines.filter { $0.quality == nil }.map(\.meter)), "\(machine.about)")
        for line in report.lines {
            #expect(!line.basis.isEmpty, "\(line.meter)")
            guard line.quality != nil else { continue }
            #expect(line.standing != "not a meter of this host")
            if line.in_cover {
                #expect(line.standing?.hasPrefix("counted") == true, "\(line)")
            } else {
                // It says because of which other meter.
                #expect(machine.cover.contains { line.standing?.contains($0) == true }, "\(line)")
            }
        }
        let table = report.table
        for line in report.lines { #expect(table.contains(line.meter)) }
        for remedy in report.lines.compactMap(\.remedy) { #expect(table.contains("what to do: \(remedy)")) }
        #expect(table.hasSuffix(report.summary + "\n") && report.summary.hasPrefix("The host's energy is "))
        #expect(!table.split(separator: "\n").contains { $0.hasSuffix(" ") || $0.hasSuffix(";") })
        #expect(try report.json().contains("\"summary\""))
        if getenv("WATTLE_SHOW_REPORTS") != nil { print("=== \(machine.name): \(machine.about)\n\n\(table)") }
    }

    @Test func onlyAPartOfTheMachineIsSaidToBeAPart() throws {
        let server = try report("server-two-sockets").summary
        #expect(server.contains("2 packages (measured) and 2 parts of memory (measured)"))
        #expect(server.contains("Not in it: GPUs") && !server.contains("memory,"))
        #expect(try report("epyc-two-sockets").summary.contains("Not in it: memory"))
        #expect(!(try report("bmc-only").summary.contains("Not in it")))
        #expect(try report("virtual-machine").summary.contains("(modelled)"))
    }

    @Test func aWholeThatFixesTheAmountIsNamed() throws {
        #expect(try report("power9-energy").summary.contains("hwmon/ibmpowernv/system measures the whole machine: recorded beside"))
        #expect(try report("client-psys").summary.contains("measures the platform"))
    }

    @Test func whatIsMissingSaysHowToGetIt() throws {
        for (machine, sensor, remedy) in [
            ("not-root", "powercap/intel-rapl:0", "wattle-broker"), ("power9-without-system", "hwmon/ibmpowernv/chip-8", "power6_enable"),
            ("bmc-that-is-closed", "ipmi/dcmi", "root"), ("gpu-without-library", "nvml", "install"),
        ] {
            let line = try #require(try report(machine).lines.first { $0.meter == sensor && $0.quality == nil })
            #expect(line.remedy?.contains(remedy) == true, "\(machine)")
        }
    }

    @Test func aModelSaysHowFarItMayBeOff() throws {
        let line = try #require(try report("s390x").table.split(separator: "\n").first { $0.contains("model/cpu") })
        #expect(line.contains("modelled, true value") && line.contains("times"))
    }
}
