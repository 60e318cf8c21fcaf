import CIHistory
import Documents
import Glibc

/// Where an import stands, in a file: written after each batch that the collector acknowledged, gone when the import is done.
struct ImportStateFile: Sendable {
    let path: String
    let subject: ImportSubject

    static func standardPath(of subject: ImportSubject, environment: (String) -> String? = Settings.variable) -> String {
        let base = environment("XDG_STATE_HOME") ?? (environment("HOME") ?? "/tmp") + "/.local/state"
        // FNV-1a: only to make a file name of any text.
        let hash = subject.text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return "\(base)/wattle/import-\(subject.system)-\(String(hash, radix: 16)).json"
    }

    /// Nil where there is none.
    func read() throws -> HistoryPlace? {
        errno = 0
        guard let bytes = InputFile.read(path, atMost: 1 << 20) else {
            guard errno == ENOENT else { throw Failure.failed("\(path): cannot be read: \(String(cString: strerror(errno)))") }
            return nil
        }
        let state: JSONValue
        do {
            state = try JSONValue(parsing: bytes)
        } catch {
            throw Failure.usage("\(path): expected an import's place, found something else; give another --state, or remove it")
        }
        guard let fields = state.object?["place"]?.object else {
            throw Failure.usage("\(path): expected an import's place, found something else; give another --state, or remove it")
        }
        let found = state.object?["import"]?.string
        guard found == subject.text else {
            throw Failure.usage(
                "\(path): expected the place of `\(subject.text)`, found that of `\(found ?? "nothing")`; "
                    + "give another --state, or remove it"
            )
        }
        return HistoryPlace(fields.compactMapValues(\.string))
    }

    /// A new file in place of the old one: whoever is killed leaves one of the two whole.
    func write(_ place: HistoryPlace) throws {
        let text = try JSONValue.object([
            "import": .string(subject.text), "place": .object(place.fields.mapValues { .string($0) }),
        ]).text
        makeDirectories()
        let temporary = "\(path).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw unwritable() }
        var rest = Array("\(text)\n".utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else {
                let error = unwritable()
                close(descriptor)
                unlink(temporary)
                throw error
            }
            if count > 0 { rest = rest.dropFirst(count) }
        }
        close(descriptor)
        guard rename(temporary, path) == 0 else { throw unwritable() }
    }

    func remove() { unlink(path) }

    private func unwritable() -> Failure {
        Failure.failed("\(path): the import's place cannot be written: \(String(cString: strerror(errno))); give another --state")
    }

    /// What stays missing is told by the write that follows.
    private func makeDirectories() {
        var made = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false).dropLast() {
            made += part + "/"
            if made != "/" { mkdir(made, 0o700) }
        }
    }
}
