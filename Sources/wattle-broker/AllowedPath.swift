/// A file that the broker opens. The list is compiled in: nobody who runs or asks it can add to it.
struct AllowedPath {
    /// A path in which `<n>` stands for a whole number and `<:ids>` for one to three numbers in hexadecimal, each behind a colon.
    /// Neither matches a slash or a dot, so that a pattern matches component by component.
    let pattern: StaticString
    var isWritable = false

    static let standard = [
        AllowedPath(pattern: "/sys/class/powercap/intel-rapl<:ids>/energy_uj"),
        AllowedPath(pattern: "/sys/class/powercap/intel-rapl-mmio<:ids>/energy_uj"),
        AllowedPath(pattern: "/sys/class/hwmon/hwmon<n>/power<n>_input"),
        AllowedPath(pattern: "/sys/class/hwmon/hwmon<n>/power<n>_average"),
        AllowedPath(pattern: "/sys/class/hwmon/hwmon<n>/energy<n>_input"),
    ]
    /// Any register can be read through it, not those of energy only: addresses and settings of the kernel's among them.
    static let msr = AllowedPath(pattern: "/dev/cpu/<n>/msr")
    /// Requests to the BMC are written. Whoever holds it can ask for the power reading, and can also switch the machine off.
    static let ipmi = AllowedPath(pattern: "/dev/ipmi0", isWritable: true)

    func matches(_ path: ArraySlice<UInt8>) -> Bool {
        let pattern = UnsafeBufferPointer(start: pattern.utf8Start, count: pattern.utf8CodeUnitCount)
        var (rest, i) = (path, 0)
        while i < pattern.count {
            if pattern[i] == UInt8(ascii: "<") {
                guard pattern[i + 1] == UInt8(ascii: "n") ? Self.drop(&rest, hexadecimal: false) : Self.dropIDs(&rest) else { return false }
                while pattern[i] != UInt8(ascii: ">") { i += 1 }
            } else if rest.popFirst() != pattern[i] {
                return false
            }
            i += 1
        }
        return rest.isEmpty
    }

    /// One to five digits.
    private static func drop(_ rest: inout ArraySlice<UInt8>, hexadecimal: Bool) -> Bool {
        let digits = rest.prefix { (0x30...0x39).contains($0) || (hexadecimal && (0x61...0x66).contains($0)) }
        rest = rest.dropFirst(digits.count)
        return (1...5).contains(digits.count)
    }

    private static func dropIDs(_ rest: inout ArraySlice<UInt8>) -> Bool {
        var count = 0
        while rest.first == UInt8(ascii: ":") {
            rest = rest.dropFirst()
            guard drop(&rest, hexadecimal: true) else { return false }
            count += 1
        }
        return (1...3).contains(count)
    }
}
