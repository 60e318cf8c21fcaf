import Carbon
import Energy
import Glibc
import Synchronization
import Testing

@testable import Tracker

/// Real processes, and real cgroups where this machine lets them be made.
///
/// One after the other: a program forwards signals to one command at a time.
@Suite(.serialized) struct RunningCommandTests {
    static let canMakeCgroups: Bool = {
        let (cgroup, _) = RunCgroup.make(in: CgroupPlace.mounted(), name: "wattle-run-probe-\(getpid())")
        return cgroup?.remove() ?? false
    }()

    private static func tracker(
        socket: String? = nil,
        places: [CgroupPlace]? = nil,
        withoutClone3: Bool = false,
        cpus: Double? = nil,
        zone: GridZone? = nil
    ) -> Tracker {
        var options = TrackerOptions(socketPath: socket, zone: zone, cpus: cpus)
        options.cgroupPlaces = places
        options.withoutClone3 = withoutClone3
        return Tracker(options: options)
    }

    private func run(_ arguments: [String], with tracker: Tracker = tracker()) async throws -> RunReport {
        try await tracker.run(Command(arguments), key: "test")
    }

    // MARK: The command is as without us

    @Test(arguments: [
        ("true", 0 as Int32), ("false", 1), ("exit 77", 77), ("kill -TERM $$", 143), ("kill -KILL $$", 137),
    ])
    func `the exit code passes through, a signal as 128 and its number`(script: String, expected: Int32) async throws {
        #expect(try await run(["sh", "-c", script]).exit.shellCode == expected)
    }

    @Test(arguments: [false, true])
    func `a program that does not exist is 127, one that cannot be run is 126`(withoutClone3: Bool) async throws {
        let directory = try TemporaryDirectory()
        try directory.write("data", "no program\n")
        let tracker = Self.tracker(withoutClone3: withoutClone3)
        for (name, code) in [("no-such-program-at-all", 127 as Int32), (directory.file("missing"), 127), (directory.file("data"), 126)] {
            let error = await #expect(throws: CommandError.self) { try await run([name], with: tracker) }
            #expect(error?.shellCode == code)
            #expect(error?.description.contains(name) == true)
        }
    }

    @Test func `arguments arrive byte for byte`() async throws {
        let directory = try TemporaryDirectory()
        let odd: [UInt8] = [0xFF, 0x20, 0x22, 0x0A, 0x80, 0x27]
        let script = #"for a; do printf '%s|' "$a"; done > "$0""#
        let arguments = [
            Array("sh".utf8), Array("-c".utf8), Array(script.utf8), Array(directory.file("out").utf8), odd, [], Array("--".utf8),
        ]
        _ = try await Self.tracker().run(Command(rawArguments: arguments), key: "test")
        #expect(SmallFile.bytes(directory.file("out")) == odd + [UInt8(ascii: "|"), UInt8(ascii: "|")] + Array("--|".utf8))
    }

    @Test func `environment, directory, descriptors and process group are the caller's`() async throws {
        let directory = try TemporaryDirectory()
        setenv("WATTLE_TEST_VALUE", "a b\nc", 1)
        defer { unsetenv("WATTLE_TEST_VALUE") }
        // A descriptor that is not close-on-exec, as a jobserver's.
        let inherited = open("/dev/null", O_RDONLY)
        let descriptor = fcntl(inherited, F_DUPFD, 50)
        defer {
            close(inherited)
            close(descriptor)
        }
        let script =
            #"{ printf '%s\n' "$WATTLE_TEST_VALUE"; pwd; ls -l /proc/self/fd/\#(descriptor) >/dev/null && echo open; cut -d" " -f5 /proc/$$/stat; } > out"#
        let report = try await Self.tracker().run(
            Command(["sh", "-c", script], workingDirectory: directory.path),
            key: "test"
        )
        #expect(report.exit == .code(0))
        let lines = (SmallFile.read(directory.file("out")) ?? "").split(separator: "\n")
        #expect(lines.prefix(4).map(String.init) == ["a b", "c", directory.path, "open"])
        #expect(lines.last.flatMap { Int32($0.filter(\.isNumber)) } == getpgrp())
    }

    @Test func `ignored signals stay ignored, others are as at the start, whatever thread starts the command`() async throws {
        let directory = try TemporaryDirectory()
        let before = signal(SIGUSR2, SIG_IGN)
        defer { signal(SIGUSR2, before) }
        _ = try await run(["sh", "-c", "grep -E 'SigBlk|SigIgn' /proc/self/status > \(directory.file("out"))"])
        let text = SmallFile.read(directory.file("out")) ?? ""
        func mask(_ name: String) -> UInt64? {
            text.split(separator: "\n").first { $0.hasPrefix(name) }.flatMap {
                UInt64($0.dropFirst(name.count + 1).filter(\.isHexDigit), radix: 16)
            }
        }
        #expect(mask("SigBlk") == 0)
        #expect(mask("SigIgn").map { $0 & (1 << UInt64(SIGUSR2 - 1)) != 0 } == true)
    }

