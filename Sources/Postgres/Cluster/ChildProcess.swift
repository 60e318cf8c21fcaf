import Dispatch
import Glibc

/// A program started by this one.
///
/// Whoever starts a child must wait for it, or it stays as a zombie; here a queue of its own does that.
final class ChildProcess: Sendable {
    /// How a process ended.
    enum End: Hashable, Sendable, CustomStringConvertible {
        case exit(Int32)
        case signal(Int32)

        init(waitStatus: Int32) {
            // WIFEXITED and its like are macros that Swift cannot see: the low 7 bits are the signal, the byte above the exit status.
            let signal = waitStatus & 0x7F
            self = signal == 0 ? .exit((waitStatus >> 8) & 0xFF) : .signal(signal)
        }

        var description: String {
            switch self {
            case .exit(let status): "exit status \(status)"
            case .signal(let number): "signal \(number)"
            }
        }
    }

    /// Where output goes.
    enum Output {
        case discard
        /// A new file, both output and errors.
        case file(String)
        /// An open descriptor of this process, both output and errors.
        case descriptor(Int32)
    }

    let pid: pid_t
    private let finished = Locked<End?>(nil)

    private init(pid: pid_t) {
        self.pid = pid
        DispatchQueue(label: "child-\(pid)").async { self.awaitEnd() }
    }

    /// How it ended, nil while it runs.
    var end: End? { finished.withLock { $0 } }

    /// Sends a signal, unless the process has ended: then its number may be another's by now.
    func send(_ signal: Int32) {
        finished.withLock { if $0 == nil { kill(pid, signal) } }
    }

    private func awaitEnd() {
        // First see the end without taking it, then take it under the lock, so that `send` never hits a number that is free already.
        var info = siginfo_t()
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
        finished.withLock { finished in
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            finished = End(waitStatus: status)
        }
    }

    /// Starts a program.
    ///
    /// It gets a small fixed environment, `/` as its directory, no open files but the standard ones, and default signal handling.
    ///
    /// - Parameters:
    ///   - account: run as this user, through `setpriv`, which replaces itself by the program; only root can. nil: as this process.
    ///   - ownSession: in a session of its own, so that Ctrl-C at the terminal does not reach it.
    static func start(
        _ program: String,
        _ arguments: [String],
        as account: ServerAccount?,
        output: Output,
        ownSession: Bool = false
    ) throws(PostgresError) -> ChildProcess {
        // The server's user may not be able to enter this program's directory, and posix_spawn has no portable way to change it.
        var command = ["/usr/bin/env", "-C", "/"]
        if let account {
            command += ["setpriv", "--reuid=\(account.userID)", "--regid=\(account.groupID)", "--init-groups", "--no-new-privs", "--"]
        }
        command += [program] + arguments
        let environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"]

        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        switch output {
        case .discard: posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        case .file(let path): posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
        case .descriptor(let descriptor): posix_spawn_file_actions_adddup2(&actions, descriptor, 1)
        }
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        for descriptor in inheritedDescriptors() { posix_spawn_file_actions_addclose(&actions, descriptor) }

        // A host program may ignore SIGTERM or block signals; the child must not inherit that.
        var allSignals = sigset_t()
        var noSignals = sigset_t()
        sigfillset(&allSignals)
        sigemptyset(&noSignals)
        posix_spawnattr_setsigdefault(&attributes, &allSignals)
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        // POSIX_SPAWN_SETSID, part of glibc's ABI since 2.26, is behind _GNU_SOURCE, which Swift does not set.
        let setSession: Int16 = 0x80
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK) | (ownSession ? setSession : 0)
        )

        var pid: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for copy in arguments + variables { free(copy) } }
        let failure = posix_spawn(&pid, command[0], &actions, &attributes, &arguments, &variables)
        guard failure == 0 else {
            throw PostgresError(.cluster, "\(program) could not be started: \(String(cString: strerror(failure)))")
        }
        return ChildProcess(pid: pid)
    }

    /// Runs a program to its end and returns what it printed, at most a megabyte of it.
    static func run(
        _ program: String,
        _ arguments: [String],
        as account: ServerAccount?
    ) throws(PostgresError) -> (end: End, output: String) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw PostgresError(.cluster, "no pipe to read from \(program): \(String(cString: strerror(errno)))")
        }
        defer { close(ends[0]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let child: ChildProcess
        do {
            defer { close(ends[1]) }
            child = try start(program, arguments, as: account, output: .descriptor(ends[1]))
        }
        var output: [UInt8] = []
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
            while true {
                let count = read(ends[0], buffer.baseAddress, buffer.count)
                if count < 0 && errno == EINTR { continue }
                if count <= 0 { return }
                if output.count < 1 << 20 { output.append(contentsOf: buffer[..<count]) }
            }
        }
        while true {
            if let end = child.end { return (end, String(decoding: output, as: UTF8.self)) }
            usleep(1000)
        }
    }

    /// Descriptors that a child would inherit.
    private static func inheritedDescriptors() -> [Int32] {
        ClusterFiles.names(in: "/proc/self/fd").compactMap { Int32($0) }.filter { descriptor in
            guard descriptor > 2 else { return false }
            let flags = fcntl(descriptor, F_GETFD)
            return flags >= 0 && flags & FD_CLOEXEC == 0
        }
    }
}
