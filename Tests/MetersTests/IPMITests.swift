import Energy
import FoundationEssentials
import Glibc
import Testing

@testable import Meters

struct IPMITests {
    let host: FixtureHost

    init() throws {
        host = try FixtureHost()
        try host.addProcessor()
    }

    /// 214 W, the least 2, the most 468, on average 184; 2024-05-05 13:06:44 UTC, over 1000 ms, active. The layout is that of DCMI 1.5.
    static let answer: [UInt8] = [
        0x00, 0xDC, 0xD6, 0x00, 0x02, 0x00, 0xD4, 0x01, 0xB8, 0x00, 0x84, 0x83, 0x37, 0x66, 0xE8, 0x03, 0x00, 0x00, 0x40,
    ]

    // MARK: DCMI

    @Test func theRequestIsGetPowerReadingOfTheDCMIGroup() {
        #expect(DCMIPowerReading.networkFunction == 0x2C)
        #expect(DCMIPowerReading.command == 0x02)
        #expect(DCMIPowerReading.requestBody == [0xDC, 0x01, 0x00, 0x00])
    }

    @Test func anAnswerOfTheBMCIsUnderstood() throws {
        let reading = try DCMIPowerReading.parse(Self.answer, path: "/dev/ipmi0")
        #expect(reading == DCMIPowerReading(watts: 214, stamp: "1714914180", isActive: true))
    }

    @Test func aMeasurementThatIsNotActiveAndAClockThatDoesNotRunAreSeen() throws {
        var bytes = Self.answer
        bytes[18] = 0
        bytes.replaceSubrange(10..<14, with: [0, 0, 0, 0])
        #expect(try DCMIPowerReading.parse(bytes, path: "") == DCMIPowerReading(watts: 214, stamp: nil, isActive: false))
    }

    @Test(arguments: [([], "empty"), ([0xC1], "no DCMI"), ([0xC0], "busy"), ([0x00, 0xDC, 0xD6], "3 bytes")] as [([UInt8], String)])
    func anAnswerThatIsNoReadingSaysWhy(bytes: [UInt8], why: String) {
        let fault = #expect(throws: SensorFault.self) { try DCMIPowerReading.parse(bytes, path: "/dev/ipmi0") }
        #expect(fault?.description.contains(why) == true)
    }

    // MARK: ipmitool

    /// Outputs as they are found in public bug reports and documentation; the vendors differ in their colons, blanks and time stamps.
    static let outputs: [(text: String, reading: DCMIPowerReading)] = [
        (
            """

                Instantaneous power reading:                   214 Watts
                Minimum during sampling period:                  2 Watts
                Maximum during sampling period:                468 Watts
                Average power reading over sample period:      184 Watts
                IPMI timestamp:                           Sun May  5 13:06:44 2024
                Sampling period:                          00000001 Seconds.
                Power reading state is:                   activated


            """, DCMIPowerReading(watts: 214, stamp: "Sun May  5 13:06:44 2024", isActive: true)
        ),
        (
            """
                Instantaneous power reading:                   204 Watts
                Average power reading over sample period:      194 Watts
                IPMI timestamp:                           08/28/26 07:12:06 UTC    Sampling period:                          00000005 Seconds.
                Power reading state is:                   activated
            """, DCMIPowerReading(watts: 204, stamp: "08/28/26 07:12:06 UTC", isActive: true)
        ),
        (
            """
                Instantaneous power reading:                   235 Watts
                IPMI timestamp:                                Thu Jan  1 00:00:00 1970
                Sampling period:                               00000000 Seconds.
                Power reading state is:                        deactivated
            """, DCMIPowerReading(watts: 235, stamp: nil, isActive: false)
        ),
        (
            """
            Current Power                        : 164 Watts
            Minimum Power over sampling duration : 159 watts
            Average Power over sampling duration : 162 watts
            Time Stamp                           : 10/11/2024 - 09:08:12
            Statistics reporting time period     : 1000 milliseconds
            Power Measurement                    : Active
            """, DCMIPowerReading(watts: 164, stamp: "10/11/2024 - 09:08:12", isActive: true)
        ),
    ]

    @Test(arguments: outputs.indices)
    func theOutputsOfSeveralToolsAndVendorsAreUnderstood(number: Int) throws {
        #expect(try IPMIToolOutput.powerReading(Self.outputs[number].text, path: "ipmitool") == Self.outputs[number].reading)
    }