    @Test func `a signal sent to us reaches the command`() async throws {
        let report = try await Self.tracker().run(
            Command(["sh", "-c", "trap 'kill $!; wait $!; exit 42' USR1; sleep 10 & wait"]),
            key: "test"
        ) { _ in
            do { try await Task.sleep(for: .milliseconds(300)) } catch { return }
            kill(getpid(), SIGUSR1)
        }
        #expect(report.exit.shellCode == 42)
    }

    @Test func `what runs beside the command ends with it`() async throws {
        let ended = Mutex(false)
        let report = try await Self.tracker().run(Command(["sleep", "0.1"]), key: "test") { start in
            #expect(start.startedAt.microseconds > 0)
            do { try await Task.sleep(for: .seconds(60)) } catch { ended.withLock { $0 = true } }
        }
        #expect(report.exit == .code(0))
        #expect(ended.withLock { $0 })
    }

    // MARK: Everything it starts is counted

    @Test(.enabled(if: canMakeCgroups))
    func `CPU time of thirty short-lived grandchildren is counted, waited for or not`() async throws {
        // Each burns some 20 ms in a grandchild whose parent is gone, so that no wait ever sees it.
        let burn = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"
        let own = try await run(["sh", "-c", burn])
        let numbers = (1...30).map(String.init).joined(separator: " ")
        let script = "for n in \(numbers); do (sh -c '\(burn)' &); done; sleep 2"
        let all = try await run(["sh", "-c", script])
        #expect(all.countedByCgroup)
        #expect(own.cpuTime > .zero)
        #expect(all.cpuTime.seconds > 15 * own.cpuTime.seconds, "30 of \(own.cpuTime) should be near \(all.cpuTime)")
    }

