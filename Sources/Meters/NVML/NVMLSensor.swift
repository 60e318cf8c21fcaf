import Energy
import Glibc

/// NVIDIA's GPUs through the library that comes with their driver.
enum NVMLSensor: Sensor {
    static let name = "nvml"
    static let devices = ["/sys/bus/pci/drivers/nvidia"]
    static let options = [
        SensorOption("enabled", help: "auto: where there is a driver; no: never", standard: "auto"),
        SensorOption("library", help: "the library in place of \(standardLibrary): a name or a path"),
        SensorOption(
            "wait_s",
            help: "seconds to wait for the library at the start, 0 to 60; GPUs that take longer are added later",
            standard: "2"
        ),
    ]

    private static let standardLibrary = "libnvidia-ml.so.1"

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
        case let other: throw OptionFault(name: "nvml.enabled", expected: "auto or no", found: other ?? "")
        }
        let wait = try host.seconds("wait_s", of: self, in: 0...60)
        let asked = host.option("library", of: self)
        let hasDevice = isThere(host.roots.proc + "/driver/nvidia") || isThere(host.roots.path("/dev/nvidia0"))
        // Windows' kernel for Linux shows its GPUs, of whatever make, by this.
        let mayHaveDevice = hasDevice || isThere(host.roots.path("/dev/dxg"))
        // Without a device the library is left alone: it would start a program to load the driver's module.
        guard mayHaveDevice || asked != nil else { return SensorFindings() }
        let path = asked ?? standardLibrary
        let answer: Result<NVMLSurvey.Found, NVMLLibrary.Refusal>?
        do throws(SensorFault) {
            answer = try NVMLSurvey.take(path, within: wait, clock: host.clock)
        } catch {
            return unused(error.description, "free memory or threads; it is tried again")
        }
        switch answer {
        case .success(let found): return findings(found, clock: host.clock)
        case .failure(.notOpened(let text)):
            guard hasDevice || asked != nil else { return SensorFindings() }
            return unused(
                "expected NVIDIA's library \(path), found none that can be opened: \(text)",
                "install the library of the driver's version (libnvidia-ml1, nvidia-driver-cuda-libs), give its path as nvml.library, "
                    + "or set nvml.enabled=no; in a container set NVIDIA_DRIVER_CAPABILITIES=utility"
            )
        case .failure(.failed(let fault)):
            return unused(fault.sensorFault(of: path).description, fault.status.remedy)
        case nil:
            return unused(
                "\(path) has not answered within \(SecondsText.short(wait))",
                "nothing where it only takes its time: it is asked again; see whether nvidia-smi answers"
            )
        }
    }

    private static func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private static func unused(_ reason: String, _ remedy: String?) -> SensorFindings {
        SensorFindings(unused: [UnusedSensor(name: name, reason: reason, remedy: remedy)])
    }

    private static func findings(_ found: NVMLSurvey.Found, clock: @escaping @Sendable () -> Timestamp) -> SensorFindings {
        let names = names(of: found.gpus)
        var findings = SensorFindings()
        for gpu in found.gpus {
            findings.meters.append(
                NVMLMeter(name: names[gpu.index] ?? "nvml/\(gpu.index)", gpu: gpu, library: found.library, clock: clock)
            )
        }
        for (index, why) in found.unusable.sorted(by: { $0.key < $1.key }) {
            let name = "nvml/\(index)"
            switch why {
            case .failed(let fault) where fault.status.isAbsence:
                findings.unused.append(UnusedSensor(name: name, reason: "the GPU tells neither its energy nor its power"))
            case .failed(let fault):
                findings.unused.append(
                    UnusedSensor(name: name, reason: fault.sensorFault(of: name).description, remedy: fault.status.remedy)
                )
            case .malformed(let fault):
                findings.unused.append(UnusedSensor(name: name, reason: fault.description, remedy: "update the driver"))
            }
        }
        return findings
    }

    /// `nvml/GPU-8f7e21a3`: the start of the UUID, which stays the same over reboots; all of it where two share it, and the index
    /// where there is none.
    static func names(of gpus: [NVMLGPU]) -> [Int: String] {
        let short = gpus.map { gpu in gpu.uuid.map { String($0.prefix(12)) } }
        var names: [Int: String] = [:]
        for (gpu, start) in zip(gpus, short) {
            guard let uuid = gpu.uuid, let start, !start.isEmpty else { continue }
            names[gpu.index] = "nvml/" + (short.filter { $0 == start }.count == 1 ? start : uuid)
        }
        return names
    }
}
