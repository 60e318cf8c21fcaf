import Glibc
public import Meters

/// By what a machine is told apart from others and found by: what it is called, and a hash of its id.
public struct MachineIdentity: Hashable, Sendable {
    /// The kernel's name for the host.
    public let hostName: String
    /// All names: the host's, that in `/etc/hostname`, the full name in `/etc/hosts`. The network is not asked: nobody configured that.
    public let names: [String]
    /// Hex of SHA-256 of `wattle:` and the machine's id, so that the id itself stays here; nil where the machine has none.
    public let machineIDSHA256: String?

    /// Reads a few small files.
    public init(roots: HostRoots) {
        let kernel = Self.word("\(roots.proc)/sys/kernel/hostname") ?? "localhost"
        hostName = kernel
        var names = [kernel]
        if let name = Self.word("\(roots.root)/etc/hostname") { names.append(name) }
        let hosts = Self.text("\(roots.root)/etc/hosts") ?? ""
        names += Self.fullNames(hosts, of: names)
        var known: Set<String> = ["localhost", "localhost.localdomain", "(none)", ""]
        self.names = names.filter { $0.utf8.count <= 255 && known.insert($0).inserted }
        machineIDSHA256 = Self.word("\(roots.root)/etc/machine-id").flatMap(Self.hash)
    }

    /// Nil for what is no machine id: systemd writes `uninitialized` into images.
    static func hash(_ machineID: String) -> String? {
        guard machineID.utf8.count == 32, machineID.utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) }) else { return nil }
        return SHA256.hex(Array("wattle:\(machineID)".utf8))
    }

    /// Names with a dot on the lines of `/etc/hosts` that also have one of the short names.
    static func fullNames(_ hosts: String, of names: [String]) -> [String] {
        hosts.split(whereSeparator: \.isNewline).flatMap { line -> [String] in
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).dropFirst().map(String.init)
            guard words.contains(where: { word in names.contains { word == $0 || word.hasPrefix("\($0).") } }) else { return [] }
            return words.filter { word in
                word.contains(".") && names.contains { word == $0 || word.hasPrefix("\($0.prefix { $0 != "." }).") }
            }
        }
    }

    private static func word(_ path: String) -> String? { text(path)?.split(whereSeparator: \.isWhitespace).first.map(String.init) }

    /// Nil for a file that is not there, not readable or no such file: then there is one name less. Files of `/proc` have no size.
    private static func text(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        do throws(DiskFault) {
            return String(decoding: try Disk.read(descriptor, path: path, offset: 0, count: 64 << 10), as: UTF8.self)
        } catch {
            return nil
        }
    }
}