    @Test(
        arguments: [
            ("Pwr Consumption,196\n", 196_000_000), ("Pwr Consumption  | 196\n", 196_000_000),
            ("noise\nPwr Consumption,14.500\n", 14_500_000),
        ] as [(String, Int64)]
    )
    func aNamedSensorIsReadInWatts(text: String, microwatts: Int64) throws {
        #expect(try IPMIToolOutput.sensorReading(text, of: "Pwr Consumption", path: "ipmitool") == microwatts)
    }

    @Test(arguments: [
        "Pwr Consumption,na\n", "Pwr Consumption,No Reading\n", "Unable to find sensor id 'Pwr Consumption'\n", "", "Temp,22\n",
    ])
    func aNamedSensorWithoutAValueIsAFault(text: String) {
        #expect(throws: SensorFault.self) { try IPMIToolOutput.sensorReading(text, of: "Pwr Consumption", path: "ipmitool") }
    }

    @Test(arguments: ["", "DCMI request failed because: Invalid command (c1)\n", "Instantaneous power reading: lots of Watts\n"])
    func anOutputWithoutAReadingIsAFault(text: String) {
        #expect(throws: SensorFault.self) { try IPMIToolOutput.powerReading(text, path: "ipmitool") }
    }

    // MARK: A BMC behind a program

    private func tool(_ script: String) throws -> String {
        try host.write("/bin/ipmitool", "#!/bin/sh\n\(script)\n")
        let path = host.root + "/bin/ipmitool"
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }

    private func answers(_ source: IPMISource) -> [String] {
        var answers: [String] = []
        source.ask { _, answer in
            switch answer {
            case .power(let microwatts, _): answers.append("\(microwatts / 1_000_000) W")
            case .nothingNew: answers.append("nothing new")
            case .fault(let fault): answers.append("\(fault)")
            }
        }
        return answers
    }

    private func source(_ script: String, limit: Microseconds = .seconds(5)) throws -> IPMISource {
        try IPMISource(.program([try tool(script), "dcmi", "power", "reading"]), files: DirectFiles(), limit: limit)
    }

    @Test func aStaleBMCValueIsNotTakenForANewOne() throws {
        let source = try source("cat \(host.root)/output")
        try host.write("/output", Self.outputs[0].text)
        #expect(answers(source) == ["214 W"])
        #expect(answers(source) == ["nothing new"])
        // The watts move and the stamp does not: it is the BMC's clock that stands.
        try host.write("/output", "Instantaneous power reading: 215 Watts\nIPMI timestamp: Sun May  5 13:06:44 2024\n")
        #expect(answers(source) == ["215 W"])
        // No clock at all: the same watts may well be new.
        try host.write("/output", "Instantaneous power reading: 215 Watts\nIPMI timestamp: Thu Jan  1 00:00:00 1970\n")
        #expect(answers(source) == ["215 W"])
        #expect(answers(source) == ["215 W"])
    }

    @Test func theProgramIsAskedForDCMIPowerAndForANamedSensorWithoutAShell() throws {
        let tool = try tool("printf '%s|' \"$@\" > \(host.root)/words; echo 'Pwr Consumption,77'")
        _ = answers(try IPMISource(.program([tool, "dcmi", "power", "reading"]), files: DirectFiles(), limit: .seconds(5)))
        #expect(try String(contentsOf: URL(filePath: host.root + "/words"), encoding: .utf8) == "dcmi|power|reading|")
        let way = IPMISource.Way.sensor("Pwr Consumption", [tool, "sensor", "reading", "Pwr Consumption", "-c"])
        #expect(answers(try IPMISource(way, files: DirectFiles(), limit: .seconds(5))) == ["77 W"])
        #expect(try String(contentsOf: URL(filePath: host.root + "/words"), encoding: .utf8) == "sensor|reading|Pwr Consumption|-c|")
    }

    @Test func aProgramThatHangsIsEndedWithAllItStarted() throws {
        let source = try source("sleep 60 & echo $! > \(host.root)/child; wait", limit: .milliseconds(300))
        let began = SensorThread.now()
        let said = answers(source)
        #expect(said.count == 1 && said[0].contains("timed out"), "\(said)")
        #expect(SensorThread.now() - began < .seconds(3))
        let child = try String(contentsOf: URL(filePath: host.root + "/child"), encoding: .utf8)
        let number = try #require(child.split(separator: "\n").first)
        #expect(!isAlive(String(number)))
    }

