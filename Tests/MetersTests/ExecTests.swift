import Energy
import FoundationEssentials
import Glibc
import Testing

@testable import Meters

@Suite(.serialized) struct ExecTests {
    let host: FixtureHost

    init() throws {
        host = try FixtureHost()
        try host.addProcessor()
    }

    // MARK: Lines

    private func parse(_ text: String) throws -> ExecLine { try ExecLine.parse(Array(text.utf8)) }

    @Test func aLineSaysPowerOrEnergy() throws {
        #expect(try parse(#"{"power_w": 12.5}"#).value == .power(microwatts: 12_500_000))
        #expect(try parse(#"{"energy_j": 1234.5}"#).value == .energy(microjoules: 1_234_500_000))
        #expect(try parse(#"{"energy_uj": "9007199254740993"}"#).value == .energy(microjoules: 9_007_199_254_740_993))
        #expect(try parse(#"{"energy_uj": 123, "power_w": 5}"#).value == .energy(microjoules: 123))
    }

    @Test func aLineMaySayWhenAndForWhom() throws {
        let line = try parse(
            #"{"power_w":1,"time":"2026-09-01T09:00:02.25Z","zone":"package","package":1,"name":"x","p_max_w":9,"note":"?"}"#
        )
        #expect(line.time == Timestamp(microseconds: 1_788_253_202_250_000))
        #expect(line.zone == .package)
        #expect(line.package == 1)
        #expect(line.name == "x")
        #expect(line.maximum == Power(watts: 9))
        #expect(try parse(#"{"power_w":1,"time":"2026-09-01T11:00:02+02:00"}"#).time == Timestamp(microseconds: 1_788_253_202_000_000))
    }

    @Test(arguments: [
        "", "12.5", "{}", "{\"power_w\": \"much\"}", "{\"energy_uj\": \"1e3\"}", "{\"power_w\":1", "[]",
        "{\"power_w\":1,\"time\":\"noon\"}",
        "{\"power_w\":1,\"zone\":\"attic\"}", "{\"power_w\":1,\"package\":-1.5}",
    ])
    func aLineThatIsNoReadingIsRefused(text: String) {
        #expect(throws: ExecLine.Malformed.self) { try parse(text) }
    }

    @Test func linesComeInPiecesAndHaveAnEnd() {
        var buffer = LineBuffer()
        var lines: [String] = []
        let keep = { (line: ArraySlice<UInt8>) in lines.append(String(decoding: line, as: UTF8.self)) }
        var areShort = [buffer.add(Array("on".utf8), keep), buffer.add(Array("e\n\ntwo\nthr".utf8), keep)]
        buffer.takeRest(keep)
        #expect(lines == ["one", "two", "thr"])
        areShort.append(buffer.add([UInt8](repeating: 0x20, count: LineBuffer.longest + 1), keep))
        #expect(areShort == [true, true, false])
    }

    // MARK: Programs

    private func script(_ text: String, name: String = "meter") throws -> String {
        try host.write("/bin/\(name)", "#!/bin/sh\n\(text)\n")
        let path = "\(host.root)/bin/\(name)"
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }

    private func text(_ file: String) throws -> String { try String(contentsOf: URL(filePath: host.root + file), encoding: .utf8) }

    private func find(_ options: [String: String]) throws -> SensorFindings {
        var given = try host.sensorHost(options: options)
        given.clock = { SensorThread.now() }
        return ExecSensor.find(on: given)
    }

    private func meter(_ text: String, _ options: [String: String] = [:]) throws -> any Meter {
        let found = try find(options.merging(["exec.command": try script(text)]) { a, _ in a })
        return try #require(found.meters.first, "\(found.unused)")
    }

