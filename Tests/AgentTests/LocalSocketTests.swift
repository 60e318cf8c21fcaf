import Energy
import FoundationEssentials
import Glibc
import Logging
import Meters
import Synchronization
import Testing

@testable import Agent

struct LocalSocketTests {
    /// Runs the socket of a fixture host while the body speaks to it.
    private func withSocket(
        limits: LocalSocket.Limits = .init(),
        trusted: Set<UInt32> = [0, geteuid()],
        _ body: @escaping @Sendable (_ path: String, _ host: FixtureHost) throws -> Void
    ) async throws {
        let host = try FixtureHost()
        try host.addPackage()
        try host.setCgroup("/job", usage: 5)
        let clock = ClockReading.now()
        let path = host.root + "/agent.sock"
        let socket = LocalSocket(
            path: path,
            group: "no-such-group",
            limits: limits,
            trusted: trusted,
            proc: host.roots.proc,
            sampling: SharedSampling(try host.sampling(clock: clock)),
            context: SocketAnswer.Context(host: "h", bootID: "boot-a", gridZone: nil, hasCollector: false),
            sealNow: Doorbell(),
            log: Logger(label: "test")
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await socket.run() }
            group.addTask {
                // Blocking calls of the test's own client stay off the pool.
                let outcome = Outcome()
                try await OwnThread.run("client") {
                    do { try body(path, host) } catch { outcome.set("\(error)") }
                }
                if let failure = outcome.text { Issue.record("\(failure)") }
            }
            try await group.next()
            group.cancelAll()
        }
        #expect(access(path, F_OK) != 0)
    }

    private final class Outcome: Sendable {
        private let value = Mutex<String?>(nil)
        var text: String? { value.withLock { $0 } }
        func set(_ text: String) { value.withLock { $0 = text } }
    }

    private struct Reply: Decodable {
        var ok: Bool
        var error: String?
        var t_us: Int64?
        var cpu_time_us: Int64?
        var cover_uj: Int64?
        var components_uj: [String: Int64]?
        var uj: [String: Int64]?
        var quality: String?
        var cpus: Int?
        var boot_id: String?
        var held_since_us: Int64?
        var span_uj: [String: Int64]?
        var running_uj: [String: Int64]?
        var cgroup: String?
    }

    @Test func aSnapshotHasTheFiguresWithTheirUnits() async throws {
        try await withSocket { path, host in
            let client = try Client(path)
            try host.setEnergy(0)
            _ = try client.ask(#"{"op":"snapshot"}"#)
            usleep(150_000)
            try host.setEnergy(77)
            let reply = try client.ask(#"{"op":"snapshot"}"#)
            #expect(reply.ok)
            #expect(reply.uj == [package0: 77])
            #expect(reply.components_uj == ["cpu": 77])
            #expect(reply.cover_uj == 77)
            #expect(reply.quality == "measured")
            #expect(reply.cpus == 2)
            #expect(reply.boot_id == "boot-a")
        }
    }

    @Test func aSpanIsAnsweredAfterItsReading() async throws {
        try await withSocket { path, host in
            let client = try Client(path)
            let start = try client.ask(#"{"op":"span","phase":"start","key":"k","cgroup":"/job","pid":1}"#)
            try host.setEnergy(1_000)
            try host.setCgroup("/job", usage: 905)
            let finish = try client.ask(#"{"op":"span","phase":"finish","key":"k"}"#)
            #expect((finish.cpu_time_us ?? 0) - (start.cpu_time_us ?? 0) == 900)
            #expect((finish.cover_uj ?? 0) - (start.cover_uj ?? 0) == 1_000)
            #expect((finish.t_us ?? 0) > (start.t_us ?? .max))
        }
    }

    @Test func aJobThatCannotNameItsCgroupGetsTheContainerOrTheRunnersUnitItIsIn() async throws {
        try await withSocket { path, host in
            let unit = "/system.slice/actions.runner.o-r.b1.service"
            try host.setCgroup(unit, usage: 100)
            try host.write("/proc/\(getpid())/cgroup", "0::\(unit)/deep/er\n")
            let client = try Client(path)
            let start = try client.ask(#"{"op":"span","phase":"start","key":"k","own_cgroup":true}"#)
            #expect(start.cgroup == unit)
            try host.setCgroup(unit, usage: 900)
            let finish = try client.ask(#"{"op":"span","phase":"finish","key":"k"}"#)
            #expect((finish.cpu_time_us ?? 0) - (start.cpu_time_us ?? 0) == 800)
        }
    }

    @Test func aCgroupThatHoldsOtherWorkTooIsNoJobs() async throws {
        let id = String(repeating: "5e", count: 32)
        #expect(WorkloadIdentity.jobCgroup(above: "/system.slice/gitlab-runner.service") == nil)
        #expect(WorkloadIdentity.jobCgroup(above: "/user.slice/user-1000.slice/session-2.scope") == nil)
        #expect(WorkloadIdentity.jobCgroup(above: "/system.slice/docker-\(id).scope/init") == "/system.slice/docker-\(id).scope")
        try await withSocket { path, host in
            try host.setCgroup("/system.slice/gitlab-runner.service", usage: 100)
            try host.write("/proc/\(getpid())/cgroup", "0::/system.slice/gitlab-runner.service\n")
            let start = try Client(path).ask(#"{"op":"span","phase":"start","key":"k","own_cgroup":true}"#)
            #expect(start.ok)
            #expect(start.cgroup == nil)
            #expect(start.cpu_time_us == nil)
        }
    }

    @Test func theStatusSaysHowTheCollectorStandsAndNothingOfEnergy() throws {
        let counts = UplinkCounts()
        counts.note { $0.enter(.refused, "Unknown token", at: Timestamp(microseconds: 7)) }
        let context = SocketAnswer.Context(host: "h", bootID: "b", gridZone: nil, hasCollector: true, uplink: counts)
        let line = String(decoding: SocketAnswer.line(statusOf: context), as: UTF8.self)
        #expect(line.contains(#""state":"refused""#) && line.contains(#""detail":"Unknown token""#) && line.contains(#""since_us":7"#))
        #expect(!line.contains("uj"))
        #expect(try SocketRequest(line: Array(#"{"op":"status"}"#.utf8)) == .status)
    }

    @Test func aSpansOwnEnergyIsOfItsEdges() async throws {
        try await withSocket { path, host in
            let client = try Client(path)
            try host.setEnergy(0)
            _ = try client.ask(#"{"op":"span","phase":"start","key":"k"}"#)
            try host.setEnergy(1_500)
            let finish = try client.ask(#"{"op":"span","phase":"finish","key":"k"}"#)
            #expect(finish.span_uj == ["cpu": 1_500])
            #expect(finish.running_uj == ["cpu": 1_500])
            #expect(finish.held_since_us == nil)
        }
    }

    @Test func othersThanRootCannotSampleTheMetersThroughShortSpans() async throws {
        try await withSocket(trusted: []) { path, host in
            let client = try Client(path)
            try host.setEnergy(0)
            let first = try client.ask(#"{"op":"span","phase":"start","key":"a"}"#)
            try host.setEnergy(700)
            let finish = try client.ask(#"{"op":"span","phase":"finish","key":"a"}"#)
            #expect(finish.cover_uj == first.cover_uj)
            #expect(finish.uj == first.uj)
            #expect(finish.components_uj == first.components_uj)
            #expect(finish.held_since_us == first.t_us)
            #expect(finish.span_uj == nil)
            #expect(finish.running_uj == [:])
            // Another connection of the same user is the same user.
            #expect(try Client(path).ask(#"{"op":"snapshot"}"#).cover_uj == first.cover_uj)
            usleep(1_050_000)
            let later = try client.ask(#"{"op":"snapshot"}"#)
            #expect(later.cover_uj == 700)
            #expect(later.running_uj == ["cpu": 700])
        }
    }

    private static func at(_ seconds: Int64) -> HostSnapshot {
        HostSnapshot(time: Timestamp(microseconds: seconds * 1_000_000), busy: 0, agentCPU: 0, cpus: 1)
    }

    @Test func nobodyButRootCanTakeAllTheSpansThereAre() async throws {
        try await withSocket(trusted: []) { path, _ in
            let client = try Client(path)
            for i in 0..<PeerAllowance.mostSpansOfOne {
                #expect(try client.ask(#"{"op":"span","phase":"start","key":"\#(i)"}"#).ok)
            }
            let refused = try client.ask(#"{"op":"span","phase":"start","key":"more"}"#)
            #expect(refused.error?.contains("expected at most 256 open spans of user \(geteuid())") == true)
            // Another connection is the same user; a start anew takes no more.
            #expect(try !Client(path).ask(#"{"op":"span","phase":"start","key":"more"}"#).ok)
            #expect(try client.ask(#"{"op":"span","phase":"start","key":"7"}"#).ok)
            #expect(try client.ask(#"{"op":"span","phase":"finish","key":"7"}"#).ok)
            #expect(try client.ask(#"{"op":"span","phase":"start","key":"more"}"#).ok)
        }
        try await withSocket { path, _ in
            let client = try Client(path)
            for i in 0...PeerAllowance.mostSpansOfOne {
                #expect(try client.ask(#"{"op":"span","phase":"start","key":"\#(i)"}"#).ok)
            }
        }
    }

    @Test func manyUsersTogetherLeaveRoomForRoot() throws {
        var allowance = PeerAllowance(trusted: [0])
        var running: Set<String> = []
        var refused = 0
        for uid in UInt32(1)...20 {
            for i in 0..<PeerAllowance.mostSpansOfOne {
                let key = "\(uid)/\(i)"
                do throws(SpanFault) {
                    try allowance.checkStart(key, by: uid) { running }
                    _ = allowance.start(key, Self.at(1), by: uid)
                    running.insert(key)
                } catch {
                    refused += 1
                }
            }
        }
        #expect(running.count == PeerAllowance.mostSpansOfOthers)
        #expect(refused == 20 * PeerAllowance.mostSpansOfOne - running.count)
        try allowance.checkStart("root's", by: 0) { running }
        // Spans whose cgroup has gone have ended without their starter, and are not counted.
        try allowance.checkStart("21/0", by: 21) { [] }
    }

    @Test func aSpanThatNobodyEndsIsOverAfterAWeek() {
        var allowance = PeerAllowance(trusted: [0])
        let week = PeerAllowance.longestSpan.count / 1_000_000
        _ = allowance.start("left", Self.at(10), by: 7)
        _ = allowance.start("with a cgroup", hasCgroup: true, Self.at(10), by: 7)
        _ = allowance.start("root's", Self.at(10), by: 0)
        #expect(allowance.takeOverdue(at: Self.at(10 + week).time) == [])
        #expect(allowance.takeOverdue(at: Self.at(11 + week).time) == ["left"])
        #expect(allowance.takeOverdue(at: Self.at(11 + week).time) == [])
        #expect(allowance.finish("left", Self.at(12 + week), by: 7).span == nil)
    }

    @Test func aCgroupIsForItsUserAndWhoRunsInIt() throws {
        let host = try FixtureHost()
        try host.setCgroup("/job", usage: 5)
        try host.setCgroup("/job-2", usage: 5)
        try host.write("/proc/77/cgroup", "4:memory:/\n0::/job/step\n")
        let hierarchies = try CgroupHierarchy.find(roots: host.roots)
        let me = geteuid()
        func claim(_ uid: UInt32, pid: Int32, _ request: SpanRequest) throws(SpanFault) -> SpanRequest {
            let peer = Peer(pid: pid, uid: uid, gid: 0)
            return try CgroupClaim(peer: peer, hierarchies: hierarchies, proc: host.roots.proc).checked(request)
        }
        func start(_ cgroup: String?, _ directory: String? = nil) -> SpanRequest {
            SpanRequest(phase: .start, key: "k", cgroup: cgroup, directory: directory)
        }
        let job = host.root + "/cgroup/job"
        // Theirs.
        #expect(try claim(me, pid: 1, start("/job")) == start("/job"))
        #expect(try claim(me, pid: 1, start("/another's name", job)) == start(nil, job))
        // Not theirs, by either name, nor one that is like theirs, nor with the number of another user's process.
        for (request, pid) in [(start("/job"), Int32(1)), (start("/job", job), 1), (start("/job-2"), 77), (start("/job"), 77)] {
            let fault = #expect(throws: SpanFault.self) { try claim(me + 1, pid: pid, request) }
            #expect(
                fault?.description.hasPrefix("expected a cgroup of user \(me + 1) or one that process \(pid) is in, found /job") == true
            )
        }
        #expect(throws: SpanFault.self) { try claim(me, pid: 77, start("/")) }
        #expect(try claim(me + 1, pid: 1, start(nil)) == start(nil))
        var end = start("/job")
        end.phase = .finish
        #expect(try claim(me + 1, pid: 1, end).cgroup == nil)
    }

    @Test(.enabled(if: geteuid() == 0, "needs root, to give files to another user"))
    func anothersCgroupIsNotToBeHadOverTheSocket() async throws {
        try await withSocket(trusted: []) { path, host in
            let client = try Client(path)
            #expect(chown(host.root + "/cgroup/job", 65_534, 65_534) == 0)
            let refused = try client.ask(#"{"op":"span","phase":"start","key":"k","cgroup":"/job"}"#)
            #expect(refused.error?.contains("found /job of user 65534") == true)
            #expect(refused.cpu_time_us == nil)
            // Running in it is enough.
            try host.write("/proc/\(getpid())/cgroup", "0::/job/step\n")
            #expect(try client.ask(#"{"op":"span","phase":"start","key":"k","cgroup":"/job"}"#).cpu_time_us == 5)
        }
    }

    @Test func aSpanIsForWhoStartedItAndRoot() throws {
        var allowance = PeerAllowance(trusted: [0])
        func at(_ seconds: Double, _ energy: Int64) -> HostSnapshot {
            var snapshot = HostSnapshot(time: Timestamp(microseconds: Int64(seconds * 1e6)), busy: 0, agentCPU: 0, cpus: 1)
            snapshot.components = [.cpu: energy]
            return snapshot
        }
        _ = allowance.start("k", at(1, 10), by: 1_000)
        #expect(throws: SpanFault.self) { try allowance.check("k", by: 1_001) }
        try allowance.check("k", by: 1_000)
        try allowance.check("k", by: 0)
        try allowance.check("unknown", by: 1_001)
        let end = allowance.finish("k", at(2.5, 35), by: 1_000)
        #expect(end.span == [.cpu: 25])
        #expect(end.heldSince == nil)
    }

    @Test func manyOverlappingSpansTellNoMoreThanOneFigureASecond() {
        var allowance = PeerAllowance(trusted: [0])
        var told: Set<Int64> = []
        func at(_ milliseconds: Int64) -> HostSnapshot {
            var snapshot = HostSnapshot(time: Timestamp(microseconds: milliseconds * 1_000), busy: 0, agentCPU: 0, cpus: 1)
            snapshot.components = [.cpu: milliseconds * milliseconds]
            snapshot.cover = milliseconds * milliseconds
            return snapshot
        }
        for i in Int64(0)..<3_000 { told.insert(allowance.start("\(i)", at(i), by: 7).figures.cover) }
        var own = 0
        for i in Int64(0)..<3_000 {
            let answer = allowance.finish("\(i)", at(3_000 + i), by: 7)
            told.insert(answer.figures.cover)
            if answer.span != nil { own += 1 }
        }
        #expect(told.count <= 7)
        #expect(own <= 3)
        // And none of it is lost.
        var all: Int64 = 0
        for i in Int64(0)..<3_000 {
            let end = 3_000 + i
            all += end * end - i * i
        }
        #expect(allowance.look(at(9_000), by: 7).running == [.cpu: all])
    }

    @Test func aLiveSocketThatLetsNobodyInIsNotRemoved() throws {
        let host = try FixtureHost()
        let full = ListeningSocket(path: host.root + "/full.sock", group: "none")
        let log = Logger(label: "test")
        let opened = try full.open(log)
        defer { close(opened.descriptor) }
        #expect(Glibc.listen(opened.descriptor, 0) == 0)
        let waiting = try Client(full.path)
        let error = #expect(throws: DiskFault.self) { try full.open(log) }
        #expect(error?.reason.contains("found one that answers") == true)
        #expect(access(full.path, F_OK) == 0)
        withExtendedLifetime(waiting) {}
    }

    @Test func systemdsSocketIsFoundByItsPath() throws {
        let host = try FixtureHost()
        let log = Logger(label: "test")
        let one = try ListeningSocket(path: host.root + "/one.sock", group: "none").open(log).descriptor
        let two = try ListeningSocket(path: host.root + "/two.sock", group: "none").open(log).descriptor
        defer {
            close(one)
            close(two)
        }
        let all = min(one, two)..<max(one, two) + 1
        #expect(ListeningSocket.inherited(host.root + "/two.sock", among: all) == two)
        #expect(ListeningSocket.inherited(host.root + "/one.sock", among: all) == one)
        #expect(ListeningSocket.inherited(host.root + "/three.sock", among: all) == nil)
        let client = try Client(host.root + "/one.sock")
        withExtendedLifetime(client) {}
        #expect(ListeningSocket.inherited(host.root + "/one.sock", among: 0..<1) == nil)
    }

    @Test func malformedLinesAreAnsweredWithWhatWasExpected() async throws {
        try await withSocket { path, _ in
            let client = try Client(path)
            for line in [
                "", "nonsense", "{", "[]", "{}", #"{"op":1}"#, #"{"op":"explode"}"#, #"{"op":"span"}"#, #"{"op":"span","phase":"start"}"#,
                #"{"op":"span","phase":"middle","key":"k"}"#, #"{"op":"span","phase":"start","key":"","cgroup":"/job"}"#,
                #"{"op":"span","phase":"start","key":"k","cgroup":"../etc"}"#, "\u{0}\u{1}\u{7f}",
            ] {
                let reply = try client.ask(line)
                #expect(!reply.ok, "\(line)")
                #expect(reply.error?.contains("expected") == true, "\(line): \(reply.error ?? "")")
            }
            #expect(try client.ask(#"{"op":"snapshot"}"#).ok)
        }
    }

    @Test func aLineWithoutEndIsCutOff() async throws {
        try await withSocket(limits: LocalSocket.Limits(line: 1_000)) { path, _ in
            let client = try Client(path)
            try client.send(String(repeating: "x", count: 5_000))
            #expect(try client.receive()?.ok == false)
            #expect(try client.receive() == nil)
            #expect(try Client(path).ask(#"{"op":"snapshot"}"#).ok)
        }
    }

    @Test func clientsBeyondTheLimitWaitAndOthersAreServed() async throws {
        try await withSocket(limits: LocalSocket.Limits(clients: 2)) { path, _ in
            var clients = try (0..<3).map { _ in try Client(path) }
            #expect(try clients[0].ask(#"{"op":"snapshot"}"#).ok)
            #expect(try clients[1].ask(#"{"op":"snapshot"}"#).ok)
            try clients[2].send(#"{"op":"snapshot"}"# + "\n")
            clients.removeFirst()
            #expect(try clients[1].receive()?.ok == true)
        }
    }

    @Test func aStaleSocketIsReplacedAndALiveOneIsNot() async throws {
        try await withSocket { path, host in
            let second = LocalSocket(
                path: path,
                group: "none",
                sampling: SharedSampling(try host.sampling(clock: .now())),
                context: SocketAnswer.Context(host: "h", bootID: "b", gridZone: nil, hasCollector: false),
                sealNow: Doorbell(),
                log: Logger(label: "test")
            )
            #expect(throws: DiskFault.self) { try second.listening.open(second.log) }
            let stale = host.root + "/stale.sock"
            let left = LocalSocket(
                path: stale,
                group: "none",
                sampling: second.sampling,
                context: second.context,
                sealNow: second.sealNow,
                log: second.log
            )
            close(try left.listening.open(left.log).descriptor)
            #expect(access(stale, F_OK) == 0)
            let descriptor = try left.listening.open(left.log).descriptor
            var status = stat()
            #expect(stat(stale, &status) == 0 && status.st_mode & 0o777 == 0o660)
            close(descriptor)
            try host.write("/plain", "a file")
            let onFile = LocalSocket(
                path: host.root + "/plain",
                group: "none",
                sampling: second.sampling,
                context: second.context,
                sealNow: second.sealNow,
                log: second.log
            )
            #expect(throws: DiskFault.self) { try onFile.listening.open(onFile.log) }
        }
    }

    /// A plain client that blocks.
    private final class Client {
        private let descriptor: Int32
        private var received: [UInt8] = []

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
}
