public import Energy

/// The host that a kind of sensor looks at, and what it was given to do so.
public struct SensorHost: Sendable {
    public var roots: HostRoots
    public var cpu: CPUInfo
    /// Opens files, with the help of the privileged broker where there is one.
    public var files: any FileOpening
    /// What the operator set, by `<sensor>.<key>`; checked to be known.
    public var options: [String: String]
    /// The time on the same line as that of `Meter.read(at:)`, for sensors that take samples on a thread of their own.
    public var clock: @Sendable () -> Timestamp
    public var powerTable: CPUPowerTable
    /// Power at idle of one package, configured or of the CPU table.
    public var packageIdle: UtilisationModel.Point
    /// Meters of the kinds asked before.
    public var found: [MeterPlace] = []

    public init(
        roots: HostRoots,
        cpu: CPUInfo,
        files: any FileOpening = DirectFiles(),
        options: [String: String] = [:],
        clock: @escaping @Sendable () -> Timestamp,
        powerTable: CPUPowerTable,
        packageIdle: UtilisationModel.Point
    ) {
        self.roots = roots
        self.cpu = cpu
        self.files = files
        self.options = options
        self.clock = clock
        self.powerTable = powerTable
        self.packageIdle = packageIdle
    }

    /// The machine itself, or what stands below other roots.
    ///
    /// - Parameter packageIdle: power of one package at idle as configured; nil for that of the CPU table.
    /// - Throws: `SensorFault` where `/proc` lacks what every Linux has.
    public init(
        roots: HostRoots,
        files: any FileOpening = DirectFiles(),
        options: [String: String] = [:],
        clock: @escaping @Sendable () -> Timestamp,
        powerTable: CPUPowerTable,
        packageIdle: Power? = nil
    ) throws(SensorFault) {
        let cpu = try CPUInfo(roots: roots)
        let match = powerTable.match(cpu)
        self.init(
            roots: roots,
            cpu: cpu,
            files: files,
            options: options,
            clock: clock,
            powerTable: powerTable,
            packageIdle: packageIdle.map { UtilisationModel.Point(low: $0, best: $0, high: $0) }
                ?? match.row?.package.idle
                ?? match.perThread.scaled(by: Double(cpu.cpus) / Double(cpu.packages)).idle
        )
    }

    /// What was set for an option of a sensor, else its standard; nil where there is neither.
    public func option(_ key: String, of sensor: any Sensor.Type) -> String? {
        options["\(sensor.name).\(key)"] ?? sensor.options.first { $0.key == key }?.standard
    }
}
