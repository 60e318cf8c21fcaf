/// The memory of one cgroup and all below it.
public struct CgroupMemory: Hashable, Sendable {
    private let current: String
    private let peak: String

    /// Nil where the memory of the cgroup is not counted.
    ///
    /// - Parameters:
    ///   - directory: the cgroup's directory in the v2 hierarchy; nil where it is not in there.
    ///   - inMemoryHierarchy: its directory in v1's `memory` hierarchy; nil where there is none.
    public init?(directory: String?, inMemoryHierarchy: String?) {
        if let directory, Self.number("\(directory)/memory.current") != nil {
            (current, peak) = ("\(directory)/memory.current", "\(directory)/memory.peak")
        } else if let directory = inMemoryHierarchy, Self.number("\(directory)/memory.usage_in_bytes") != nil {
            (current, peak) = ("\(directory)/memory.usage_in_bytes", "\(directory)/memory.max_usage_in_bytes")
        } else {
            return nil
        }
    }

    /// Bytes now; nil once the cgroup has been removed.
    public func currentBytes() -> Int64? { Self.number(current) }

    /// The largest number of bytes there has been; nil where the kernel does not keep it (v2 before 5.19).
    public func peakBytes() -> Int64? { Self.number(peak) }

    // Opened for each reading: it is read every 10 s at most, and a descriptor for each cgroup is dear.
    private static func number(_ path: String) -> Int64? {
        CgroupDirectory.withFile(path) { DecimalText.number(in: $0, from: 0)?.value }
    }
}
