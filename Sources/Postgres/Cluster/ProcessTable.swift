import Glibc

/// What `/proc` tells about other processes.
package enum ProcessTable {
    /// False when there is no such process or only its zombie.
    package static func isRunning(_ pid: Int32) -> Bool {
        // A process that others may not look at still is one.
        guard let state = status(of: pid)?.state else { return kill(pid, 0) == 0 || errno == EPERM }
        return state != "Z" && state != "X"
    }

    /// The process's working directory, nil when it cannot be seen.
    static func workingDirectory(of pid: pid_t) -> String? {
        ClusterFiles.linkTarget("/proc/\(pid)/cwd")
    }

    /// The running processes whose working directory is `directory`.
    static func processes(workingIn directory: String) -> [pid_t] {
        all().filter { workingDirectory(of: $0) == directory && isRunning($0) }
    }

    /// The running processes with `argument` among their arguments.
    static func processes(withArgument argument: String) -> [pid_t] {
        all().filter { arguments(of: $0).contains(argument) && isRunning($0) }
    }

    /// The command line. Postgres' helpers replace theirs by one text, `postgres: checkpointer `.
    static func arguments(of pid: pid_t) -> [String] {
        (ClusterFiles.text(at: "/proc/\(pid)/cmdline") ?? "").split(separator: "\0").map(String.init)
    }

    /// When the process started, in clock ticks since boot; with the number it names one process for good.
    package static func startTime(of pid: Int32) -> UInt64? { status(of: pid)?.startTicks }

    private static func all() -> [pid_t] {
        let own = getpid()
        return ClusterFiles.names(in: "/proc").compactMap { pid_t($0) }.filter { $0 != own }
    }

    private static func status(of pid: pid_t) -> (state: Character, startTicks: UInt64)? {
        // The name, in parentheses, may contain anything, so fields are counted from the last parenthesis: state is the third of all,
        // start time the twenty-second.
        guard let text = ClusterFiles.text(at: "/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let state = fields[0].first, let ticks = UInt64(fields[19]) else { return nil }
        return (state, ticks)
    }
}
