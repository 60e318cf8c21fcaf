import Energy
import Foundation
import Gzip
import Store
import TestSupport
import Testing

@testable import Collector

/// What `wattle-collector load --traces` replays is what an agent would have sent of those samples.
@Suite struct LoadRecordingTests {
    private static func recording(samples: Int, seed: UInt64) throws -> (recording: LoadRecording, text: String) {
        var random = RandomSource(seed: seed)
        var counts: [Int64] = [0, 0]
        var text = "t_us,package,dram\n"
        for sample in 0..<samples {
            // Work that comes and goes: 2 to 200 W for some seconds.
            let isBusy = sample / 70 % 2 == 0
            counts[0] += Int64.random(in: isBusy ? 15_000_000...20_000_000 : 200_000...300_000, using: &random)
            counts[1] += Int64.random(in: 100_000...3_000_000, using: &random)
            text += "\(sample * 100_000),\(counts[0]),\(counts[1])\n"
        }
        return (try LoadRecording(csv: text, name: "made up"), text)
    }

    @Test(arguments: [0.5, 10, 3_600])
    func everySampleIsWithinAJouleOfTheBatchesKnots(batchSeconds: Double) throws {
        let (recording, _) = try Self.recording(samples: 1_000, seed: 6)
        var plan = LoadPlan(hosts: 3, seed: 1)
        plan.recordings = [recording]
        plan.batchInterval = Microseconds(Int64(batchSeconds * 1e6))
        let host = LoadHost(plan: plan, run: "ab", number: 2, start: Farm.start)
        let bodies = try host.bodies()
        #expect(bodies.count == max(1, Int(100 / batchSeconds)))
        #expect(bodies.reduce(0) { $0 + $1.samples } == 2_000)
        var knots: [[Knot]] = [[], []]
        for (number, body) in bodies.enumerated() {
            let record = try ReadingsDecoding.decode(Gzip.decompress(body.bytes, limit: 1 << 22))
            #expect(record.sequence == Int64(number + 2) && record.knotCount == body.knots && record.tails.count == 2)
            for (ref, column) in record.columns { knots[Int(ref) - 1] += column }
        }
        for meter in 0..<2 {
            let curve = Curve(knots: knots[meter])
            for (time, count) in zip(recording.times, recording.counts[meter]) {
                // The third host: 74 ms later, counting from twice 12,345.6 J.
                let line = try #require(curve.value(at: Farm.start + Microseconds(time + 74_000)))
                #expect(abs(line - Double(count + 24_691_200_000)) <= 1_000_001)
            }
        }
    }

    @Test func theFirstHostReplaysTheFirstRecordingAndSoOnOverAgain() throws {
        var plan = LoadPlan(hosts: 5)
        plan.recordings = [try Self.recording(samples: 20, seed: 1).recording, try Self.recording(samples: 30, seed: 2).recording]
        let samples = try (0..<5).map { number in
            try LoadHost(plan: plan, run: "0", number: number, start: Farm.start).bodies().reduce(0) { $0 + $1.samples }
        }
        #expect(samples == [40, 60, 40, 60, 40])
    }

    @Test(arguments: [
        ("", "line 1: expected t_us and 1 to 64 meters"), ("t_us,a\n", "expected samples, found none"),
        ("t_us,a\n0,1\n0,2\n", "line 3: expected a later time"), ("t_us,a\n0,2\n100,1\n", "line 3: expected a count that does not fall"),
        ("t_us,a\n0,1,2\n", "line 2: expected 2 whole numbers"), ("t_us,a\n0,1.5\n", "line 2: expected 2 whole numbers"),
        ("t_us,a\n3600000001,1\n", "line 2: expected a later time of at most an hour"), ("t_us,a\n0,-1\n", "line 2: expected a count"),
    ])
    func whatIsNoRecordingIsRefusedNamingTheLine(csv: String, reason: String) {
        do {
            _ = try LoadRecording(csv: csv, name: "a.csv")
            Issue.record("expected a.csv to be refused")
        } catch {
            #expect("\(error)".contains("a.csv") && "\(error)".contains(reason), "\(error)")
        }
    }

    @Test func aFolderOrFileThatCannotBeReadIsNamed() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("wattle-recordings-\(UUID().uuidString)")
        func fault(_ path: String) -> String {
            do {
                return "read: \(try LoadRecording.read(folder: path).count)"
            } catch {
                return "\(error)"
            }
        }
        #expect(fault(folder.path) == "\(folder.path): expected a folder of recordings, found none that can be read")
        // A folder by the name of a recording cannot be read as a file, whoever asks.
        try FileManager.default.createDirectory(at: folder.appendingPathComponent("a.csv"), withIntermediateDirectories: true)
        #expect(fault(folder.path) == "\(folder.path)/a.csv: expected a recording, found a file that cannot be read")
        try FileManager.default.removeItem(at: folder.appendingPathComponent("a.csv"))
        #expect(fault(folder.path).hasSuffix("expected recordings (*.csv), found none"))
        try FileManager.default.removeItem(at: folder)
    }
}
