public import Energy

/// The cumulative CPU time of one cgroup and all below it, those that have gone included.
public struct CgroupCPUTime {
    private let kind: CgroupHierarchy.Kind
    private let file: SensorFile

    /// - Throws: `SensorFault`; `isVanished` where there is no such cgroup.
    public init(directory: String, kind: CgroupHierarchy.Kind) throws(SensorFault) {
        self.kind = kind
        switch kind {
        // usage_usec is the first line; the kernel writes the whole file for any reader, but need not copy it.
        case .unified: file = try SensorFile("\(directory)/cpu.stat", capacity: 128)
        case .cpuacct: file = try SensorFile("\(directory)/cpuacct.usage")
        }
    }

    /// - Throws: `SensorFault`; `isVanished` once the cgroup has been removed.
    public func read() throws(SensorFault) -> Microseconds {
        switch kind {
        case .cpuacct:
            return Microseconds(try file.number() / 1_000)
        case .unified:
            let bytes = try file.bytes()
            var line = 0
            while line < bytes.count {
                if let end = DecimalText.end(of: "usage_usec ", in: bytes, at: line),
                    let (value, _) = DecimalText.number(in: bytes, from: end)
                {
                    return Microseconds(value)
                }
                line = DecimalText.nextLine(in: bytes, after: line)
            }
            throw SensorFault(path: file.path, kind: .malformed(expected: "a line usage_usec N", found: "none"))
        }
    }
}
