import Glibc
import Logging
import Meters
import Wire

/// What the collector is told of the machine.
enum HostFacts {
    static func gather(_ settings: AgentSettings, _ cpu: CPUInfo, _ identity: MachineIdentity, _ log: Logger) -> WireHostFacts {
        var facts = WireHostFacts()
        facts.agentVersion = AgentProgram.version
        var name = utsname()
        if uname(&name) == 0 {
            facts.arch = text(&name.machine)
            facts.kernel = text(&name.release)
            facts.os = text(&name.sysname)
        }
        do {
            if let bytes = try Disk.read("/etc/os-release"), let pretty = prettyName(String(decoding: bytes, as: UTF8.self)) {
                facts.os = pretty
            }
            facts.memoryBytes = try HostIdentity.memoryBytes(roots: settings.roots)
        } catch {
            log.debug("\(error)")
        }
        facts.cpuModel = cpu.model
        facts.cpus = UInt32(clamping: cpu.cpus)
        facts.gridZone = settings.zone ?? ""
        facts.names = identity.names.filter { $0 != settings.host }
        facts.machineIDSha256 = identity.machineIDSHA256 ?? ""
        facts.pool = settings.pool ?? ""
        return facts
    }

    static func prettyName(_ text: String) -> String? {
        for line in text.split(separator: "\n") where line.hasPrefix("PRETTY_NAME=") {
            return String(line.dropFirst("PRETTY_NAME=".count).filter { $0 != "\"" })
        }
        return nil
    }

    private static func text<T>(_ field: inout T) -> String {
        withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
