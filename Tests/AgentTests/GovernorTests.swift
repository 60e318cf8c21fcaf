import Energy
import Foundation
import Glibc
import Logging
import Synchronization
import Testing

@testable import Agent

/// The carbon-ops governor's protocol, spoken as its shipped client speaks it.
struct GovernorTests {
    private static func reading(_ seconds: Double, _ totals: [(String, Int64)]) -> GovernorReading {
        var snapshot = HostSnapshot(time: Timestamp(microseconds: Int64(seconds * 1e6)), busy: 0, agentCPU: 0, cpus: 1)
        snapshot.meters = totals.map { ("powercap/\($0.0)", $0.1) } + [("powercap/intel-rapl:0:0", 999)]
        return GovernorReading(
            snapshot,
            cover: totals.map { MeterPlace(name: "powercap/\($0.0)", zone: .package, package: 0, quality: .measured) }
        )
    }

    private struct Line: Decodable {
        var status: String
        var timestamp: Double?
        var deltas_uj: [String: Int64]?
        var totals_uj: [String: Int64]?
        var counters_uj: [String: Int64]?
    }

    private static func decoded(_ line: [UInt8]) throws -> Line { try JSONDecoder().decode(Line.self, from: Data(line)) }

    @Test func theAnswerHasBothNamesOfTheCountsAndOnlyTheCover() throws {
        var answers = GovernorAnswer(trusted: [0])
        let line = answers.line(Self.reading(1_795_225_428.220933, [("intel-rapl:0", 5)]), to: 0)
        let expected =
            #"{"status":"ok","timestamp":1795225428.220933,"deltas_uj":{"package-0:intel-rapl:0":0},"#
            + #""totals_uj":{"package-0:intel-rapl:0":5},"counters_uj":{"package-0:intel-rapl:0":5}}"#
        #expect(String(decoding: line, as: UTF8.self) == expected + "\n")
    }

    @Test func beforeTheFirstReadingItWarmsUp() {
        var answers = GovernorAnswer(trusted: [0])
        #expect(answers.line(nil, to: 0) == Array("{\"status\":\"warming_up\"}\n".utf8))
        #expect(answers.line(Self.reading(1, []), to: 0) == Array("{\"status\":\"warming_up\"}\n".utf8))
    }

    @Test func zonesHaveTheGovernorsNames() {
        func name(_ meter: String, _ zone: Zone, _ package: Int?, die: Int? = nil) -> String {
            GovernorReading.domain(of: MeterPlace(name: meter, zone: zone, package: package, die: die, quality: .measured))
        }
        #expect(name("powercap/intel-rapl:0", .package, 0) == "package-0:intel-rapl:0")
        #expect(name("powercap/intel-rapl:3", .package, 1, die: 1) == "package-1-die-1:intel-rapl:3")
        #expect(name("powercap/intel-rapl:0:1", .dram, 0) == "dram:intel-rapl:0:1")
        #expect(name("powercap/intel-rapl:1", .psys, nil) == "psys:intel-rapl:1")
        #expect(name("odd\"na\\me\n", .psys, nil) == "psys:oddname")
    }

    @Test func theDeltasOfAUserAddUpWhoeverElseAsks() throws {
        var answers = GovernorAnswer(trusted: [0])
        var sum: Int64 = 0
        for (i, total) in [Int64(100), 350, 350, 1_000].enumerated() {
            let at = Self.reading(Double(i) * 2, [("intel-rapl:0", total)])
            sum += try #require(try Self.decoded(answers.line(at, to: 1_000)).deltas_uj?.values.first)
            _ = answers.line(at, to: 1_001)
        }
        #expect(sum == 900)
    }

    @Test func othersThanRootSeeNewFiguresOnceASecond() throws {
        var answers = GovernorAnswer(trusted: [0])
        func total(_ seconds: Double, _ energy: Int64, _ uid: UInt32) throws -> Int64? {
            try Self.decoded(answers.line(Self.reading(seconds, [("intel-rapl:0", energy)]), to: uid)).totals_uj?.values.first
        }
        #expect(try total(10, 1, 7) == 1)
        #expect(try total(10.999, 2, 7) == 1)
        #expect(try total(10.999, 2, 0) == 2)
        #expect(try total(11, 3, 7) == 3)
        #expect(try total(11.5, 4, 0) == 4)
    }

    // MARK: Over a socket

    private final class Outcome: Sendable {
        private let value = Mutex<String?>(nil)
        var text: String? { value.withLock { $0 } }
        func set(_ text: String) { value.withLock { $0 = text } }
    }

