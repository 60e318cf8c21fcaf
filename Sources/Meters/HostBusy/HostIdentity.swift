/// The boot and the memory of a host.
public enum HostIdentity {
    /// The random id of this boot, `/proc/sys/kernel/random/boot_id`, in lower case.
    public static func bootID(roots: HostRoots) throws(SensorFault) -> String {
        let path = "\(roots.proc)/sys/kernel/random/boot_id"
        let id = try SensorText.word(path).lowercased()
        guard !id.isEmpty, id.utf8.count <= 64,
            id.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2D })
        else {
            throw SensorFault(path: path, kind: .malformed(expected: "an id of letters, digits and hyphens", found: "'\(id.prefix(40))'"))
        }
        return id
    }

    /// `MemTotal` of `/proc/meminfo`, in bytes.
    public static func memoryBytes(roots: HostRoots) throws(SensorFault) -> UInt64 {
        let path = "\(roots.proc)/meminfo"
        for line in try SensorText.read(path).split(separator: "\n") where line.hasPrefix("MemTotal:") {
            let digits = line.drop { !$0.isNumber }.prefix { $0.isNumber }
            if let kibibytes = UInt64(digits), kibibytes < 1 << 50 { return kibibytes * 1_024 }
        }
        throw SensorFault(path: path, kind: .malformed(expected: "a line MemTotal: N kB", found: "none"))
    }
}
