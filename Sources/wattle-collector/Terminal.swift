import Glibc
import Logging

func printError(_ text: String) {
    let line = Array((text + "\n").utf8)
    var written = 0
    while written < line.count {
        let n = line[written...].withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
        guard n > 0 else { return }
        written += n
    }
}

func leave(withCode code: Int32) -> Never { exit(code) }

func environment() -> [String: String] {
    var result: [String: String] = [:]
    var pointer = environ
    while let entry = pointer.pointee {
        let text = String(cString: entry)
        if let equals = text.firstIndex(of: "=") { result[String(text[..<equals])] = String(text[text.index(after: equals)...]) }
        pointer += 1
    }
    return result
}

/// Logs go to stderr; stdout is for answers.
func makeLogger(level: String?) throws -> Logger {
    var log = Logger(label: "wattle-collector") { StreamLogHandler.standardError(label: $0) }
    guard let level, let known = Logger.Level(rawValue: level) else {
        let expected = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
        throw Failure(code: 2, message: "log_level: expected one of \(expected), found \(level ?? "nothing")")
    }
    log.logLevel = known
    return log
}
