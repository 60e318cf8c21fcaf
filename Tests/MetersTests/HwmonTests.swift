import Energy
import Glibc
import Synchronization
import Testing

@testable import Meters

/// Layouts are those of the drivers' sources and documentation; the values are invented.
struct HwmonTests {
    let host: FixtureHost

    init() throws {
        host = try FixtureHost()
        try host.addProcessor()
    }

    /// A chip as the kernel shows it: files below its device, and a link in /sys/class/hwmon.
    private func addChip(_ number: Int, _ name: String, device: String = "platform/chip", _ files: [String: String]) throws {
        let path = "/sys/devices/\(device)/hwmon/hwmon\(number)"
        try host.write("\(path)/name", name + "\n")
        for (file, text) in files { try host.write("\(path)/\(file)", text + "\n") }
        try host.link("\(path)/device", to: "../..")
        try host.makeDirectory("/sys/class/hwmon")
        try host.link("/sys/class/hwmon/hwmon\(number)", to: "../../devices/\(device)/hwmon/hwmon\(number)")
    }

    private func find(_ options: [String: String] = [:], found: [MeterPlace] = []) throws -> SensorFindings {
        var given = try host.sensorHost(options: options)
        given.found = found
        return HwmonSensor.find(on: given)
    }

    private func places(_ found: SensorFindings) -> [String: String] {
        Dictionary(
            found.meters.map { meter in
                let place = meter.place
                let die = place.die.map { " die \($0)" } ?? ""
                let inside = place.inside.map { " in \($0)" } ?? ""
                return (
                    place.name, "\(place.zone.rawValue)\(place.package.map { " \($0)" } ?? "")\(die) \(place.quality.rawValue)\(inside)"
                )
            },
            uniquingKeysWith: { a, b in "\(a) AND \(b)" }
        )
    }

    /// Channels with labels: `power1_input`, `power1_label`...
    private func channels(_ kind: String, _ labels: [(String, Int64)], value: String = "input") -> [String: String] {
        var files: [String: String] = [:]
        for (i, (label, number)) in labels.enumerated() {
            files["\(kind)\(i + 1)_\(value)"] = "\(number)"
            files["\(kind)\(i + 1)_label"] = label
        }
        return files
    }

    // MARK: POWER

