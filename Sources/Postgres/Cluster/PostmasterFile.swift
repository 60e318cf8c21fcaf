/// `postmaster.pid`, which the server writes into its data directory.
struct PostmasterFile: Hashable {
    var pid: Int32
    /// nil in the moment before the server has written it.
    var socketDirectory: String?
    /// `starting`, `ready`, `stopping`.
    var status: String

    /// Lines: pid, data directory, start time, port, socket directory, listen address, shared memory, status.
    init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        // A negative number marks a stand-alone backend (`postgres --single`).
        guard let first = lines.first, let pid = Int32(first.trimmed), pid != 0 else { return nil }
        self.pid = abs(pid)
        socketDirectory = lines.count > 4 && !lines[4].isEmpty ? String(lines[4]) : nil
        status = lines.count > 7 ? String(lines[7].trimmed) : ""
    }

    /// Reads the file of a data directory, nil when there is none.
    static func read(data: String) -> PostmasterFile? {
        ClusterFiles.text(at: data + "/postmaster.pid").flatMap(PostmasterFile.init)
    }

    /// The server of this data directory that runs now. The file alone says little: its process may be gone, a zombie, or by now another
    /// program's.
    static func live(data: String) -> PostmasterFile? {
        guard let file = read(data: data), ProcessTable.isRunning(file.pid) else { return nil }
        guard let directory = ProcessTable.workingDirectory(of: file.pid) else { return file }
        return directory == data ? file : nil
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var text = self
        while text.last?.isWhitespace ?? false { text.removeLast() }
        while text.first?.isWhitespace ?? false { text.removeFirst() }
        return text
    }
}