    /// A process that has ended and waits for its parent counts as ended.
    private func isAlive(_ process: String) -> Bool {
        for _ in 0..<100 {
            let stat: String
            do { stat = try String(contentsOf: URL(filePath: "/proc/\(process)/stat"), encoding: .utf8) } catch { return false }
            if stat.contains(") Z ") { return false }
            usleep(10_000)
        }
        return true
    }

    @Test func aProgramThatFailsSaysWhatItSaid() throws {
        let said = answers(try source("echo 'Could not open device at /dev/ipmi0' >&2; exit 1"))
        #expect(said.count == 1 && said[0].contains("found 1: Could not open device"), "\(said)")
        let missing = try IPMISource(.program([host.root + "/bin/none"]), files: DirectFiles(), limit: .seconds(1))
        #expect(answers(missing).allSatisfy { $0.contains("a program that can be started") })
    }

    @Test func aMeasurementThatIsNotActiveIsAFaultAndNotEnergy() throws {
        let said = answers(try source("echo 'Instantaneous power reading: 235 Watts'; echo 'Power reading state is: deactivated'"))
        #expect(said.count == 1 && said[0].contains("not active"), "\(said)")
    }

    // MARK: Finding it

    private func find(_ options: [String: String]) throws -> SensorFindings {
        IPMISensor.find(on: try host.sensorHost(options: options))
    }

    @Test func aMachineWithoutABMCHasNothingToSay() throws {
        let found = try find([:])
        #expect(found.meters.isEmpty)
        #expect(found.unused.isEmpty)
    }

    @Test func aDeviceThatIsNoBMCIsLeftOutWithAReason() throws {
        try host.write("/dev/ipmi0", "")
        let found = try find([:])
        #expect(found.meters.isEmpty)
        #expect(found.unused.first?.reason.contains("/dev/ipmi0") == true)
        #expect(found.unused.first?.remedy?.contains("ipmi.sensor") == true)
        #expect(try find(["ipmi.enabled": "no"]).unused.isEmpty)
    }

    @Test func aDeviceThatMayNotBeOpenedSaysHowToMakeItSo() throws {
        try host.write("/dev/ipmi0", "")
        host.faults[host.root + "/dev/ipmi0"] = 13
        #expect(try find([:]).unused.first?.remedy?.contains("root") == true)
    }

    @Test func theWholeMachineIsMeasuredThroughTheProgramThatWasConfigured() async throws {
        var given = try host.sensorHost(options: [
            "ipmi.via": "ipmitool", "ipmi.tool": try tool("echo 'Instantaneous power reading: 300 Watts'"), "ipmi.period_s": "1",
        ])
        given.clock = { SensorThread.now() }
        var meter = try #require(IPMISensor.find(on: given).meters.first)
        #expect(meter.place == MeterPlace(name: "ipmi/dcmi", zone: .node, package: nil, quality: .sampled))
        #expect(meter.basis.contains("asked every 1 s"))
        #expect(try meter.read(at: SensorThread.now()).count == 0)
        var counts: [Int64] = []
        for _ in 0..<400 where counts.isEmpty {
            let reading = try meter.read(at: SensorThread.now())
            if reading.count > 0 { counts.append(reading.count) }
            try await Task.sleep(for: .milliseconds(10))
        }
        let joules = try #require(counts.first) / 1_000_000
        // A second of 300 W or so: as long as it really was.
        #expect((280...900).contains(joules))
    }

    @Test(arguments: [
        ("ipmi.enabled", "perhaps"), ("ipmi.period_s", "0.5"), ("ipmi.period_s", "soon"), ("ipmi.via", "telepathy"), ("ipmi.p_max_w", "-1"),
    ])
    func anOptionThatIsWrongIsSaidWithWhatWasExpected(key: String, value: String) throws {
        let found = try find([key: value])
        #expect(found.meters.isEmpty)
        #expect(found.unused.map(\.name) == [key])
        #expect(found.unused.allSatisfy { $0.reason.contains("expected") && $0.reason.contains(value) && $0.remedy != nil })
    }
}
