import Glibc

/// The model-specific registers of one CPU: `/dev/cpu/N/msr`, where the offset of a read is the register's number.
final class MSRFile: Sendable {
    let path: String
    private let descriptor: Int32

    /// - Throws: `SensorFault` with the `errno` of `open`: ENOENT without the `msr` module, EPERM under kernel lockdown.
    init(cpu: Int, on host: SensorHost) throws(SensorFault) {
        path = host.roots.path("/dev/cpu/\(cpu)/msr")
        descriptor = try host.files.open(path)
    }

    deinit { close(descriptor) }

    /// The register now. Allocates nothing.
    ///
    /// - Throws: `SensorFault`: EIO where the processor or the hypervisor does not have it.
    func value(at address: Int64) throws(SensorFault) -> UInt64 {
        var value: UInt64 = 0
        while true {
            let count = pread(descriptor, &value, 8, off_t(address))
            if count == 8 { return UInt64(littleEndian: value) }
            // The device gives all 8 bytes or none; only a fixture's file can end before a register, which then is not there.
            guard count < 0 else { throw SensorFault(path: "\(path) at \(Self.text(address))", errno: EIO) }
            guard errno == EINTR else { throw SensorFault(path: "\(path) at \(Self.text(address))", errno: errno) }
        }
    }

    static func text(_ address: Int64) -> String { "0x\(String(address, radix: 16))" }
}
