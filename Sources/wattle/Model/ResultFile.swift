import Glibc

/// A result's file: whole or not at all, as what stands there may be the only copy of an earlier result.
enum ResultFile {
    /// - Throws: `Failure` with the system's reason.
    static func write(_ text: String, to path: String) throws {
        let part = path + ".part"
        let descriptor = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw fault(path) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                let failure = fault(path)
                close(descriptor)
                unlink(part)
                throw failure
            }
        }
        guard close(descriptor) == 0, rename(part, path) == 0 else {
            let failure = fault(path)
            unlink(part)
            throw failure
        }
    }

    private static func fault(_ path: String) -> Failure {
        Failure.failed("\(path): expected to be able to write it, found: \(String(cString: strerror(errno)))")
    }
}
