import Energy
import Glibc

/// Power and energy that the kernel's hardware monitoring shows, chosen by name and label.
enum HwmonSensor: Sensor {
    static let name = "hwmon"
    /// After RAPL, which has some of the same counters.
    static let rank = 10
    static let devices = ["/sys/class/hwmon"]
    static let options = [
        SensorOption("extra", help: "meters of channels that are not known: chip/label=zone or chip/label=zone:package, comma-separated"),
        SensorOption("period_s", help: "seconds between two samples of power, 0.1 to 600", standard: "1"),
        SensorOption("p_max_w", help: "the most watts the whole machine can draw", standard: "12000"),
    ]

    static func find(on host: SensorHost) -> SensorFindings { HwmonDiscovery(host: host).find() }
}
