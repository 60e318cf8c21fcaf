import Documents
import Energy
import Glibc
import Tracker

/// What a hook at a job's start leaves for the one at its end.
///
/// A file in `RUNNER_TEMP`, `XDG_RUNTIME_DIR` or `/tmp`, for this user only. The job itself may read and change it: it can spoil its own
/// numbers by that, nobody else's.
struct HookNote {
    struct Content {
        var id: String
        var startedAt: Timestamp
        /// CPU time that the cgroup had used at the start.
        var cpuTime: Microseconds?
        var workload: String?
        /// Directory of the cgroup that was made for the job, and the process that was moved there.
        var madeDirectory: String?
        var process: Int32?
    }

    let path: String

    init(_ job: JobEnvironment, environment: (String) -> String? = Settings.variable) {
        path = SpanNote(id: job.name, environment: environment).path + "-hook"
    }

    func write(_ content: Content) -> Bool {
        var fields: [String: JSONValue] = ["id": .string(content.id), "started_us": .integer(content.startedAt.microseconds)]
        if let time = content.cpuTime { fields["cpu_us"] = .integer(time.count) }
        if let workload = content.workload { fields["workload"] = .string(workload) }
        if let directory = content.madeDirectory { fields["made_directory"] = .string(directory) }
        if let process = content.process { fields["process"] = .integer(Int64(process)) }
        let text: String
        // Whole numbers and texts always have a JSON form.
        do { text = try JSONValue.object(fields).text } catch { return false }
        unlink(path)
        // Made anew, never through a link that somebody else put there.
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        writeAll(text + "\n", to: descriptor)
        close(descriptor)
        return true
    }

    /// Nil where there is none, or one that is not this user's.
    func read() -> Content? {
        var information = stat()
        guard lstat(path, &information) == 0, information.st_uid == getuid(), information.st_mode & S_IFMT == S_IFREG,
            let bytes = InputFile.read(path, atMost: 64 << 10)
        else { return nil }
        let value: JSONValue
        do { value = try JSONValue(parsing: bytes) } catch { return nil }
        guard let fields = value.object, let id = fields["id"]?.string, let started = fields["started_us"]?.integer else { return nil }
        return Content(
            id: id,
            startedAt: Timestamp(microseconds: started),
            cpuTime: fields["cpu_us"]?.integer.map { Microseconds($0) },
            workload: fields["workload"]?.string,
            madeDirectory: fields["made_directory"]?.string,
            process: fields["process"]?.integer.flatMap { Int32(exactly: $0) }
        )
    }

    func remove() { unlink(path) }
}