    @Test(.enabled(if: canMakeCgroups))
    func `the cgroup is gone afterwards`() async throws {
        let report = try await run(["true"])
        let path = try #require(report.start.workload)
        #expect(path.contains("/wattle-run-"))
        for place in CgroupPlace.mounted() { #expect(access(place.mount + path, F_OK) != 0) }
        #expect(report.warnings.isEmpty)
    }

    @Test(.enabled(if: canMakeCgroups))
    func `a child that outlives the command keeps the cgroup, and that is said`() async throws {
        let report = try await run(["sh", "-c", "sleep 30 > /dev/null 2>&1 &"])
        let place = try #require(CgroupPlace.mounted().first)
        let cgroup = RunCgroup(kind: place.kind, directory: place.mount + (try #require(report.start.workload)), path: "")
        #expect(report.warnings.count == 1)
        #expect(report.warnings.first?.contains("1 process goes on") == true)
        #expect(cgroup.processes().count == 1)
        for pid in cgroup.processes() { kill(pid, SIGKILL) }
        for _ in 0..<100 where !cgroup.processes().isEmpty { usleep(10_000) }
        #expect(cgroup.remove())
    }

    @Test(.enabled(if: canMakeCgroups))
    func `without clone3 the child enters its cgroup by itself`() async throws {
        let directory = try TemporaryDirectory()
        let report = try await run(
            ["sh", "-c", "cat /proc/self/cgroup > \(directory.file("out"))"],
            with: Self.tracker(withoutClone3: true)
        )
        #expect(report.countedByCgroup)
        #expect((SmallFile.read(directory.file("out")) ?? "").contains(try #require(report.start.workload)))
    }

    @Test(.enabled(if: canMakeCgroups && CgroupPlace.mounted().contains { $0.kind == .cpuacct }))
    func `a machine with v1 only counts by cpuacct`() async throws {
        let v1 = CgroupPlace.mounted().filter { $0.kind == .cpuacct }
        let report = try await run(
            ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"],
            with: Self.tracker(places: v1)
        )
        #expect(report.countedByCgroup)
        #expect(report.cpuTime > .zero)
    }

    @Test func `where no cgroup may be made the kernel's count of waited-for children is used`() async throws {
        for places in [[], [CgroupPlace(kind: .unified, mount: "/proc", own: "/")]] {
            let report = try await run(
                ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"],
                with: Self.tracker(places: places)
            )
            #expect(report.exit == .code(0))
            #expect(!report.countedByCgroup)
            #expect(report.start.workload == nil)
            #expect(report.cpuTime > .zero)
        }
    }

    @Test func `a cgroup that cannot be entered is no reason not to run`() async throws {
        // A plain directory stands for a hierarchy: it can be made, but it takes no processes.
        let directory = try TemporaryDirectory()
        for withoutClone3 in [false, true] {
            let report = try await run(
                ["true"],
                with: Self.tracker(places: [CgroupPlace(kind: .unified, mount: directory.path, own: "/")], withoutClone3: withoutClone3)
            )
            #expect(report.exit == .code(0))
            #expect(!report.countedByCgroup)
            #expect(report.warnings.count == 1)
        }
    }

    // MARK: The agent helps, or does not

    @Test func `an agent's meters and clock make the footprint exact`() async throws {
        let directory = try TemporaryDirectory()
        let agent = try ScriptedAgent(path: directory.file("agent.sock")) { question in
            .line(
                question.contains(#""phase":"start""#)
                    ? ScriptedAgent.answer(time: 1_000_000_000, cpuEnergy: 5_000_000, busy: 100)
                    : ScriptedAgent.answer(time: 1_002_000_000, cpuEnergy: 105_000_000, busy: 100, zone: "FR")
            )
        }
        defer { agent.close() }
        let report = try await run(["true"], with: Self.tracker(socket: agent.path, cpus: 1))
        #expect(report.start.agentAnswered)
        #expect(report.agentFailure == nil)
        #expect(report.start.host == "agents-own-name")
        #expect(report.start.startedAt.microseconds == 1_000_000_000)
        #expect(report.finishedAt.microseconds == 1_002_000_000)
        let footprint = try #require(report.footprint)
        // 100 J in 2 s over a floor of 10 W: 80 J dynamic, all of it the command's; 20 J idle, half of it for 1 of 2 CPUs.
        #expect(footprint.dynamic == .joules(80))
        #expect(footprint.idle == .joules(10))
        #expect(footprint.quality == .measured)
        #expect(footprint.emissions?.intensity.zone == "FR")
        #expect(agent.asked.count == 2)
        #expect(agent.asked.allSatisfy { $0.contains(#""key":"test""#) })
    }

    @Test func `no agent is no fault, and the machine is measured or modelled without it`() async throws {
        let report = try await run(
            ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"],
            with: Self.tracker(socket: "/nonexistent/agent.sock")
        )
        #expect(report.exit == .code(0))
        #expect(report.agentFailure?.kind == .absent)
        let footprint = try #require(report.footprint)
        #expect(footprint.energy.best > .zero)
        #expect(footprint.energy.low <= footprint.energy.best && footprint.energy.best <= footprint.energy.high)
        #expect(footprint.dynamic > .zero)
    }

    @Test func `a stale socket is an absent agent`() async throws {
        let directory = try TemporaryDirectory()
        let agent = try ScriptedAgent(path: directory.file("agent.sock")) { _ in .silence }
        agent.close()
        usleep(50_000)
        let report = try await run(["true"], with: Self.tracker(socket: agent.path))
        #expect(report.exit == .code(0))
        #expect(report.agentFailure?.kind == .absent)
    }

    @Test func `an agent that hangs delays a command by no more than its limit`() async throws {
        let directory = try TemporaryDirectory()
        let agent = try ScriptedAgent(path: directory.file("agent.sock")) { _ in .silence }
        defer { agent.close() }
        let began = ContinuousClock.now
        let report = try await run(["true"], with: Self.tracker(socket: agent.path))
        let took = ContinuousClock.now - began
        #expect(report.exit == .code(0))
        #expect(report.agentFailure?.kind == .silent)
        #expect(report.footprint != nil)
        #expect(agent.asked.count == 1, "an agent that did not answer the start is not asked again")
        #expect(took > .milliseconds(50))
        // 50 ms for the agent; the rest is for a busy machine.
        #expect(took < .milliseconds(1_000), "\(took)")
    }

    @Test func `an agent that dies under the command leaves its own measurement`() async throws {
        let directory = try TemporaryDirectory()
        let agent = try ScriptedAgent(path: directory.file("agent.sock")) { question in
            question.contains(#""phase":"start""#)
                ? .line(ScriptedAgent.answer(time: Timestamp.systemNow().microseconds, cpuEnergy: 0, busy: 0)) : .hangUp
        }
        defer { agent.close() }
        let report = try await run(["sleep", "0.05"], with: Self.tracker(socket: agent.path))
        #expect(report.exit == .code(0))
        #expect(report.agentFailure?.kind == .absent)
        #expect(report.footprint?.source.contains("agent") == false)
        #expect(report.finishedAt > report.start.startedAt)
    }

    @Test(arguments: ["", "{", #"{"ok":false,"error":"not for you"}"#, "\u{7}\u{8}", #"{"ok":true}"#])
    func `an agent that talks nonsense is passed over`(answer: String) async throws {
        let directory = try TemporaryDirectory()
        let agent = try ScriptedAgent(path: directory.file("agent.sock")) { _ in .line(answer) }
        defer { agent.close() }
        let report = try await run(["true"], with: Self.tracker(socket: agent.path))
        #expect(report.exit == .code(0))
        #expect(report.agentFailure?.kind == .unusable)
    }

    // MARK: A program measures itself

    @Test func `a stretch of a program is measured by its own CPU time`() async throws {
        let (value, footprint) = await Self.tracker().measure(key: "self") {
            var sum: UInt64 = 0
            for n in 0..<2_000_000 as Range<UInt64> { sum = sum &* 31 &+ n }
            return sum
        }
        #expect(value != 0)
        #expect(try #require(footprint).cpuTime > .zero)
    }
}
