import Energy

/// Everything measurable that was found on a host.
public struct HostSensors {
    public var meters: [any Meter]
    /// Names of the meters whose sum is the host's energy.
    public var cover: Set<String>
    public var unused: [UnusedSensor]
    /// Things an operator should know, said once.
    public var remarks: [String]
    public var cpu: CPUInfo

    public init(meters: [any Meter], cover: Set<String>, unused: [UnusedSensor], remarks: [String], cpu: CPUInfo) {
        self.meters = meters
        self.cover = cover
        self.unused = unused
        self.remarks = remarks
        self.cpu = cpu
    }

    /// Asks every kind of sensor.
    public static func find(on host: SensorHost) -> HostSensors {
        var host = host
        var all = SensorFindings()
        for kind in kinds {
            let found = kind.find(on: host)
            all.meters += found.meters
            all.unused += found.unused
            all.remarks += found.remarks
            host.found += found.meters.map(\.place)
        }
        return HostSensors(
            meters: all.meters,
            cover: Cover.choose(among: all.meters.map(\.place)),
            unused: all.unused,
            remarks: all.remarks,
            cpu: host.cpu
        )
    }

    /// The kinds of sensor in the order in which they are asked.
    public static let kinds: [any Sensor.Type] = allSensors.sorted { ($0.rank, $0.name) < ($1.rank, $1.name) }

    /// What stands in the directories that the kinds of sensor watch. A directory that is not there has no entries.
    public static func devices(of host: SensorHost) -> [String: [String]] {
        var entries: [String: [String]] = [:]
        for directory in Set(kinds.flatMap { $0.devices }) {
            do throws(SensorFault) {
                entries[directory] = try SensorText.names(in: host.roots.path(directory))
            } catch {
                entries[directory] = []
            }
        }
        return entries
    }
}
