public import Energy
public import Meters

extension AgentSettings {
    /// The host as these settings show it to the sensors.
    ///
    /// - Parameter clock: the time on the line of the curves.
    /// - Throws: `SensorFault` where `/proc` lacks what every Linux has; `CPUPowerTable.Fault` never with the table that is built in.
    public func sensorHost(clock: @escaping @Sendable () -> Timestamp) throws -> SensorHost {
        try SensorHost(
            roots: roots,
            files: BrokeredFiles(socket: brokerSocket, root: roots.root),
            options: sensorOptions.mapValues(\.value),
            clock: clock,
            powerTable: try CPUPowerTable.builtIn(),
            packageIdle: idleFloor
        )
    }
}
