import FoundationEssentials
import Glibc

/// A machine's kernel files in one text file, `<name>.machine`; the corpus is in `Tests/MetersTests/Machines`.
///
/// It starts with lines of `key: value` and goes on with files; blank lines and lines with `#` before the first file are passed over.
///
///     provenance: recorded | kernel documentation <path> | issue <link> | invented
///     about: what is odd about it
///     options: msr.enabled=yes
///     cover: the names of the meters that must be counted, in order
///     unused: a sensor that must be listed as unused (a line for each)
///     == /proc/cpuinfo
///     content until the next file
///     == /sys/class/powercap/intel-rapl:0 -> ../../devices/virtual/powercap/intel-rapl/intel-rapl:0
///     == /sys/empty/directory/
///     == /some/file !EACCES
///     == /dev/cpu/0/msr registers
///     606 a0e03
///
/// A file with `!` cannot be opened: it has no mode bits, and `faults` has its `errno` for tests that run as root. `registers` holds
/// 64-bit values at offsets, both in hexadecimal, with holes between.
public struct MachineArchive: Sendable, CustomStringConvertible {
    public enum Entry: Hashable, Sendable {
        case file(String)
        case link(to: String)
        case directory
        case fault(Int32)
        case registers([Register])
    }

    public struct Register: Hashable, Sendable {
        public var address: UInt64
        public var value: UInt64

        public init(address: UInt64, value: UInt64) {
            self.address = address
            self.value = value
        }
    }

    public struct Fault: Error, CustomStringConvertible {
        public let description: String
    }

    public let name: String
    public let provenance: String
    public let about: String
    public let options: [String: String]
    public let cover: [String]
    public let unused: [String]
    public let entries: [(path: String, entry: Entry)]

    public var description: String { name }

    /// All machines of a directory, by name.
    public static func all(in directory: String) throws -> [MachineArchive] {
        try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".machine") }.sorted().map {
            try MachineArchive(name: String($0.dropLast(8)), try String(contentsOfFile: "\(directory)/\($0)", encoding: .utf8))
        }
    }

    /// - Throws: `Fault` where a line is not understood, or where it does not say where the machine comes from.
    public init(name: String, _ text: String) throws {
        var keys: [String: [String]] = [:]
        var entries: [(path: String, entry: Entry)] = []
        var lines: [Substring] = []
        var head: Substring?
        func finish() throws {
            guard let head else { return }
            entries.append(try MachineArchive.entry(head, lines, in: name))
            lines = []
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("== ") {
                try finish()
                head = line.dropFirst(3)
            } else if head != nil {
                lines.append(line)
            } else if !line.isEmpty, !line.hasPrefix("#") {
                guard let colon = line.firstIndex(of: ":") else {
                    throw Fault(description: "\(name): expected 'key: value', found '\(line)'")
                }
                keys["\(line[..<colon])", default: []].append(String(line[line.index(after: colon)...].drop { $0 == " " }))
            }
        }
        try finish()
        guard let provenance = keys["provenance"]?.first,
            ["recorded", "kernel documentation ", "issue ", "invented"].contains(where: provenance.hasPrefix)
        else { throw Fault(description: "\(name): expected where it comes from, found \(keys["provenance"] ?? [])") }
        self.name = name
        self.provenance = provenance
        about = keys["about"]?.joined(separator: " ") ?? ""
        cover = (keys["cover"]?.first ?? "").split(separator: " ").map(String.init)
        unused = keys["unused"] ?? []
        var options: [String: String] = [:]
        for option in (keys["options"]?.first ?? "").split(separator: " ") {
            let parts = option.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { options[String(parts[0])] = String(parts[1]) }
        }
        self.options = options
        self.entries = entries
    }

    private static func entry(_ head: Substring, _ lines: [Substring], in name: String) throws -> (path: String, entry: Entry) {
        let words = head.split(separator: " ")
        let path = String(words[0])
        // The line feed before the next file is the content's own.
        let content = (lines.last == "" ? lines.dropLast() : lines[...]).map { $0 + "\n" }.joined()
        if words.count == 3, words[1] == "->" { return (path, .link(to: String(words[2]))) }
        if words.count == 2, words[1].hasPrefix("!") {
            let numbers = ["EACCES": EACCES, "EPERM": EPERM, "EINVAL": EINVAL, "ENODATA": ENODATA, "EIO": EIO, "ENODEV": ENODEV]
            guard let number = numbers[String(words[1].dropFirst())] else {
                throw Fault(description: "\(name): expected one of \(numbers.keys.sorted()), found '\(words[1])'")
            }
            return (path, .fault(number))
        }
        if words.count == 2, words[1] == "registers" {
            let registers = try lines.filter { !$0.isEmpty }.map { line in
                let parts = line.split(separator: " ")
                guard parts.count == 2, let address = UInt64(parts[0], radix: 16), let value = UInt64(parts[1], radix: 16) else {
                    throw Fault(description: "\(name): expected 'address value', found '\(line)'")
                }
                return Register(address: address, value: value)
            }
            return (path, .registers(registers))
        }
        guard words.count == 1 else { throw Fault(description: "\(name): expected a path, found '\(head)'") }
        return (path, path.hasSuffix("/") ? .directory : .file(content))
    }

    /// Makes the files below a directory.
    ///
    /// - Returns: the `errno` of each file that cannot be opened, by its whole path.
    public func unpack(below root: String) throws -> [String: Int32] {
        var faults: [String: Int32] = [:]
        for (path, entry) in entries {
            let full = root + path
            let directory = path.hasSuffix("/") ? full : String(full[..<(full.lastIndex(of: "/") ?? full.endIndex)])
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            switch entry {
            case .directory: break
            case .file(let text): try Data(text.utf8).write(to: URL(filePath: full))
            case .link(let target): try FileManager.default.createSymbolicLink(atPath: full, withDestinationPath: target)
            case .registers(let registers): try MachineArchive.write(registers, to: full)
            case .fault(let number):
                try Data().write(to: URL(filePath: full))
                chmod(full, 0)
                faults[full] = number
            }
        }
        return faults
    }

    /// A sparse file with values of 64 bits at offsets. Written from the last to the first, since AMD's addresses overlap: of the
    /// register before, only the lower bytes matter.
    public static func write(_ registers: [Register], to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Fault(description: "\(path): errno \(errno)") }
        defer { close(descriptor) }
        for (i, register) in registers.enumerated().sorted(by: { $0.element.address > $1.element.address }) {
            var value = register.value.littleEndian
            let next = registers.enumerated().filter { $0.offset != i && $0.element.address > register.address }.map(\.element.address)
                .min()
            let count = min(8, next.map { Int($0 - register.address) } ?? 8)
            guard pwrite(descriptor, &value, count, off_t(register.address)) == count else {
                throw Fault(description: "\(path): errno \(errno)")
            }
        }
    }
}
