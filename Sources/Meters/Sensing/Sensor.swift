/// One kind of sensor: powercap, hwmon, a model...
///
/// Each has a folder of its own beside this one, with a `<Folder>Sensor.swift` that declares `<Folder>Sensor`. The build lists them;
/// nothing else need be changed to add one. `docs/add-a-sensor.md` shows how.
public protocol Sensor: SendableMetatype {
    /// As configuration, curves and reports call it: `powercap`. Lower case, unique.
    static var name: String { get }
    /// What an operator can set, as `<name>.<key>` in a file and with `--set`.
    static var options: [SensorOption] { get }
    /// Kinds are asked in the order of their ranks, those of one rank by name: a model comes after the sensors it stands in for.
    static var rank: Int { get }
    /// Directories whose entries tell that devices of this kind came or went, as absolute paths of the machine: looked at every few
    /// seconds.
    static var devices: [String] { get }

    /// Looks at what is there now. Called at start and again while the agent runs: devices come and go.
    ///
    /// It may read many files and take its time, but not write, start programs that were not configured, or open connections.
    static func find(on host: SensorHost) -> SensorFindings
}

extension Sensor {
    public static var options: [SensorOption] { [] }
    public static var rank: Int { 0 }
    public static var devices: [String] { [] }
}

/// Something an operator can set for one kind of sensor.
public struct SensorOption: Hashable, Sendable {
    public var key: String
    /// One line for people, with the values it takes.
    public var help: String
    /// Stands for an absent one; nil where there is none.
    public var standard: String?

    public init(_ key: String, help: String, standard: String? = nil) {
        self.key = key
        self.help = help
        self.standard = standard
    }
}

/// What a kind of sensor found on a host.
public struct SensorFindings {
    public var meters: [any Meter]
    public var unused: [UnusedSensor]
    /// Things an operator should know, said once.
    public var remarks: [String]

    public init(meters: [any Meter] = [], unused: [UnusedSensor] = [], remarks: [String] = []) {
        self.meters = meters
        self.unused = unused
        self.remarks = remarks
    }
}
