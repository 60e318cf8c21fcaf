import Foundation
import HTTPClient
import Postgres
import Synchronization
import TestSupport

/// A machine made of files and the agent on it. Whatever happens to the agent, the test knows what the machine has used.
actor KillHost {
    nonisolated let name: String
    private let scratch: Scratch
    private var machine: FixtureHost
    private var random: RandomSource
    private let arguments: [String]
    private var agent: Program?
    private var isBusy = false
    /// µJ since the agent first looked, by meter.
    private(set) var spent: [String: Int64] = [:]

    nonisolated var spool: String { scratch.path + "/state/spool" }

    init(name: String, in parent: Scratch, url: String, token: String, seed: UInt64) throws {
        self.name = name
        scratch = Scratch(url: parent.url.appendingPathComponent(name))
        try FileManager.default.createDirectory(at: scratch.url, withIntermediateDirectories: true)
        random = RandomSource(seed: seed)
        // Package 0 wraps on its way.
        machine = try FixtureHost(scratch, raw: ["0": FixtureHost.packageRange - 60_000_000, "1": 7, "0:0": 3_000, "1:0": 4_000])
        let file = try scratch.file("token", token)
        chmod(file, 0o600)
        arguments = [
            "run", "--collector", url, "--token-file", file, "--host", name, "--state-dir", scratch.path + "/state", "--socket",
            scratch.path + "/agent.sock", "--batch-interval", "0.3", "--rate", "50", "--zone", "FR", "--root", machine.root, "--proc-root",
            machine.proc,
        ]
    }

    func start() async throws {
        let started = try Program(
            "wattle-agent",
            arguments,
            environment: ["WATTLE_JOB_SOCKET_DIR": scratch.path + "/jobs"],
            in: scratch
        )
        agent = started
        // The first reading is on the disk before the socket is there.
        let socket = scratch.path + "/agent.sock"
        try await patiently("the agent of \(name)", log: { started.errors }) {
            if !started.isRunning { throw Timeout(what: "the agent of \(name), which has stopped", log: started.errors) }
            return LocalSocket.takes(socket)
        }
    }

    func kill(_ signal: Int32 = SIGKILL) async throws {
        agent?.signal(signal)
        _ = try await agent?.wait()
    }

    var log: String { agent?.errors ?? "" }

    /// The machine works for a moment.
    func spend() throws {
        let energy: [String: Int64] = [
            "0": .random(in: 0...3_000_000, using: &random), "1": .random(in: 0...900_000, using: &random),
            "0:0": .random(in: 0...200_000, using: &random), "1:0": .random(in: 0...99_999, using: &random),
        ]
        try machine.spend(energy, busyTicks: 2)
        for (zone, amount) in energy { spent["powercap/intel-rapl:\(zone)", default: 0] += amount }
    }
}

/// Whether something listens on a Unix socket.
enum LocalSocket {
    static func takes(_ path: String) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}

/// A collector on a database that is not its own.
actor KillCollector {
    nonisolated let port: Int
    private let scratch: Scratch
    private let arguments: [String]
    private var program: Program?

    nonisolated var url: String { "http://127.0.0.1:\(port)" }

    init(_ scratch: Scratch, databaseURL: String, arguments: [String] = []) throws {
        self.scratch = scratch
        port = try Collector.freePort()
        self.arguments = ["serve", "--database-url", databaseURL, "--listen", "127.0.0.1:\(port)"] + arguments
    }

    /// Does not wait: the database may be away.
    func launch() throws { program = try Program("wattle-collector", arguments, in: scratch) }

    /// Starts it where it does not run; one that found no database has stopped.
    func start(seconds: Double = 60) async throws {
        try await patiently("the collector", seconds: seconds, log: { self.log }) {
            if program?.isRunning != true { try launch() }
            return await isReady()
        }
    }

    func isReady() async -> Bool {
        do {
            return try await HTTPClient().send(HTTPRequest(url: url + "/readyz", timeout: .seconds(2))).status == 200
        } catch {
            return false
        }
    }

    func kill() async throws {
        program?.signal(SIGKILL)
        _ = try await program?.wait()
    }

    /// As an operator ends it. Returns its exit code and how long it took.
    @discardableResult
    func stop() async throws -> (code: Int32, seconds: Double) {
        guard let program else { return (0, 0) }
        let began = ContinuousClock.now
        program.signal(SIGTERM)
        let code = try await program.wait(seconds: 30).code
        return (code, began.duration(to: .now) / .seconds(1))
    }

    var isRunning: Bool { program?.isRunning == true }
    var log: String { program?.errors ?? "" }
}

/// Made-up hosts that keep the collectors busy with batches of their own, again and again, whatever happens to a run of them.
struct KillLoad {
    let scratch: Scratch
    let url: String
    let token: String

    /// Until the task is cancelled.
    func run() async throws {
        while !Task.isCancelled {
            let program = try Program(
                "wattle-collector",
                [
                    "load", "--url", url, "--hosts", "8", "--knots", "40", "--batches", "200", "--connections", "8", "--rate", "6000",
                    "--seconds", "10", "--format", "json",
                ],
                environment: ["WATTLE_ENROL_TOKEN": token],
                in: scratch,
                log: "load"
            )
            do {
                while program.isRunning { try await Task.sleep(for: .milliseconds(50)) }
                try await Task.sleep(for: .milliseconds(200))
            } catch is CancellationError {
                program.signal(SIGKILL)
                _ = try? await program.wait()  // It was killed: how it ended tells nothing.
            }
        }
    }
}
