import CLinux
import Energy
import Foundation
import Glibc
import Logging
import Meters
import Testing

@testable import Agent
@testable import wattle_broker

private enum BrokerNeeds {
    static let python: String? = ["/usr/bin/python3", "/usr/local/bin/python3"].first { (path: String) in access(path, X_OK) == 0 }
    static let areMet: Bool =
        geteuid() == 0 && access("/usr/bin/setpriv", X_OK) == 0 && python != nil && getpwnam("nobody") != nil && getpwnam("daemon") != nil
}

/// The real broker, asked over its socket, with files that are for root only.
@Suite(.enabled(if: BrokerNeeds.areMet, "needs root, setpriv, python3 and the users nobody and daemon"))
struct BrokerTests {
    /// A tree with the kernel's links and modes, and a broker for it.
    private final class Fixture {
        let host: FixtureHost
        let socket: String
        private var broker: Process?
        private var errors: Pipe?

        static let energy = "/sys/class/powercap/intel-rapl:0/energy_uj"

        init() throws {
            host = try FixtureHost()
            socket = host.root + "/broker.sock"
            let device = host.root + "/sys/devices/virtual/powercap/intel-rapl"
            for (name, value) in [("intel-rapl:0", "11"), ("intel-rapl:0/intel-rapl:0:1", "22")] {
                try FileManager.default.createDirectory(atPath: "\(device)/\(name)", withIntermediateDirectories: true)
                try host.write("/sys/devices/virtual/powercap/intel-rapl/\(name)/energy_uj", value)
                chmod("\(device)/\(name)/energy_uj", 0o400)
            }
            try FileManager.default.createDirectory(atPath: host.root + "/sys/class/powercap", withIntermediateDirectories: true)
            symlink("../../devices/virtual/powercap/intel-rapl/intel-rapl:0", host.root + "/sys/class/powercap/intel-rapl:0")
            symlink(
                "../../devices/virtual/powercap/intel-rapl/intel-rapl:0/intel-rapl:0:1",
                host.root + "/sys/class/powercap/intel-rapl:0:1"
            )
            try host.write("/dev/cpu/0/msr", "msr")
            try host.write("/dev/ipmi0", "bmc")
            try host.write("/sys/class/hwmon/hwmon3/power1_average", "33")
            chmod(host.root + "/sys/class/hwmon/hwmon3/power1_average", 0o400)
            try host.write("/secret", "secret")
        }

        deinit { stop() }

        static var program: URL {
            URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
                .appendingPathComponent("wattle-broker")
        }

        func start(user: String = "nobody", _ more: [String] = []) throws {
            let process = Process()
            process.executableURL = Self.program
            process.arguments = ["--root", host.root, "--socket", socket, "--user", user] + more
            let errors = Pipe()
            process.standardError = errors
            try process.run()
            self.errors = errors
            broker = process
            // A file of that name may be a dead broker's: it must answer.
            _ = try RawClient(socket)
        }

        @discardableResult
        func stop(_ signal: Int32 = SIGTERM) -> Int32? {
            guard let process = broker else { return nil }
            broker = nil
            kill(process.processIdentifier, signal)
            process.waitUntilExit()
            return process.terminationStatus
        }

        /// What the broker has said; ends it.
        func said() -> String {
            stop()
            return String(decoding: errors?.fileHandleForReading.readDataToEndOfFile() ?? Data(), as: UTF8.self)
        }

