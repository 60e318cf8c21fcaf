/// The process below which a CI job's work runs, found from a hook that the runner calls.
public enum JobProcess {
    /// GitHub's runner has a worker for each job, which calls the hooks: all steps are its descendants. GitLab's runner calls the hook in
    /// the shell that runs the job's script.
    ///
    /// - Parameter parent: the hook's own parent.
    /// - Returns: nil where there is no such process: one that serves other jobs too is none.
    public static func find(_ system: JobEnvironment.System, parent: Int32) -> Int32? {
        switch system {
        case .gitlab: return parent > 1 ? parent : nil
        case .github:
            var pid = parent
            for _ in 0..<16 where pid > 1 {
                guard let stat = SmallFile.read("/proc/\(pid)/stat"), let (name, above) = nameAndParent(stat) else { return nil }
                if name == "Runner.Worker" { return pid }
                pid = above
            }
            return nil
        }
    }

    /// Of `/proc/PID/stat`: the name stands in parentheses and may hold any character.
    static func nameAndParent(_ stat: String) -> (name: String, parent: Int32)? {
        guard let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")"), open < close else { return nil }
        let fields = stat[stat.index(after: close)...].split(separator: " ")
        guard fields.count > 1, let parent = Int32(fields[1]) else { return nil }
        return (String(stat[stat.index(after: open)..<close]), parent)
    }
}
