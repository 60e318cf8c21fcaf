import Foundation
import Synchronization

/// One of our programs, started for a test and stopped by its process id.
final class Program: Sendable {
    struct Finished: Sendable {
        let code: Int32
        let output: String
        let errors: String
    }

    /// Where the programs are that this build made: beside the test runner.
    static let directory: URL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

    let process: Process
    private let errorsURL: URL
    private let outputURL: URL

    /// Starts a program in the background; what it prints goes to files in `directory`.
    init(_ name: String, _ arguments: [String], environment: [String: String] = [:], in directory: Scratch, log: String? = nil) throws {
        let program = Self.directory.appendingPathComponent(name)
        process = Process()
        // A test runner's threads block signals, a shell's background job ignores them, and both stay so through exec: Python clears it.
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let clear = """
            import os, signal, sys
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(name, signal.SIG_DFL)
            os.execvp(sys.argv[1], sys.argv[1:])
            """
        let executable = FileManager.default.fileExists(atPath: program.path) ? program.path : name
        process.arguments = ["python3", "-c", clear, executable] + arguments
        var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("WATTLE_") }
        variables["HOME"] = directory.path
        variables.merge(environment) { $1 }
        process.environment = variables
        let stem = "\(log ?? name)-\(UUID().uuidString.prefix(8))"
        outputURL = directory.url.appendingPathComponent("\(stem).out")
        errorsURL = directory.url.appendingPathComponent("\(stem).err")
        for url in [outputURL, errorsURL] { try Data().write(to: url) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: outputURL)
        process.standardError = try FileHandle(forWritingTo: errorsURL)
        try process.run()
    }

    /// What it has printed to standard error so far.
    var errors: String { (try? String(contentsOf: errorsURL, encoding: .utf8)) ?? "" }  // A file that is gone is an empty one.
    var output: String { (try? String(contentsOf: outputURL, encoding: .utf8)) ?? "" }

    var isRunning: Bool { process.isRunning }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits for its end; kills it after `seconds`.
    @discardableResult
    func wait(seconds: Double = 60) async throws -> Finished {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while process.isRunning {
            guard .now < deadline else {
                signal(SIGKILL)
                throw Timeout(what: "\(process.arguments ?? []) to end", log: errors)
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        let code = process.terminationReason == .uncaughtSignal ? 128 + process.terminationStatus : process.terminationStatus
        return Finished(code: code, output: output, errors: errors)
    }

    /// Ends it as an operator would, and waits.
    @discardableResult
    func stop() async throws -> Finished {
        signal(SIGTERM)
        return try await wait(seconds: 30)
    }

    /// Runs a program to its end.
    static func run(_ name: String, _ arguments: [String], environment: [String: String] = [:], in directory: Scratch) async throws
        -> Finished
    {
        try await Program(name, arguments, environment: environment, in: directory).wait(seconds: 120)
    }
}

struct Timeout: Error, CustomStringConvertible {
    let what: String
    let log: String
    var description: String { "waited too long for \(what)\n\(log.suffix(2_000))" }
}

/// Asks again until the answer is there.
func eventually<T>(_ what: String, seconds: Double = 30, log: () -> String = { "" }, _ body: () async throws -> T?) async throws -> T {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while true {
        if let value = try await body() { return value }
        guard .now < deadline else { throw Timeout(what: what, log: log()) }
        try await Task.sleep(for: .milliseconds(50))
    }
}

/// A folder for one test.
struct Scratch: Sendable {
    let url: URL
    var path: String { url.path }

    static func with<T>(_ body: (Scratch) async throws -> T) async throws -> T {
        // Short: a socket's path has 107 bytes.
        let url = URL(fileURLWithPath: "/tmp/wt-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        let result: Result<T, any Error>
        do {
            result = .success(try await body(Scratch(url: url)))
        } catch {
            result = .failure(error)
        }
        if case .success = result { try FileManager.default.removeItem(at: url) }
        return try result.get()
    }

    func file(_ name: String, _ text: String) throws -> String {
        let target = url.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        // In place, as the kernel does: an agent that has the file open must see the new text.
        if let handle = FileHandle(forWritingAtPath: target.path) {
            try handle.write(contentsOf: Data(text.utf8))
            try handle.truncate(atOffset: UInt64(text.utf8.count))
            try handle.close()
        } else {
            try text.write(to: target, atomically: false, encoding: .utf8)
        }
        return target.path
    }
}
