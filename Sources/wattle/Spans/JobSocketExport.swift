import Glibc
import Tracker

/// Tells the job where its own socket is.
///
/// Under a name of its own, not `WATTLE_SOCKET`: steps that run on the machine itself go on asking the agent, which alone can give their
/// cgroups curves. In a container it is mounted where the agent's socket would be.
enum JobSocketExport {
    static let variable = "WATTLE_JOB_SOCKET"

    static func write(_ path: String, environment: (String) -> String? = Settings.variable) {
        // The agent names its sockets plainly; nothing else may become a line of a script.
        guard isPlain(path) else { return StandardError.write("wattle: the job's socket has a name that cannot be exported\n") }
        guard let file = environment("GITHUB_ENV") else { return StandardOutput.write("export \(variable)='\(path)'\n") }
        let descriptor = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return StandardError.write("wattle: \(file): \(String(cString: strerror(errno)))\n") }
        writeAll("\(variable)=\(path)\n", to: descriptor)
        close(descriptor)
    }

    static func isPlain(_ path: String) -> Bool {
        path.hasPrefix("/")
            && path.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "/._-".utf8.contains(byte)
                }
            }
    }
}
