/// RAPL's registers read by themselves, through `/dev/cpu/N/msr`, for kernels without the powercap driver.
enum MSRSensor: Sensor {
    static let name = "msr"
    static let devices = ["/dev/cpu"]
    static let options = [
        SensorOption("enabled", help: "yes: read RAPL's registers through /dev/cpu/N/msr instead of powercap; no", standard: "no"),
        SensorOption("cpus", help: "the CPUs to read on, as 0,1 or 0-3; one of each package (and die) where it is absent"),
    ]

    static func find(on host: SensorHost) -> SensorFindings {
        switch host.option("enabled", of: self) {
        case "yes": MSRDiscovery(host: host).find()
        case "no": SensorFindings()
        case let other:
            SensorFindings(
                unused: [
                    UnusedSensor(
                        name: name,
                        reason: "msr.enabled: expected yes or no, found '\(other ?? "")'",
                        remedy: "set msr.enabled to yes or no"
                    )
                ]
            )
        }
    }
}
