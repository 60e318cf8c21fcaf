import Energy
import FoundationEssentials
import Glibc
import Logging
import Meters
import Synchronization
import Testing

@testable import Agent

/// Sockets that tell one job of its own energy.
struct JobSocketTests {
    private final class Machine: Sendable {
        let host: FixtureHost
        let path: String
        let sampling: SharedSampling
        let jobs: JobSockets
        let directory: String

        init(_ limits: JobSockets.Limits) throws {
            host = try FixtureHost()
            try host.addPackage()
            for cgroup in ["/a", "/b"] { try host.setCgroup(cgroup, usage: 5) }
            path = host.root + "/agent.sock"
            // A socket's path is short; the fixture's root may not be.
            directory = "/tmp/wj-\(String(UInt64.random(in: 0 ... .max), radix: 16))"
            sampling = SharedSampling(try host.sampling(clock: .now()))
            jobs = try JobSockets(
                directory: directory,
                limits: limits,
                proc: host.roots.proc,
                sampling: sampling,
                context: Self.context,
                log: Logger(label: "test")
            )
        }

        static let context = SocketAnswer.Context(host: "h", bootID: "boot-a", gridZone: nil, hasCollector: false)

        deinit { rmdir(directory) }

        /// The span's start, and the path of its socket.
        func open(_ key: String, _ cgroup: String?) throws -> String {
            let client = try LineClient(path)
            let place = cgroup.map { #","cgroup":"\#($0)""# } ?? ""
            _ = try client.ask(#"{"op":"span","phase":"start","key":"\#(key)"\#(place)}"#)
            let reply = try client.ask(#"{"op":"job_socket","key":"\#(key)"}"#)
            guard let socket = reply.socket else { throw DiskFault(path: path, reason: reply.error ?? "no socket") }
            return socket
        }
    }

    private func withMachine(
        limits: JobSockets.Limits = .init(),
        trusted: Set<UInt32> = [0, geteuid()],
        _ body: @escaping @Sendable (Machine) throws -> Void
    ) async throws {
        let machine = try Machine(limits)
        let socket = LocalSocket(
            path: machine.path,
            group: "no-such-group",
            trusted: trusted,
            proc: machine.host.roots.proc,
            sampling: machine.sampling,
            context: Machine.context,
            sealNow: Doorbell(),
            jobs: machine.jobs,
            log: Logger(label: "test")
        )
        let failure = Failure()
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await socket.run()
                return false
            }
            group.addTask {
                try await machine.jobs.run()
                return false
            }
            group.addTask {
                try await OwnThread.run("client") {
                    do { try body(machine) } catch { failure.set("\(error)") }
                }
                return true
            }
            while let isBody = try await group.next(), !isBody {}
            group.cancelAll()
        }
        if let text = failure.text { Issue.record("\(text)") }
        // Nothing is left where the agent ends.
        if access(machine.directory, F_OK) == 0 { #expect(try Disk.names(in: machine.directory) == []) }
    }

    private final class Failure: Sendable {
        private let value = Mutex<String?>(nil)
        var text: String? { value.withLock { $0 } }
        func set(_ text: String) { value.withLock { $0 = text } }
    }

    @Test func aJobIsToldOfItsOwnEnergyAndOfNoOthers() async throws {
        try await withMachine { machine in
            let a = try machine.open("a", "/a")
            let b = try machine.open("b", "/b")
            #expect(a != b)
            for path in [a, b] { #expect(try LineClient(path).ask(#"{"op":"snapshot"}"#).components_uj == ["cpu": 0]) }
            usleep(1_050_000)
            // A second of CPU time, three quarters of it the first job's, and far more energy than an idle machine's.
            try machine.host.setEnergy(4_000_000_000)
            try machine.host.setBusy(ticks: 100)
            try machine.host.setCgroup("/a", usage: 750_005)
            try machine.host.setCgroup("/b", usage: 250_005)
            let first = try LineClient(a).ask(#"{"op":"snapshot"}"#)
            let second = try LineClient(b).ask(#"{"op":"snapshot"}"#)
            let energies = (Double(first.components_uj?["cpu"] ?? 0), Double(second.components_uj?["cpu"] ?? 0))
            #expect(energies.1 > 500_000_000)
            #expect(abs(energies.0 / energies.1 - 3) < 0.01, "\(energies)")
            #expect(first.cpu_time_us == 750_000 && first.cpu_busy_us == 750_000)
            // No meter, nobody else's idling.
            #expect(first.uj == [:] && first.p_idle_uw == ["cpu": 0] && first.host == "h")
            usleep(1_050_000)
            // The second works on, which the first is told nothing of.
            try machine.host.setEnergy(8_000_000_000)
            try machine.host.setBusy(ticks: 200)
            try machine.host.setCgroup("/b", usage: 1_250_005)
            let later = try LineClient(a).ask(#"{"op":"snapshot"}"#)
            #expect(later.components_uj == first.components_uj && later.cpu_time_us == first.cpu_time_us)
        }
    }

    @Test func theFigureChangesOnceASecondAndAShortSpanIsOnlyInTheTotal() async throws {
        try await withMachine { machine in
            let client = try LineClient(try machine.open("a", "/a"))
            let first = try client.ask(#"{"op":"span","phase":"start","key":"step"}"#)
            usleep(150_000)
            try machine.host.setEnergy(4_000_000_000)
            try machine.host.setBusy(ticks: 100)
            try machine.host.setCgroup("/a", usage: 1_000_005)
            let short = try client.ask(#"{"op":"span","phase":"finish","key":"step"}"#)
            #expect(short.held_since_us == first.t_us && short.span_uj == nil && short.components_uj == ["cpu": 0])
            // Nor by another connection.
            #expect(try LineClient(machine.open("a", "/a")).ask(#"{"op":"snapshot"}"#).components_uj == ["cpu": 0])
            usleep(1_050_000)
            let later = try client.ask(#"{"op":"snapshot"}"#)
            #expect((later.components_uj?["cpu"] ?? 0) > 3_000_000_000)
            #expect(later.running_uj == later.components_uj)
            // A span of more than a second is told its own.
            usleep(1_050_000)
            _ = try client.ask(#"{"op":"span","phase":"start","key":"long"}"#)
            usleep(1_150_000)
            try machine.host.setEnergy(5_000_000_000)
            try machine.host.setBusy(ticks: 200)
            try machine.host.setCgroup("/a", usage: 2_000_005)
            let long = try client.ask(#"{"op":"span","phase":"finish","key":"long"}"#)
            #expect(long.held_since_us == nil && (long.span_uj?["cpu"] ?? 0) > 500_000_000)
        }
    }

    @Test func aHostileJobCannotNameOtherCgroupsNorAskForAnythingElse() async throws {
        try await withMachine { machine in
            let client = try LineClient(try machine.open("a", "/a"))
            try machine.host.setCgroup("/b", usage: 900_000)
            for line in [
                #"{"op":"span","phase":"start","key":"x","cgroup":"/b"}"#,
                #"{"op":"span","phase":"start","key":"x","cgroup_dir":"\#(machine.host.root)/cgroup/b","own_cgroup":true}"#,
                #"{"op":"span","phase":"start","key":"a","cgroup":"/b"}"#, #"{"op":"span","phase":"finish","key":"a","cgroup":"/b"}"#,
            ] {
                let reply = try client.ask(line)
                #expect(reply.ok && reply.cpu_time_us == nil && reply.cgroup == nil, "\(line)")
            }
            // The agent's own spans are as they were, and the job's with them.
            #expect(machine.sampling.withLock { $0.workloads.spans } == ["a"])
            for line in [
                #"{"op":"status"}"#, #"{"op":"job_socket","key":"a"}"#, #"{"op":"explode"}"#, "", "nonsense",
                #"{"op":"span","phase":"start","key":""}"#,
            ] {
                let reply = try client.ask(line)
                #expect(!reply.ok && reply.error?.contains("expected") == true, "\(line)")
            }
            try client.send(String(repeating: "x", count: 5_000))
            #expect(try client.receive() == nil)
        }
    }

    @Test func aContainerThatAsksIsCountedWithItsJob() async throws {
        try await withMachine { machine in
            let container = "/system.slice/docker-\(String(repeating: "5e", count: 32)).scope"
            try machine.host.setCgroup(container, usage: 100)
            let job = try LineClient(try machine.open("a", "/a"))
            try machine.host.write("/proc/\(getpid())/cgroup", "0::\(container)\n")
            _ = try job.ask(#"{"op":"snapshot"}"#)
            try machine.host.setBusy(ticks: 100)
            try machine.host.setCgroup(container, usage: 700_100)
            usleep(150_000)
            #expect(try job.ask(#"{"op":"snapshot"}"#).cpu_time_us == 700_000)
            // It is this job's now: another that asks from it gets nothing of it.
            let other = try LineClient(try machine.open("b", "/b"))
            _ = try other.ask(#"{"op":"snapshot"}"#)
            try machine.host.setCgroup(container, usage: 900_100)
            usleep(150_000)
            #expect(try other.ask(#"{"op":"snapshot"}"#).cpu_time_us == 0)
        }
    }

    @Test func itGoesWithItsSpanAndWithItsCgroup() async throws {
        try await withMachine(limits: JobSockets.Limits(look: .milliseconds(100))) { machine in
            let a = try machine.open("a", "/a")
            let b = try machine.open("b", "/b")
            var status = stat()
            #expect(stat(a, &status) == 0 && status.st_mode & 0o777 == 0o666)
            #expect(stat(machine.directory, &status) == 0 && status.st_mode & 0o777 == 0o711)
            #expect(try machine.open("a", "/a") == a)
            let client = try LineClient(a)
            _ = try LineClient(machine.path).ask(#"{"op":"span","phase":"finish","key":"a"}"#)
            #expect(access(a, F_OK) != 0)
            #expect(try client.receive() == nil)
            try machine.host.removeCgroup("/b")
            for _ in 0..<50 where access(b, F_OK) == 0 { usleep(20_000) }
            #expect(access(b, F_OK) != 0)
        }
    }

    @Test func itIsClosedWhenItsTimeIsOver() async throws {
        try await withMachine(limits: JobSockets.Limits(longest: .milliseconds(300), look: .milliseconds(50))) { machine in
            let a = try machine.open("a", "/a")
            for _ in 0..<100 where access(a, F_OK) == 0 { usleep(20_000) }
            #expect(access(a, F_OK) != 0)
        }
    }

    @Test func socketsAndTheirClientsAreBounded() async throws {
        try await withMachine(limits: JobSockets.Limits(sockets: 1, clientsOfOne: 2)) { machine in
            let a = try machine.open("a", "/a")
            let refused = #expect(throws: DiskFault.self) { try machine.open("b", "/b") }
            #expect(refused?.reason.contains("at most 1 jobs with a socket") == true)
            var clients = try (0..<3).map { _ in try LineClient(a) }
            for i in 0..<2 { #expect(try clients[i].ask(#"{"op":"snapshot"}"#).ok) }
            // The third waits for one of them to go; the agent's own socket is served meanwhile.
            try clients[2].send(#"{"op":"snapshot"}"# + "\n")
            #expect(try LineClient(machine.path).ask(#"{"op":"snapshot"}"#).ok)
            clients.removeFirst()
            #expect(try clients[1].receive()?.ok == true)
        }
    }

    @Test func onlyASpanWithACgroupGetsOneAndOnlyWhoMayAsks() async throws {
        try await withMachine { machine in
            let client = try LineClient(machine.path)
            #expect(try client.ask(#"{"op":"job_socket","key":"a","cgroup":"/a"}"#).error?.contains("has been started") == true)
            #expect(try client.ask(#"{"op":"job_socket"}"#).error?.contains("key") == true)
            _ = try client.ask(#"{"op":"span","phase":"start","key":"bare"}"#)
            #expect(try client.ask(#"{"op":"job_socket","key":"bare"}"#).error?.contains("expected a span with a cgroup") == true)
            #expect(try client.ask(#"{"op":"job_socket","key":"bare","cgroup":"/../etc"}"#).ok == false)
        }
        // A socket that anyone may connect to gives nobody else one.
        try await withMachine(trusted: []) { machine in
            let client = try LineClient(machine.path)
            _ = try client.ask(#"{"op":"span","phase":"start","key":"a","cgroup":"/a"}"#)
            #expect(try client.ask(#"{"op":"job_socket","key":"a"}"#).error?.contains("member of group no-such-group") == true)
        }
    }

    @Test func whatADeadAgentLeftIsRemovedAndNothingElse() async throws {
        let machine = try Machine(JobSockets.Limits())
        try Disk.makeDirectory(machine.directory, mode: 0o711)
        let dead = machine.directory + "/dead-0.sock"
        close(try ListeningSocket.bound(dead, mode: 0o666, backlog: 1))
        let live = machine.directory + "/live-0.sock"
        let listener = try ListeningSocket.bound(live, mode: 0o666, backlog: 1)
        let plain = machine.directory + "/plain.sock"
        close(Glibc.open(plain, O_CREAT | O_WRONLY, 0o600))
        machine.jobs.removeStale()
        #expect(access(dead, F_OK) != 0)
        #expect(access(live, F_OK) == 0 && access(plain, F_OK) == 0)
        close(listener)
        for path in [live, plain] { unlink(path) }
    }

    @Test(arguments: ["run/1/r/2", "../../etc/passwd", "a\nb", "\u{0}", "", String(repeating: "é", count: 600)])
    func aNameIsPlainWhateverTheKey(key: String) {
        let name = JobSocketName.of(key)
        #expect(name.utf8.count <= 62 && name.hasSuffix(".sock"))
        #expect(
            name.utf8.allSatisfy {
                $0 == 0x2D || $0 == 0x2E || $0 == 0x5F || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || $0 >= 0x30 && $0 <= 0x39
            }
        )
        #expect(!name.dropLast(5).contains(".") && JobSocketName.of(key) != name)
    }
}

/// A plain client that blocks: a line out, a line in.
private final class LineClient {
    struct Reply: Decodable {
        var ok: Bool
        var error: String?
        var socket: String?
        var host: String?
        var t_us: Int64?
        var cpu_time_us: Int64?
        var cpu_busy_us: Int64?
        var components_uj: [String: Int64]?
        var uj: [String: Int64]?
        var p_idle_uw: [String: Int64]?
        var held_since_us: Int64?
        var span_uj: [String: Int64]?
        var running_uj: [String: Int64]?
        var cgroup: String?
    }

    private let descriptor: Int32
    private var received: [UInt8] = []

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        for _ in 0..<200 {
            let code = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
            }
            if code == 0 { return }
            usleep(10_000)
        }
        throw DiskFault(path: path, doing: "connect")
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw DiskFault(path: "socket", doing: "send")
        }
    }

    /// Nil when the other side hung up.
    func receive() throws -> Reply? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            if let end = received.firstIndex(of: 0x0A) {
                defer { received.removeSubrange(...end) }
                return try JSONDecoder().decode(Reply.self, from: Data(received[..<end]))
            }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            received += buffer[..<count]
        }
    }

    func ask(_ line: String) throws -> Reply {
        try send(line + "\n")
        guard let reply = try receive() else { throw DiskFault(path: "socket", reason: "hung up") }
        return reply
    }
}
