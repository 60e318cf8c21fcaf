import Energy
import Glibc

/// The whole machine's power as its BMC measures it.
enum IPMISensor: Sensor {
    static let name = "ipmi"
    static let rank = 20
    static let devices = ["/sys/class/ipmi"]
    static let options = [
        SensorOption("enabled", help: "auto: where there is a device; no: never", standard: "auto"),
        SensorOption("period_s", help: "seconds between two questions to the BMC, 1 to 600", standard: "10"),
        SensorOption("via", help: "device: DCMI through the kernel; ipmitool: by that program"),
        SensorOption("sensor", help: "a sensor's name such as 'Pwr Consumption' in place of DCMI; by ipmitool only"),
        SensorOption("device", help: "the kernel's device; found by itself if not set"),
        SensorOption("tool", help: "the program for via=ipmitool", standard: "ipmitool"),
        SensorOption("p_max_w", help: "the most watts the machine can draw", standard: "12000"),
    ]

    /// Where the kernel's driver puts its device.
    private static let paths = ["/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0"]

    static func find(on host: SensorHost) -> SensorFindings {
        do throws(OptionFault) {
            return try findChecked(on: host)
        } catch {
            return SensorFindings(unused: [error.unused])
        }
    }

    private static func findChecked(on host: SensorHost) throws(OptionFault) -> SensorFindings {
        switch host.option("enabled", of: self) {
        case "auto", "yes": break
        case "no": return SensorFindings()
        case let other: throw OptionFault(name: "ipmi.enabled", expected: "auto or no", found: other ?? "")
        }
        let period = try host.seconds("period_s", of: self, in: 1...600)
        let most = try host.watts("p_max_w", of: self) ?? Zone.node.largestPower
        let sensor = host.option("sensor", of: self)
        let via = host.option("via", of: self) ?? (sensor == nil ? "device" : "ipmitool")
        let tool = host.option("tool", of: self) ?? "ipmitool"
        let way: IPMISource.Way
        switch (via, sensor) {
        case ("ipmitool", let sensor?): way = .sensor(sensor, [tool, "sensor", "reading", sensor, "-c"])
        case ("ipmitool", nil): way = .program([tool, "dcmi", "power", "reading"])
        case ("device", nil):
            switch device(on: host) {
            case .success(let path?): way = .device(path: path)
            case .success(nil): return SensorFindings()
            case .failure(let unused): return SensorFindings(unused: [unused.unused])
            }
        case ("device", _?):
            throw OptionFault(name: "ipmi.via", expected: "ipmitool where ipmi.sensor is set", found: via)
        default: throw OptionFault(name: "ipmi.via", expected: "device or ipmitool", found: via)
        }

        let name = sensor.map { "ipmi/\(HwmonText.slug($0))" } ?? "ipmi/dcmi"
        let energy = SampledEnergy(
            name: name,
            limits: PowerIntegrator.Limits(
                maximum: most,
                isZeroPossible: false,
                longestStep: PolledPower.longestStep(period: period),
                // Whole watts of an idle machine may stand for long; a BMC that hangs stands for ever.
                longestRepeat: max(.seconds(600), Microseconds(period.count * 60))
            )
        )
        // A program gets as long as the kernel gives a BMC, and is not to be overtaken by the next.
        let limit = min(max(period, .seconds(2)), .seconds(10))
        let files = host.files
        let polled = PolledPower(name, channels: [energy], period: period, clock: host.clock) { () throws(SensorFault) in
            try IPMISource(way, files: files, limit: limit)
        }
        let how =
            switch way {
            case .device(let path): "DCMI through \(path)"
            case .program, .sensor: "\(tool)\(sensor.map { ", sensor '\($0)'" } ?? ", DCMI")"
            }
        let meter = SampledMeter(
            place: MeterPlace(name: name, zone: .node, package: nil, quality: .sampled),
            sensor: self.name,
            basis: "\(how), asked every \(SecondsText.short(period))",
            energy: energy,
            sampling: polled
        )
        return SensorFindings(meters: [meter])
    }

    private struct Refused: Error {
        let unused: UnusedSensor
    }

    /// The device that answers; nil where there is none. One question is asked: many BMCs know nothing of DCMI.
    private static func device(on host: SensorHost) -> Result<String?, Refused> {
        let configured = host.option("device", of: self)
        for path in configured.map({ [$0] }) ?? paths.map(host.roots.path) {
            do throws(SensorFault) {
                _ = try IPMIDevice(path, files: host.files).powerReading(limit: .seconds(1))
                return .success(path)
            } catch {
                if error.isVanished, configured == nil { continue }
                let remedy =
                    switch error.number {
                    case EACCES, EPERM: "let the agent open \(path), or run it as root"
                    case EBUSY, EAGAIN, ETIMEDOUT: "the BMC is busy; it is asked again while the agent runs"
                    case ENOENT: "load the kernel's driver (modprobe ipmi_si ipmi_devintf), or remove ipmi.device"
                    default: "if `ipmitool sensor` lists a sensor in watts, set ipmi.sensor to its name; ipmi.enabled = no ends this"
                    }
                return .failure(Refused(unused: UnusedSensor(name: "ipmi/dcmi", reason: error.description, remedy: remedy)))
            }
        }
        return .success(nil)
    }
}