    @Test func powernvIsReadByItsLabelsAndItsCountersBeforeItsWatts() throws {
        let labels: [(String, Int64)] = [
            ("System", 426_000_000), ("Chip 0 ", 157_000_000), ("Chip 0 Vdd", 60_000_000), ("Chip 0 Vdn", 20_000_000),
            ("Chip 8 ", 150_000_000),
            ("Chip 0 Memory", 30_000_000), ("Chip 0 GPU", 0), ("Fan", 15_000_000), ("IO", 25_000_000), ("Storage", 10_000_000),
        ]
        try addChip(3, "ibmpowernv", channels("power", labels).merging(channels("energy", labels)) { a, _ in a })
        let found = try find()
        #expect(
            places(found) == [
                "hwmon/ibmpowernv/system": "node measured",
                "hwmon/ibmpowernv/chip-0": "package 0 measured in hwmon/ibmpowernv/system",
                "hwmon/ibmpowernv/chip-8": "package 8 measured in hwmon/ibmpowernv/system",
                "hwmon/ibmpowernv/chip-0-vdd": "core 0 measured in hwmon/ibmpowernv/chip-0",
                "hwmon/ibmpowernv/chip-0-vdn": "uncore 0 measured in hwmon/ibmpowernv/chip-0",
                "hwmon/ibmpowernv/chip-0-memory": "dram 0 measured in hwmon/ibmpowernv/system",
                "hwmon/ibmpowernv/chip-0-gpu": "gpu 0 measured in hwmon/ibmpowernv/system",
                "hwmon/ibmpowernv/fan": "io die 1 measured in hwmon/ibmpowernv/system",
                "hwmon/ibmpowernv/io": "io die 0 measured in hwmon/ibmpowernv/system",
                "hwmon/ibmpowernv/storage": "io die 2 measured in hwmon/ibmpowernv/system",
            ]
        )
        #expect(found.unused.isEmpty)
        #expect(found.meters.allSatisfy { $0.counting == .hardware(modulus: nil) })
        let cover = Containment(found.meters.map(\.place)).cover
        #expect(cover.isSuperset(of: ["io", "fan", "storage"].map { "hwmon/ibmpowernv/\($0)" }), "each is a part of its own")
    }

    @Test func aBoardWithoutASystemSensorIsThePartsThatItHas() throws {
        try addChip(0, "ibmpowernv", channels("power", [("Chip 0 ", 60_000_000), ("Chip 0 Memory", 9_000_000)]))
        #expect(
            places(try find()) == [
                "hwmon/ibmpowernv/chip-0": "package 0 sampled", "hwmon/ibmpowernv/chip-0-memory": "dram 0 sampled",
            ]
        )
    }

    @Test func aSensorGroupThatIsSwitchedOffSaysHowToSwitchItOn() throws {
        try addChip(0, "ibmpowernv", ["power2_input": "0", "power2_label": "Chip 0 ", "power2_enable": "0"])
        let found = try find()
        #expect(found.meters.isEmpty)
        #expect(found.unused.first?.remedy?.contains("power2_enable") == true)
    }

    @Test(arguments: [(ENODATA, "no value now"), (ENXIO, "is off"), (EACCES, "root")])
    func aChannelThatAnswersWithAnErrorIsLeftOutWithWhatToDo(number: Int32, remedy: String) throws {
        try addChip(0, "ibmpowernv", ["power1_input": "5", "power1_label": "Chip 0 ", "power2_input": "5", "power2_label": "Chip 8 "])
        host.faults["\(host.root)/sys/devices/platform/chip/hwmon/hwmon0/power1_input"] = number
        let found = try find()
        #expect(found.meters.map(\.place.name) == ["hwmon/ibmpowernv/chip-8"])
        #expect(found.unused.map(\.name) == ["hwmon/ibmpowernv/chip-0"])
        #expect(found.unused.first?.remedy?.contains(remedy) == true)
    }

    @Test(arguments: [EAGAIN, ETIMEDOUT])
    func aMailboxThatIsBusyWhileItIsLookedForIsAMeterAllTheSame(number: Int32) throws {
        try addChip(0, "apm_xgene", ["power1_input": "5", "power1_label": "CPU power"])
        host.faults["\(host.root)/sys/devices/platform/chip/hwmon/hwmon0/power1_input"] = number
        #expect(try find().meters.count == 1)
    }

    // MARK: ARM

    @Test func twoSocketsAreNumberedByTheirDevicesAndNotByTheirHwmonIndices() throws {
        let files = ["power1_input": "16300000", "power1_label": "CPU power", "power2_input": "31900000", "power2_label": "IO power"]
        try addChip(7, "apm_xgene", device: "platform/APMC0D29:00", files)
        try addChip(1, "apm_xgene", device: "platform/APMC0D29:01", files)
        try addChip(0, "nvme", device: "pci0000:00/nvme0", ["temp1_input": "35000"])
        let channels = try HwmonChannel.list(in: host.root + "/sys/class/hwmon") { _, _ in }
        #expect(channels.first { $0.chipNumber == 0 }?.path.contains("/hwmon7/") == true)
        #expect(channels.first { $0.chipNumber == 1 }?.path.contains("/hwmon1/") == true)
        let found = try find()
        #expect(
            places(found) == [
                "hwmon/apm_xgene/cpu-power": "package 0 sampled", "hwmon/apm_xgene/io-power": "io 0 sampled",
                "hwmon/apm_xgene#1/cpu-power": "package 1 sampled", "hwmon/apm_xgene#1/io-power": "io 1 sampled",
            ]
        )
        #expect(found.unused.isEmpty)
    }

    @Test func theRailsOfAltrasManagementProcessorAreParts() throws {
        let labels = ["CORE VRD", "SoC", "DIMM VRD1", "DIMM VRD2", "RCA VRD"].map { ($0, Int64(9_000_000)) }
        try addChip(2, "smpro_hwmon", channels("power", labels))
        #expect(Containment(try find().meters.map(\.place)).cover.count == 5, "no rail passes for another's twin")
        #expect(
            places(try find()) == [
                "hwmon/smpro_hwmon/core-vrd": "package 0 sampled", "hwmon/smpro_hwmon/soc": "io 0 die 0 sampled",
                "hwmon/smpro_hwmon/dimm-vrd1": "dram 0 die 0 sampled", "hwmon/smpro_hwmon/dimm-vrd2": "dram 0 die 1 sampled",
                "hwmon/smpro_hwmon/rca-vrd": "io 0 die 1 sampled",
            ]
        )
    }

    @Test func graceIsReadFromItsPowerMetersWithTheirFilesAtTheDevice() throws {
        let labels = [
            "Module Power Socket 0", "Grace Power Socket 0", "CPU Power Socket 0", "SysIO Power Socket 0", "Grace Power Socket 1",
        ]
        for (number, label) in labels.enumerated() {
            let device = "LNXSYSTM:00/ACPI000D:0\(number)"
            try addChip(number, "power_meter", device: device, [:])
            try host.write("/sys/devices/\(device)/power1_average", "\(50_000_000 + number)\n")
            try host.write("/sys/devices/\(device)/power1_oem_info", label + "\n")
        }
        let found = try find()
        let places = places(found)
        #expect(places.count == 5)
        let parts = found.meters.map(\.place).filter { $0.zone == .io }
        #expect(Containment(parts).cover.count == parts.count, "no part passes for another's twin")
        #expect(places["hwmon/power_meter/module-power-socket-0"] == "module 0 sampled")
        // Chips of the same name, each with a socket of its own.
        #expect(
            Set(places.values.map { $0.split(separator: " in ")[0] }) == [
                "module 0 sampled", "package 0 sampled", "core 0 sampled", "io 0 sampled", "package 1 sampled",
            ]
        )
        #expect(places.values.contains("package 0 sampled in hwmon/power_meter/module-power-socket-0"))
        #expect(places.values.contains { $0.hasPrefix("core 0") && $0.hasSuffix("grace-power-socket-0") })
    }

    @Test func junosClustersAreDiesOfOnePackage() throws {
        for (number, (name, label)) in [("energy", "A72"), ("energy", "A53"), ("power", "SYS"), ("energy", "GPU")].enumerated() {
            try addChip(number, "vexpress_\(name)", device: "platform/v\(number)", channels(name, [(label, 1_000_000)]))
        }
        #expect(
            Set(places(try find()).values) == ["package 0 die 0 measured", "package 0 die 1 measured", "io 0 sampled", "gpu measured"]
        )
    }

    // MARK: Others

    @Test func amdSocketsAreCountersAndTheirCoresAreSaidInOneLine() throws {
        var labels: [(String, Int64)] = (0..<64).map { ("Ecore\($0 < 10 ? "00" : "0")\($0)", 5) }
        labels += [("Esocket0", 10_000_000), ("Esocket1", 20_000_000)]
        try addChip(0, "amd_energy", channels("energy", labels))
        let found = try find()
        #expect(places(found) == ["hwmon/amd_energy/esocket0": "package 0 measured", "hwmon/amd_energy/esocket1": "package 1 measured"])
        #expect(found.unused.count == 1)
        #expect(found.meters.allSatisfy { $0.cadence == .fast })
        var meter = try #require(found.meters.first)
        #expect(try meter.read(at: Timestamp(microseconds: 1)) == MeterReading(10_000_000))
    }

    @Test func aSocketThatRAPLMeasuresIsNotCountedTwice() throws {
        try addChip(0, "amd_energy", channels("energy", [("Esocket0", 1), ("Esocket1", 1)]))
        let rapl = MeterPlace(name: "powercap/intel-rapl:0", zone: .package, package: 0, quality: .measured)
        let found = try find(found: [rapl])
        #expect(found.meters.map(\.place.name) == ["hwmon/amd_energy/esocket1"])
        #expect(found.unused.first?.reason == "the same counter as powercap/intel-rapl:0")
    }

    @Test func anUnlabelledPowerMeterIsTheWholeMachineAndASecondOneIsNot() throws {
        try addChip(0, "power_meter", device: "a/ACPI000D:00", ["power1_average": "213000000", "power1_is_battery": "0"])
        try addChip(1, "power_meter", device: "a/ACPI000D:01", ["power1_average": "99000000"])
        try addChip(2, "power_meter", device: "a/ACPI000D:02", ["power1_average": "5000000", "power1_is_battery": "1"])
        let found = try find()
        #expect(places(found) == ["hwmon/power_meter/power1": "node sampled"])
        #expect(found.unused.count == 2)
    }

    @Test func aChipThatIsNotKnownIsSaidAndBecomesAMeterBySetting() throws {
        try addChip(4, "ina3221", channels("power", [("VDD_IN", 12_000_000), ("VDD CPU", 3_000_000)]))
        let found = try find()
        #expect(found.meters.isEmpty)
        #expect(found.unused.map(\.name) == ["hwmon/ina3221/vdd-in", "hwmon/ina3221/vdd-cpu"])
        #expect(found.unused.first?.remedy == "if you know it, set hwmon.extra = ina3221/VDD_IN=<zone>[:<package>]")
        let set = try find(["hwmon.extra": "ina3221/VDD_IN=node, ina3221/VDD CPU=package:0"])
        #expect(places(set) == ["hwmon/ina3221/vdd-in": "node sampled", "hwmon/ina3221/vdd-cpu": "package 0 sampled"])
        #expect(set.unused.isEmpty)
    }

    @Test func anExtraThatFitsNothingIsSaid() throws {
        try addChip(4, "ina3221", channels("power", [("VDD_IN", 12_000_000)]))
        let found = try find(["hwmon.extra": "ina3221/VDD_OUT=node"])
        #expect(found.unused.contains { $0.name == "hwmon/ina3221/VDD_OUT" && $0.remedy != nil })
    }

    @Test(arguments: [
        ("hwmon.extra", "ina3221"), ("hwmon.extra", "a/b=attic"), ("hwmon.extra", "a/b=package:x"), ("hwmon.period_s", "0"),
        ("hwmon.period_s", "never"), ("hwmon.p_max_w", "lots"),
    ])
    func anOptionThatIsWrongIsSaidWithWhatWasExpected(key: String, value: String) throws {
        try addChip(0, "apm_xgene", ["power1_input": "5", "power1_label": "CPU power"])
        let found = try find([key: value])
        #expect(found.meters.isEmpty)
        #expect(found.unused.map(\.name) == [key])
        #expect(found.unused.allSatisfy { $0.reason.contains("expected") && $0.reason.contains(value) && $0.remedy != nil })
    }

    // MARK: Reading

    /// What the integral makes of the file's content, second after second.
    private func integrate(_ contents: [String], faults: [Int: Int32] = [:]) throws -> [String] {
        let path = "/sys/class/hwmon/hwmon0/power1_input"
        try host.write(path, "100000000")
        let limits = PowerIntegrator.Limits(
            maximum: Power(watts: 1_000),
            isZeroPossible: false,
            longestStep: .seconds(5),
            longestRepeat: nil
        )
        let energy = SampledEnergy(name: "test", limits: limits)
        let source = PowerFiles(paths: [host.root + path], files: DirectFiles())
        var seen: [String] = []
        for (second, content) in contents.enumerated() {
            try host.write(path, content)
            let time = Timestamp(microseconds: Int64(second) * 1_000_000)
            source.ask { _, answer in
                switch answer {
                case .power(let microwatts, _): energy.take(microwatts: microwatts, at: time)
                case .nothingNew: break
                case .fault(let fault): energy.take(fault)
                }
            }
            switch energy.news(by: time) {
            case .reading(let count, _, let isAfterGap): seen.append("\(count / 1_000_000)\(isAfterGap ? " gap" : "")")
            case .none: seen.append("-")
            case .fault(let fault): seen.append("\(fault)")
            }
        }
        return seen
    }

    @Test func anUnderflowOf18446744073709551615IsAGapAndNotEnergy() throws {
        let seen = try integrate(["100000000", "100000000", "18446744073709551000", "100000000", "100000000"])
        #expect(seen == ["0 gap", "100", "-", "100 gap", "200"])
    }

    @Test(arguments: ["-5", "0", "", "garbage", "1000000001"])
    func aValueThatCannotBeIsAGap(content: String) throws {
        let seen = try integrate(["100000000", "100000000", content, "100000000", "100000000"])
        #expect(seen == ["0 gap", "100", "-", "100 gap", "200"])
    }

    @Test func aChipThatVanishesWhileItIsReadIsSaidToBeGone() async throws {
        try addChip(0, "apm_xgene", ["power1_input": "5000000", "power1_label": "CPU power"])
        var given = try host.sensorHost()
        given.clock = { SensorThread.now() }
        // There when it was looked for, gone when its thread opens it.
        let files = VanishingFiles()
        given.files = files
        var meter = try #require(HwmonSensor.find(on: given).meters.first)
        files.vanish()
        #expect(try meter.read(at: SensorThread.now()).count == 0)
        var fault: SensorFault?
        for _ in 0..<300 where fault == nil {
            do throws(SensorFault) { _ = try meter.read(at: SensorThread.now()) } catch { fault = error }
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(fault?.isVanished == true)
    }

    @Test func aChipsPowerIsSampledOnItsOwnThread() async throws {
        try addChip(0, "apm_xgene", ["power1_input": "20000000", "power1_label": "CPU power"])
        var given = try host.sensorHost(options: ["hwmon.period_s": "0.1"])
        given.clock = { SensorThread.now() }
        var meter = try #require(HwmonSensor.find(on: given).meters.first)
        #expect(meter.cadence == .slow)
        var readings: [MeterReading] = []
        for _ in 0..<300 {
            let now = SensorThread.now()
            let reading = try meter.read(at: now)
            #expect(reading.time ?? now <= now)
            if reading.time != readings.last?.time { readings.append(reading) }
            if readings.count > 5 { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(readings.count > 5)
        // 20 W from the first sample on, over the times between the samples themselves.
        let counted = readings.filter { $0.gap == nil && $0.count > 0 }
        for (a, b) in zip(counted, counted.dropFirst()) {
            let elapsed = try #require(b.time) - #require(a.time)
            #expect(abs(b.count - a.count - 20 * elapsed.count) <= 1)
        }
    }
}

/// Files of a device that can be pulled out.
private final class VanishingFiles: FileOpening, Sendable {
    private let isGone = Atomic(false)

    func vanish() { isGone.store(true, ordering: .sequentiallyConsistent) }

    func open(_ path: String) throws(SensorFault) -> Int32 {
        guard !isGone.load(ordering: .sequentiallyConsistent) else { throw SensorFault(path: path, errno: ENODEV) }
        return try DirectFiles().open(path)
    }
}

extension FixtureHost {
    fileprivate func makeDirectory(_ path: String) throws {
        try write("\(path)/.keep", "")
    }
}
