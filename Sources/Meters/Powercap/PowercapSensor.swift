/// RAPL through the kernel's powercap interface.
enum PowercapSensor: Sensor {
    static let name = "powercap"
    static let devices = ["/sys/class/powercap"]

    static func find(on host: SensorHost) -> SensorFindings {
        let found = PowercapDiscovery(host: host).find()
        return SensorFindings(meters: found.meters, unused: found.notFit)
    }
}
