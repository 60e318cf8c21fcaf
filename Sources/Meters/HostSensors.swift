public import Energy

/// Everything measurable that was found on a host.
public struct HostSensors {
    public var meters: [any Meter]
    /// Names of the meters whose sum is the host's energy.
    public var cover: Set<String>
    public var unused: [UnusedSensor]
    /// Things an operator should know, said once.
    public var remarks: [String]
    public var cpu: CPUInfo

    /// Looks at every kind of sensor.
    ///
    /// - Parameters:
    ///   - packageIdle: power of one package at idle as configured; nil for that of the CPU table.
    /// - Throws: `SensorFault` where `/proc` lacks what every Linux has; a sensor that fails is left out and listed instead.
    public static func find(roots: HostRoots, packageIdle: Power? = nil, table: CPUPowerTable) throws(SensorFault) -> HostSensors {
        let cpu = try CPUInfo(roots: roots)
        let match = table.match(cpu)
        let idle: UtilisationModel.Point =
            packageIdle.map { UtilisationModel.Point(low: $0, best: $0, high: $0) }
            ?? match.row?.package.idle
            ?? match.perThread.scaled(by: Double(cpu.cpus) / Double(cpu.packages)).idle
        let powercap = PowercapDiscovery(roots: roots, vendor: cpu.vendor, packageIdle: idle).find()
        var meters: [any Meter] = powercap.meters
        var unused = powercap.notFit
        var remarks: [String] = []
        if !meters.contains(where: { $0.place.zone == .package }) {
            let model = try UtilisationMeter(roots: roots, match: match)
            if !model.isKnownModel { remarks.append(model.basis) }
            meters.append(model)
        } else {
            unused.append(UnusedSensor(name: "model/cpu", reason: "a sensor covers the packages"))
        }
        return HostSensors(
            meters: meters,
            cover: Cover.choose(among: meters.map(\.place)),
            unused: unused,
            remarks: remarks,
            cpu: cpu
        )
    }
}