    private func withGovernor(_ body: @escaping @Sendable (_ path: String) throws -> Void) async throws {
        let host = try FixtureHost()
        let path = host.root + "/governor.sock"
        let count = Mutex<Int64>(0)
        let governor = GovernorSocket(
            listening: ListeningSocket(path: path, group: "no-such-group", mode: 0o600),
            read: {
                count.withLock {
                    $0 += 1_000
                    return Self.reading(Double($0), [("intel-rapl:0", $0), ("intel-rapl:1", 7)])
                }
            },
            log: Logger(label: "test")
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await governor.run() }
            group.addTask {
                let outcome = Outcome()
                try await OwnThread.run("client") {
                    do { try body(path) } catch { outcome.set("\(error)") }
                }
                if let failure = outcome.text { Issue.record("\(failure)") }
            }
            try await group.next()
            group.cancelAll()
        }
        #expect(access(path, F_OK) != 0)
    }

    /// What comes until the other side ends; the descriptor stays open.
    private static func receive(_ descriptor: Int32, untilLine: Bool) -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return all }
            all += buffer[..<count]
            if untilLine, buffer[..<count].contains(0x0A) { return all }
        }
    }

    @Test func theShippedClientsBytesAreAnsweredEveryTime() async throws {
        try await withGovernor { path in
            var last: Int64 = 0
            for i in 0..<500 {
                let client = try RawClient(path)
                // The request may come before, while or after the answer is sent.
                if i % 3 == 0 { usleep(2_000) }
                #expect(client.send("{}\n") == 3, "broken pipe at \(i)")
                let line = try Self.decoded(Self.receive(client.descriptor, untilLine: true))
                let total = try #require(line.counters_uj?.values.reduce(0, +))
                #expect(line.status == "ok" && total > last)
                last = total
            }
        }
    }

    @Test func aSilentClientIsAnsweredAndALoudOneIsHeardOut() async throws {
        try await withGovernor { path in
            let silent = try RawClient(path)
            #expect(try Self.decoded(Self.receive(silent.descriptor, untilLine: false)).status == "ok")
            let loud = try RawClient(path)
            #expect(loud.send(String(repeating: "x", count: 30_000)) == 30_000)
            #expect(try Self.decoded(Self.receive(loud.descriptor, untilLine: false)).status == "ok")
            #expect(loud.send("more") == 4)
        }
    }

    @Test func clientsThatNeverHangUpAreLeft() async throws {
        try await withGovernor { path in
            let lazy = try (0..<GovernorSocket.mostClients).map { _ in try RawClient(path) }
            for client in lazy { _ = Self.receive(client.descriptor, untilLine: false) }
            let next = try RawClient(path)
            #expect(try Self.decoded(Self.receive(next.descriptor, untilLine: true)).status == "ok")
            #expect(lazy.count == GovernorSocket.mostClients)
        }
    }

    @Test func theSocketHasTheModeThatIsConfigured() async throws {
        try await withGovernor { path in
            _ = try RawClient(path)
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        }
    }

    /// A Python with the carbon-ops package, to run its own client.
    static let python = ProcessInfo.processInfo.environment["WATTLE_CARBON_OPS_PYTHON"]

    @Test(.enabled(if: python != nil, "needs WATTLE_CARBON_OPS_PYTHON: a Python of 3.12 or later with carbon-ops 0.1.1"))
    func theRealClientReadsTheTrueTotal() async throws {
        try await withGovernor { path in
            let program = """
                import sys
                from pathlib import Path
                from carbon_ops.governor.client import GovernorClient
                last = 0
                for i in range(100):
                    now = GovernorClient(Path(sys.argv[1])).snapshot()
                    assert set(now.counters_uj) == {"package-0:intel-rapl:0", "package-0:intel-rapl:1"}, now
                    assert now.total_energy_uj > last, now
                    last = now.total_energy_uj
                print(last)
                """
            let process = Process()
            process.executableURL = URL(fileURLWithPath: try #require(Self.python))
            process.arguments = ["-c", program, path]
            let pipe = Pipe()
            process.standardOutput = pipe
            try process.run()
            let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 0 && output == "100007\n")
        }
    }
}

/// A connected descriptor that blocks.
final class RawClient {
    let descriptor: Int32

    /// Tries for two seconds: the server may be about to start.
    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        for _ in 0..<200 {
            let code = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            if code == 0 { return }
            usleep(10_000)
        }
        throw DiskFault(path: path, doing: "connect")
    }

    deinit { close(descriptor) }

    func send(_ text: String) -> Int {
        let bytes = Array(text.utf8)
        return Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
}
