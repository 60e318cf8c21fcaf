import CLinux
import Energy
import Glibc

/// A command that runs.
struct ChildProcess: Sendable {
    /// What the kernel counted for the process and the descendants that were waited for.
    struct Ended: Sendable {
        var exit: CommandExit
        var cpuTime: Microseconds
    }

    let pid: pid_t
    let isInCgroup: Bool
    /// Why it is not in the cgroup that was made for it.
    let cgroupFailure: String?

    /// Starts the command within a cgroup where one is given and can be entered; blocks until it runs.
    ///
    /// - Parameter withoutClone3: as if the kernel had no clone3; for tests of the fallback.
    static func start(_ command: Command, in cgroup: RunCgroup?, withoutClone3: Bool = false) throws(CommandError) -> ChildProcess {
        guard !command.arguments.isEmpty else { throw CommandError("no command given", shellCode: 127) }
        var descriptors: [Int32] = []
        defer { for descriptor in descriptors { close(descriptor) } }

        var directory: Int32 = -1
        var procs: [Int32] = []
        var openFailure: String?
        if let cgroup {
            let procsFile = wattle_open(cgroup.directory + "/cgroup.procs", O_WRONLY)
            if procsFile >= 0 {
                procs = [procsFile]
                descriptors.append(procsFile)
            } else {
                openFailure = ErrorNumber(-procsFile).text
            }
            if cgroup.kind == .unified {
                directory = wattle_open(cgroup.directory, O_RDONLY | O_DIRECTORY)
                if directory >= 0 { descriptors.append(directory) }
            }
        }

        var arguments: [UnsafeMutablePointer<CChar>?] = command.arguments.map { bytes in
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
            for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
            copy[bytes.count] = 0
            return copy
        }
        arguments.append(nil)
        let workingDirectory = command.workingDirectory.flatMap { strdup($0) }
        defer {
            for argument in arguments { argument?.deallocate() }
            free(workingDirectory)
        }

        var result = wattle_spawn_result()
        var inExec = false
        let code = arguments.withUnsafeBufferPointer { arguments in
            procs.withUnsafeBufferPointer { procs in
                var request = wattle_spawn_request()
                request.arguments = arguments.baseAddress
                request.environment = UnsafePointer(environ)
                request.working_directory = UnsafePointer(workingDirectory)
                request.cgroup_directory = directory
                request.cgroup_procs = procs.baseAddress
                request.cgroup_procs_count = procs.count
                request.without_clone3 = withoutClone3
                return wattle_spawn(&request, &result, &inExec)
            }
        }
        guard code == 0 else { throw failure(of: command, code, inExec: inExec) }

        let entered = result.entry == WATTLE_CGROUP_CLONE || result.entry == WATTLE_CGROUP_PROCS
        let reason = result.cgroup_errno != 0 ? ErrorNumber(result.cgroup_errno).text : openFailure
        return ChildProcess(
            pid: result.pid,
            isInCgroup: entered,
            cgroupFailure: cgroup == nil || entered ? nil : reason ?? "the cgroup could not be entered"
        )
    }

    /// Waits for its end; blocks.
    func wait() -> Ended {
        var status: Int32 = 0
        var cpuMicroseconds: Int64 = 0
        guard wattle_wait(pid, &status, &cpuMicroseconds) == 0 else {
            // Somebody else in this process took the child's end: nothing is known of it.
            return Ended(exit: .code(1), cpuTime: .zero)
        }
        let exit: CommandExit = wattle_exited(status) ? .code(wattle_exit_status(status)) : .signal(wattle_term_signal(status))
        return Ended(exit: exit, cpuTime: Microseconds(cpuMicroseconds))
    }

    private static func failure(of command: Command, _ code: Int32, inExec: Bool) -> CommandError {
        let name = command.name
        if inExec {
            return code == ENOENT
                ? CommandError("\(name): not found", shellCode: 127)
                : CommandError("\(name): cannot be run: \(ErrorNumber(code).text)", shellCode: 126)
        }
        if let directory = command.workingDirectory {
            return CommandError("\(name): cannot be started in \(directory): \(ErrorNumber(code).text)", shellCode: 126)
        }
        return CommandError("\(name): cannot be started: \(ErrorNumber(code).text)", shellCode: 126)
    }
}

extension rusage {
    /// User and system time together.
    var cpuTime: Microseconds {
        Microseconds(Int64(ru_utime.tv_sec + ru_stime.tv_sec) * 1_000_000 + Int64(ru_utime.tv_usec + ru_stime.tv_usec))
    }
}

/// An `errno`, for messages.
struct ErrorNumber: Sendable, Hashable {
    let number: Int32
    init(_ number: Int32) { self.number = number }

    /// The C library's words; `strerror` is thread-safe in glibc and returns constant text for known numbers.
    var text: String { strerror(number).map { String(cString: $0) } ?? "error \(number)" }
}
