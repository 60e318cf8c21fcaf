import CLinux
import Energy
import Glibc

/// A program that was started for what it prints, in a process group of its own so that it can be ended with all it started.
///
/// No shell is between. It reads nothing, inherits no descriptor but its streams, and starts with no signal blocked.
final class ChildProgram {
    /// The reading end of its standard output.
    let output: Int32
    private let process: pid_t
    private var isReaped = false

    /// - Parameter joinsErrors: standard error goes where standard output goes; else where the agent's goes.
    /// - Throws: `SensorFault` where it cannot be started.
    init(_ arguments: [String], joinsErrors: Bool) throws(SensorFault) {
        guard let program = arguments.first else {
            throw SensorFault(path: "exec", kind: .malformed(expected: "a program", found: "no words"))
        }
        var readEnd: Int32 = -1
        var writeEnd: Int32 = -1
        let failed = wattle_pipe(&readEnd, &writeEnd)
        guard failed == 0 else { throw SensorFault(path: program, errno: failed) }
        defer { close(writeEnd) }

        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, writeEnd, STDOUT_FILENO)
        if joinsErrors { posix_spawn_file_actions_adddup2(&actions, writeEnd, STDERR_FILENO) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let words = arguments.map { strdup($0) }
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        let code = posix_spawnp(&process, program, &actions, &attributes, words + [nil], environ)
        guard code == 0 else {
            close(readEnd)
            // Not as a number: a program that is missing is no device that has gone.
            let found = SensorFault.text(of: code)
            throw SensorFault(path: program, kind: .malformed(expected: "a program that can be started", found: found))
        }
        self.process = process
        output = readEnd
    }

    deinit {
        _ = end(within: .zero)
        close(output)
    }

    /// What became of a program: its exit status, 128 + the signal that ended it, or nil where that cannot be told.
    typealias Status = Int32

    /// Lets it end by itself for a time, then asks its group to, then makes it. Returns when it is gone.
    @discardableResult
    func end(within patience: Microseconds) -> Status? {
        guard !isReaped else { return nil }
        isReaped = true
        if let status = reap(for: patience, signal: nil) { return status }
        if let status = reap(for: .milliseconds(500), signal: SIGTERM) { return status }
        return reap(for: nil, signal: SIGKILL)
    }

    /// Until it is reaped its number is nobody else's, so the signal cannot go astray; what it started goes with it.
    private func reap(for patience: Microseconds?, signal: Int32?) -> Status? {
        if let signal { kill(-process, signal) }
        let deadline = patience.map { SensorThread.now() + $0 }
        while true {
            var info = siginfo_t()
            let code = waitid(P_PID, id_t(process), &info, WEXITED | WNOWAIT | (deadline == nil ? 0 : WNOHANG))
            // ECHILD: the agent was started with SIGCHLD ignored, and the kernel has reaped it.
            if code != 0, errno == ECHILD { return -1 }
            if code == 0, info.si_signo == SIGCHLD {
                kill(-process, SIGKILL)
                var status: Int32 = 0
                while waitpid(process, &status, 0) < 0, errno == EINTR {}
                return wattle_exited(status) ? wattle_exit_status(status) : 128 + wattle_term_signal(status)
            }
            guard let deadline else { continue }
            guard SensorThread.now() < deadline else { return nil }
            usleep(5_000)
        }
    }

    /// Runs a program to its end, and gives back the first 64 KiB that it printed, errors included.
    ///
    /// - Throws: `SensorFault`; ETIMEDOUT where it took longer than the limit and was ended.
    static func run(_ arguments: [String], limit: Microseconds) throws(SensorFault) -> (status: Status, output: String) {
        let program = try ChildProgram(arguments, joinsErrors: true)
        let deadline = SensorThread.now() + limit
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4_096)
        while true {
            let left = (deadline - SensorThread.now()).count
            guard left > 0 else {
                program.end(within: .zero)
                throw SensorFault(path: arguments.joined(separator: " "), errno: ETIMEDOUT)
            }
            var one = pollfd(fd: program.output, events: Int16(POLLIN), revents: 0)
            let ready = poll(&one, 1, Int32(clamping: (left + 999) / 1_000))
            if ready < 0, errno != EINTR { throw SensorFault(path: arguments[0], errno: errno) }
            guard ready > 0 else { continue }
            let count = read(program.output, &chunk, chunk.count)
            if count < 0, errno != EINTR { throw SensorFault(path: arguments[0], errno: errno) }
            if count == 0 { break }
            if count > 0, bytes.count < 64 << 10 { bytes += chunk[..<count] }
        }
        let status = program.end(within: max(.zero, deadline - SensorThread.now())) ?? -1
        return (status, String(decoding: bytes.prefix(64 << 10), as: UTF8.self))
    }
}