        /// Asks as root: the answer's line and the file's content.
        func ask(_ request: String) throws -> (line: String, content: String?, isWritable: Bool) {
            let client = try RawClient(socket)
            _ = client.send(request)
            var descriptor: Int32 = -1
            var buffer = [UInt8](repeating: 0, count: 512)
            let count = wattle_receive_descriptor(client.descriptor, &buffer, buffer.count, &descriptor)
            let line = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
            guard descriptor >= 0 else { return (line, nil, false) }
            defer { close(descriptor) }
            #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
            let mode = fcntl(descriptor, F_GETFL)
            let size = pread(descriptor, &buffer, buffer.count, 0)
            let text = String(decoding: buffer[..<max(0, size)], as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            return (line, text, mode & O_ACCMODE != O_RDONLY)
        }

        /// Asks as another user, in a process of its own: `open <errno>`, then the answer's line and the file's content.
        func ask(_ path: String, user: String, group: String) throws -> String {
            let program = """
                import os, socket, sys
                root, path, where = sys.argv[1:]
                try: os.open(root + path, os.O_RDONLY); print("open 0")
                except OSError as e: print("open", e.errno)
                s = socket.socket(socket.AF_UNIX); s.connect(where)
                try: s.sendall(path.encode() + b"\\n")
                except BrokenPipeError: pass
                data, fds, _, _ = socket.recv_fds(s, 300, 4)
                print(data.decode().strip())
                for fd in fds: print(os.pread(fd, 100, 0).decode().strip())
                """
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
            process.arguments =
                ["--reuid", user, "--regid", group, "--clear-groups", try #require(BrokerNeeds.python), "-c", program]
                + [host.root, path, socket]
            let output = Pipe()
            process.standardOutput = output
            try process.run()
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            return text
        }
    }

    private static let group = getgrgid(getpwnam("nobody")?.pointee.pw_gid ?? 0).map { String(cString: $0.pointee.gr_name) } ?? "nogroup"

    @Test func aUserWithoutRightsReadsAnEnergyCounterThroughTheKernelsLinks() throws {
        let fixture = try Fixture()
        try fixture.start()
        #expect(try fixture.ask(Fixture.energy, user: "nobody", group: Self.group) == "open 13\nok\n11\n")
        let inner = "/sys/class/powercap/intel-rapl:0:1/energy_uj"
        #expect(try fixture.ask(inner, user: "nobody", group: Self.group) == "open 13\nok\n22\n")
        var status = stat()
        #expect(stat(fixture.host.root + Fixture.energy, &status) == 0 && status.st_mode & 0o777 == 0o400, "no mode was changed")
    }

    @Test func anotherUserIsRefusedEvenInTheGroup() throws {
        let fixture = try Fixture()
        try fixture.start()
        let answer = try fixture.ask(Fixture.energy, user: "daemon", group: Self.group)
        #expect(answer == "open 13\nerror 1 only root and user nobody may ask\n")
        #expect(fixture.said().contains("refused user \(getpwnam("daemon")?.pointee.pw_uid ?? 0)"))
    }

    @Test func theSocketIsForRootAndTheUsersGroup() throws {
        let fixture = try Fixture()
        try fixture.start()
        var status = stat()
        #expect(stat(fixture.socket, &status) == 0 && status.st_mode & 0o777 == 0o660)
        #expect(status.st_uid == 0 && status.st_gid == getpwnam("nobody")?.pointee.pw_gid)
    }

    @Test func whatIsListedIsOpenedForReadingOnly() throws {
        let fixture = try Fixture()
        try fixture.start()
        for (path, content) in [
            (Fixture.energy, "11"), ("/sys/class/hwmon/hwmon3/power1_average", "33"),
        ] {
            let answer = try fixture.ask(path + "\n")
            #expect(answer.line == "ok\n" && answer.content == content && !answer.isWritable, "\(path)")
        }
        #expect(try fixture.ask("/sys/class/powercap/intel-rapl:9/energy_uj\n").line == "error 2 cannot be opened\n")
    }

    @Test func whatIsNotListedIsRefusedAndSaidOnce() throws {
        let fixture = try Fixture()
        try fixture.start()
        let refused = [
            "", "/", "/etc/shadow", "/secret", "sys/class/powercap/intel-rapl:0/energy_uj", "//sys/class/powercap/intel-rapl:0/energy_uj",
            "/sys/class/powercap/intel-rapl:0/../../../../secret", "/sys/class/powercap/../powercap/intel-rapl:0/energy_uj",
            "/sys/class/powercap/intel-rapl:0/./energy_uj", "/sys/class/powercap/intel-rapl:*/energy_uj",
            "/sys/class/powercap/intel-rapl/energy_uj", "/sys/class/powercap/intel-rapl:/energy_uj",
            "/sys/class/powercap/intel-rapl:0:/energy_uj", "/sys/class/powercap/intel-rapl:0:1:2:3/energy_uj",
            "/sys/class/powercap/intel-rapl:G/energy_uj", "/sys/class/powercap/intel-rapl:0/energy_uj/", Fixture.energy + "\0",
            Fixture.energy + " ", "/sys/class/powercap/intel-rapl:0/max_energy_range_uj", "/sys/class/hwmon/hwmon/power1_average",
            "/sys/class/hwmon/hwmon123456/power1_average", "/sys/class/hwmon/hwmon3/temp1_input", "/dev/cpu/0/msr",
            "/dev/mem", "/dev/ipmi0", "/proc/self/mem",
        ]
        for path in refused + refused {
            let answer = try fixture.ask(path + "\n")
            #expect(answer.content == nil && answer.line.hasPrefix("error 13 "), "\(path.debugDescription): \(answer.line)")
        }
        let said = fixture.said()
        #expect(said.components(separatedBy: "refused to open '/etc/shadow'\n").count == 2, "once")
    }

    @Test func linksThatLeadOutAreNotFollowed() throws {
        let fixture = try Fixture()
        let root = fixture.host.root
        try fixture.start(["--allow-msr"])
        let powercap = root + "/sys/class/powercap"
        symlink("../../../secret-zone", powercap + "/intel-rapl:1")
        symlink(root + "/secret-zone", powercap + "/intel-rapl:2")
        try fixture.host.write("/secret-zone/energy_uj", "secret")
        mkdir(powercap + "/intel-rapl:3", 0o755)
        symlink("/etc/shadow", powercap + "/intel-rapl:3/energy_uj")
        mkdir(powercap + "/intel-rapl:4", 0o755)
        symlink("../intel-rapl:0/energy_uj", powercap + "/intel-rapl:4/energy_uj")
        mkdir(powercap + "/intel-rapl:5", 0o755)
        mkfifo(powercap + "/intel-rapl:5/energy_uj", 0o600)
        mkdir(powercap + "/intel-rapl:6", 0o755)
        mkdir(powercap + "/intel-rapl:6/energy_uj", 0o755)
        symlink("0", root + "/dev/cpu/1")
        for path in (1...6).map({ "/sys/class/powercap/intel-rapl:\($0)/energy_uj" }) + ["/dev/cpu/1/msr"] {
            let answer = try fixture.ask(path + "\n")
            #expect(answer.content == nil && answer.line.hasPrefix("error "), "\(path): \(answer.line)")
        }
        #expect(try fixture.ask(Fixture.energy + "\n").content == "11")
    }

    @Test func registersAreForThoseWhoAskedForThemOnly() throws {
        let fixture = try Fixture()
        try fixture.start(["--allow-msr"])
        let answer = try fixture.ask("/dev/cpu/0/msr\n")
        #expect(answer.content == "msr" && !answer.isWritable)
        for path in ["/dev/cpu/0/cpuid", "/dev/cpu/x/msr", "/dev/ipmi0"] {
            #expect(try fixture.ask(path + "\n").line.hasPrefix("error 13 "), "\(path)")
        }
    }

    @Test func aLongRequestIsLoggedInShort() throws {
        let fixture = try Fixture()
        try fixture.start()
        for end in ["a", "b"] {
            #expect(try fixture.ask("/" + String(repeating: "x", count: 100) + end + "\n").line.hasPrefix("error 13 "))
        }
        #expect(try fixture.ask("\n").line.hasPrefix("error 13 "))
        let lines = fixture.said().split(separator: "\n")
        #expect(lines == ["wattle-broker: refused to open '/\(String(repeating: "x", count: 79))'", "wattle-broker: refused to open ''"])
    }

    @Test func whatWasSaidIsForgottenAfterAnHour() {
        var said = Said()
        let hour = 3_600_000
        for i in 0..<63 { #expect(said.add("\(i)", at: i) == "\(i)") }
        #expect(said.add("0", at: 100) == nil)
        #expect(said.add("last", at: 100)?.contains("no more will be logged") == true)
        #expect(said.add("more", at: hour - 1) == nil)
        #expect(said.add("0", at: hour)?.hasPrefix("0") == true)
        #expect(said.add("more", at: hour + 1) == "more; no more will be logged for up to an hour")
    }

    @Test func theBMCIsForThoseWhoAskedForItOnly() throws {
        let fixture = try Fixture()
        try fixture.start(["--allow-ipmi"])
        let answer = try fixture.ask("/dev/ipmi0\n")
        #expect(answer.content == "bmc" && answer.isWritable)
    }

    @Test func aSlowOrEndlessClientHoldsOthersForASecondAtMost() throws {
        let fixture = try Fixture()
        try fixture.start()
        let slow = try RawClient(fixture.socket)
        _ = slow.send("/sys/class")
        let before = ContinuousClock.now
        #expect(try fixture.ask(Fixture.energy + "\n").content == "11")
        #expect(ContinuousClock.now - before < .seconds(3))
        #expect(try fixture.ask(String(repeating: "/", count: 5_000)).line.hasPrefix("error 13 "))
        #expect(try fixture.ask(Fixture.energy + "\n").content == "11")
    }

    @Test func aDeadBrokersSocketIsReplacedALiveOnesIsNot() throws {
        let fixture = try Fixture()
        try fixture.start()
        let second = Process()
        second.executableURL = Fixture.program
        second.arguments = ["--socket", fixture.socket, "--user", "nobody"]
        let errors = Pipe()
        second.standardError = errors
        try second.run()
        second.waitUntilExit()
        #expect(second.terminationStatus == 1)
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(text.contains("expected no other broker, found one that answers"))

        fixture.stop(SIGKILL)
        #expect(access(fixture.socket, F_OK) == 0, "a killed broker leaves its socket")
        try fixture.start()
        #expect(try fixture.ask(Fixture.energy + "\n").content == "11")
        #expect(fixture.stop() == 0)
        #expect(access(fixture.socket, F_OK) != 0)
    }

    @Test(arguments: [["--nonsense"], ["--user"], ["--user", "no-such-user-here"], ["--socket", String(repeating: "x", count: 200)]])
    func wrongUsageEndsWithTwo(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = Fixture.program
        process.arguments = (arguments.first == "--socket" ? ["--user", "nobody"] : []) + arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 2)
    }

    @Test func systemdsSocketIsTakenOver() throws {
        let fixture = try Fixture()
        let program = """
            import os, socket, sys
            s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(4)
            os.dup2(s.fileno(), 9)
            os.dup2(9, 3, inheritable=True)
            os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
            os.execv(sys.argv[2], sys.argv[2:])
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(BrokerNeeds.python))
        process.arguments = ["-c", program, fixture.socket, Fixture.program.path, "--root", fixture.host.root, "--user", "nobody"]
        try process.run()
        #expect(try fixture.ask(Fixture.energy + "\n").content == "11")
        process.terminate()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(access(fixture.socket, F_OK) == 0, "it is systemd's, and stays")
    }

    // MARK: The agent's side

    /// The kernel's answer to a user without rights: the tests run as root, to whom it denies nothing.
    private struct Denying: FileOpening {
        func open(_ path: String) throws(SensorFault) -> Int32 { throw SensorFault(path: path, errno: EACCES) }
    }

    private func content(_ files: BrokeredFiles, _ path: String) throws -> Int64 { try SensorFile(path, files: files).number() }

    private func fault(_ files: BrokeredFiles, _ path: String) -> SensorFault? {
        do throws(SensorFault) {
            close(try files.open(path))
            return nil
        } catch {
            return error
        }
    }

    @Test func theAgentIsServedAgainAfterTheBrokerWasAway() throws {
        let fixture = try Fixture()
        let files = BrokeredFiles(socket: fixture.socket, root: fixture.host.root, direct: Denying())
        let path = fixture.host.root + Fixture.energy
        #expect(fault(files, path)?.kind == .notPermitted(reason: "no broker answers at \(fixture.socket) (No such file or directory)"))
        try fixture.start()
        #expect(try content(files, path) == 11)
        fixture.stop(SIGKILL)
        let dead = try #require(fault(files, path))
        #expect(dead.description.contains("Connection refused"))
        #expect(dead.remedy?.hasPrefix("start wattle-broker.service or run the agent as root") == true)
        try fixture.start()
        #expect(try content(files, path) == 11)
    }

    @Test func theBrokersRefusalIsSaidAsSuchAndAMissingFileIsMissing() throws {
        let fixture = try Fixture()
        try fixture.start()
        let files = BrokeredFiles(socket: fixture.socket, root: fixture.host.root, direct: Denying())
        let refused = try #require(fault(files, fixture.host.root + "/secret"))
        #expect(refused.description.contains("not among the paths of wattle-broker --print-paths"))
        #expect(fault(files, fixture.host.root + "/sys/class/powercap/intel-rapl:9/energy_uj")?.number == ENOENT)
    }

    @Test func theKernelIsAskedFirst() throws {
        let fixture = try Fixture()
        let files = BrokeredFiles(socket: "/nowhere", root: fixture.host.root)
        #expect(try content(files, fixture.host.root + Fixture.energy) == 11)
        #expect(fault(files, "/nowhere/at/all")?.number == ENOENT)
    }

    @Test func aBrokerThatHangsIsNotWaitedForLong() throws {
        let fixture = try Fixture()
        let listener = try ListeningSocket(path: fixture.socket, group: "none").open(.init(label: "test"))
        defer { close(listener.descriptor) }
        let files = BrokeredFiles(socket: fixture.socket, limitMilliseconds: 150, direct: Denying())
        let before = ContinuousClock.now
        #expect(fault(files, Fixture.energy)?.description.contains("does not answer within 150 ms") == true)
        #expect(ContinuousClock.now - before < .seconds(2))
    }
}