    /// Reads until something is so; what was read, faults as their text.
    private func read(_ meter: inout any Meter, seconds: Int = 6, until isEnough: ([MeterReading], [String]) -> Bool) async throws
        -> (readings: [MeterReading], faults: [String])
    {
        var readings: [MeterReading] = []
        var faults: [String] = []
        for _ in 0..<(seconds * 100) where !isEnough(readings, faults) {
            do throws(SensorFault) {
                let reading = try meter.read(at: SensorThread.now())
                if reading.time == nil || reading.time != readings.last?.time { readings.append(reading) }
            } catch {
                faults.append("\(error)")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(isEnough(readings, faults), "readings \(readings), faults \(faults)")
        return (readings, faults)
    }

    @Test func nothingIsStartedThatWasNotConfigured() throws {
        let found = try find([:])
        #expect(found.meters.isEmpty)
        #expect(found.unused.isEmpty)
    }

    @Test func aProgramIsStartedWithItsMeterAndNotBefore() async throws {
        let path = try script("echo started >> \(host.root)/log; sleep 60")
        var meter = try #require(try find(["exec.command": path]).meters.first)
        try await Task.sleep(for: .milliseconds(100))
        #expect(throws: (any Error).self) { try text("/log") }
        #expect(try meter.read(at: SensorThread.now()).count == 0)
        for _ in 0..<300 {
            do { if try text("/log") == "started\n" { return } } catch {}
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("the program was not started")
    }

    @Test func aProgramsCounterIsTakenAsItIs() async throws {
        var meter = try meter(#"for e in 1000000 1000007 1000500; do echo "{\"energy_uj\": $e}"; sleep 0.1; done; sleep 60"#)
        #expect(meter.place == MeterPlace(name: "exec/meter", zone: .node, package: nil, quality: .sampled))
        let (readings, faults) = try await read(&meter) { readings, _ in readings.last?.count == 500 }
        #expect(faults.isEmpty)
        #expect(readings.filter { $0.gap != nil }.count == 1)
    }

    @Test func aLineThatIsNoReadingIsSaidOnceAndSkipped() async throws {
        var meter = try meter(#"while :; do echo nonsense; echo '{"power_w": 50}'; sleep 0.05; done"#)
        let (readings, faults) = try await read(&meter) { readings, _ in (readings.last?.count ?? 0) > 20_000_000 }
        #expect(faults.count == 1)
        #expect(faults.first?.contains("'nonsense'; such lines are skipped") == true)
        #expect(readings.filter { $0.gap != nil }.count == 1)
    }

    @Test func whatIsReadInASecondHasALimit() {
        var now = Timestamp(microseconds: 0)
        var allowance = ReadAllowance(at: now)
        var lines = 0
        while now < Timestamp(microseconds: 10_000_000) {
            lines += 150
            now = now + allowance.take(lines: 150, bytes: 4_096, at: now) + .milliseconds(1)
        }
        #expect((2_000...2_350).contains(lines))
        var bytes = 0
        allowance = ReadAllowance(at: now)
        let end = now + .seconds(10)
        while now < end {
            bytes += 4_096
            now = now + allowance.take(lines: 1, bytes: 4_096, at: now) + .milliseconds(1)
        }
        #expect((10 << 18...11 << 18).contains(bytes))
        // One that prints a line now and then is never waited for.
        now = now + .seconds(10)
        #expect(allowance.take(lines: 200, bytes: 4_096, at: now) == .zero)
    }

    @Test func aProgramThatPrintsWithoutEndWaitsAndThatIsSaidOnce() async throws {
        var meter = try meter(#"i=0; while :; do i=$((i+1)); echo "{\"energy_uj\": $i}"; done"#)
        let begun = SensorThread.now()
        var count: Int64 = 0
        var faults: [String] = []
        while SensorThread.now() - begun < .seconds(3) {
            do throws(SensorFault) { count = max(count, try meter.read(at: SensorThread.now()).count) } catch { faults.append("\(error)") }
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(count > 0 && count < 1_500)
        #expect(faults.count == 1)
        #expect(faults.first?.contains("at most 200 lines or 256 KiB a second") == true)
    }

    @Test func aProgramThatEndsIsStartedAgainAndTheTimeBetweenIsAGap() async throws {
        var meter = try meter(#"echo x >> \#(host.root)/log; for i in 1 2 3; do echo '{"power_w": 50}'; sleep 0.1; done; exit 3"#)
        let (readings, _) = try await read(&meter, seconds: 8) { readings, _ in readings.filter { $0.gap != nil }.count == 2 }
        let gap = try #require(readings.lastIndex { $0.gap == .unreadable })
        #expect(readings[gap].count == readings[gap - 1].count)
        // 50 W from its first sample to its last, and not the second without the program.
        let first = try #require(readings.first { $0.gap != nil }?.time)
        let last = try #require(readings[gap - 1].time)
        #expect(abs(readings[gap].count - 50 * (last - first).count) <= 1)
        #expect(try #require(readings[gap].time) - last > .milliseconds(900))
        #expect(try text("/log").hasPrefix("x\nx\n"))
    }

    @Test func aProgramThatCannotRunSaysSoAndIsNoDeviceThatWent() async throws {
        var meter = try #require(try find(["exec.command": "\(host.root)/bin/none"]).meters.first)
        let (_, faults) = try await read(&meter) { _, faults in !faults.isEmpty }
        #expect(faults.first?.contains("expected a program that can be started") == true)
    }

    @Test func aProgramOfOneReadingIsRunOnceAPeriod() async throws {
        var meter = try meter(#"echo x >> \#(host.root)/log; echo '{"power_w": 40}'"#, ["exec.period_s": "1"])
        let (readings, faults) = try await read(&meter) { readings, _ in (readings.last?.count ?? 0) > 0 }
        #expect(faults.isEmpty)
        #expect(try text("/log").hasPrefix("x\nx\n"))
        // As long as it really was between the two.
        let first = try #require(readings.first { $0.gap != nil }?.time)
        let last = try #require(readings.last?.time)
        #expect(abs(readings[readings.count - 1].count - 40 * (last - first).count) <= 1)
    }

    @Test func aLineWithoutEndIsTheEndOfTheProgram() async throws {
        var meter = try meter(#"head -c 70000 /dev/zero | tr '\0' 'x'; sleep 60"#)
        let (_, faults) = try await read(&meter) { _, faults in !faults.isEmpty }
        #expect(faults.first?.contains("64 KiB") == true)
    }

    @Test func whatSaysAnOldTimeIsStaleAndNotCounted() async throws {
        var meter = try meter(#"while :; do echo '{"power_w": 50, "time": "1970-01-01T00:00:01Z"}'; sleep 0.05; done"#)
        let (readings, faults) = try await read(&meter) { _, faults in !faults.isEmpty }
        #expect(faults.first?.contains("expected a new value") == true)
        #expect(readings.allSatisfy { $0.count == 0 })
    }

    @Test func aLineThatBreaksItsOwnLimitIsNoEnergy() async throws {
        var meter = try meter(#"while :; do echo '{"power_w": 500, "p_max_w": 100}'; sleep 0.05; done"#)
        let (readings, faults) = try await read(&meter) { _, faults in !faults.isEmpty }
        #expect(faults.first?.contains("at most 100 W") == true)
        #expect(readings.allSatisfy { $0.count == 0 })
    }

    @Test func aProgramEndsWithItsMeterAndSoDoesWhatItStarted() async throws {
        var meter: (any Meter)? = try meter("sleep 61 & echo $! > \(host.root)/child; trap '' TERM; wait; wait; sleep 62")
        _ = try meter?.read(at: SensorThread.now())
        var child = ""
        for _ in 0..<300 where child.isEmpty {
            do { child = String(try text("/child").split(separator: "\n").first ?? "") } catch {}
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(!child.isEmpty)
        let releasing = SensorThread.now()
        meter = nil
        #expect(SensorThread.now() - releasing < .milliseconds(100))
        for _ in 0..<300 {
            let stat: String
            do { stat = try String(contentsOf: URL(filePath: "/proc/\(child)/stat"), encoding: .utf8) } catch { return }
            if stat.contains(") Z ") { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("process \(child) lives on")
    }

    // MARK: Several

    @Test func metersOfOneCommandShareItsProcessAndTakeTheirOwnLines() async throws {
        let lines =
            #"for e in 100 300; do echo "{\"energy_uj\": $e, \"name\": \"a\"}"; echo "{\"energy_uj\": $((e * 10)), \"name\": \"b\"}"; sleep 0.2; done"#
        let path = try script("echo x >> \(host.root)/log; \(lines); sleep 60")
        let found = try find([
            "exec.command": path, "exec.name": "a", "exec.zone": "package", "exec.package": "0",
            "exec.2.command": path, "exec.2.name": "b", "exec.2.zone": "dram", "exec.2.p_max_w": "30",
        ])
        #expect(found.meters.map(\.place.name) == ["exec/a", "exec/b"])
        #expect(found.meters.map(\.maximumPower.watts) == [1_000, 30])
        var first = found.meters[0]
        var second = found.meters[1]
        _ = try second.read(at: SensorThread.now())
        _ = try await read(&first) { readings, _ in readings.last?.count == 200 }
        _ = try await read(&second) { readings, _ in readings.last?.count == 2_000 }
        #expect(try text("/log") == "x\n")
    }

    @Test func aCommandMayBeAListOfWords() async throws {
        let path = try script(#"[ "$2" = "b c" ] && echo '{"energy_j": 1}'; sleep 60"#)
        var meter = try #require(try find(["exec.command": #"["\#(path)", "a", "b c"]"#]).meters.first)
        _ = try await read(&meter) { readings, _ in readings.contains { $0.gap != nil } }
    }

    @Test(arguments: [
        ("exec.command", " "), ("exec.command", "[1]"), ("exec.command", "[\"\"]"), ("exec.zone", "attic"), ("exec.package", "-1"),
        ("exec.p_max_w", "0"), ("exec.period_s", "0.2"),
    ])
    func anOptionThatIsWrongIsSaidWithWhatWasExpected(key: String, value: String) throws {
        let found = try find(["exec.command": "/bin/true"].merging([key: value]) { _, b in b })
        #expect(found.meters.isEmpty)
        #expect(found.unused.map(\.name) == [key])
        #expect(found.unused.allSatisfy { $0.reason.contains("expected") && $0.reason.contains(value) && $0.remedy != nil })
    }
}
