import Glibc

/// Opens the files of sensors: directly, or with the help of a privileged process.
public protocol FileOpening: Sendable {
    /// A close-on-exec descriptor of a file, opened for reading.
    ///
    /// - Throws: `SensorFault` with the `errno` of `open`.
    func open(_ path: String) throws(SensorFault) -> Int32
}

/// Opens with the rights of this process.
public struct DirectFiles: FileOpening {
    public init() {}

    public func open(_ path: String) throws(SensorFault) -> Int32 {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SensorFault(path: path, errno: errno) }
        return descriptor
    }
}
