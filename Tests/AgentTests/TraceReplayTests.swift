import Energy
import FoundationEssentials
import Testing

@testable import Agent

/// Real traces of a 2-socket Broadwell-EP at 5 ms (ICPE 2024, github.com/lukalt/icpe-2024-rapl-validation). They are not part of the
/// project: where they are absent these tests are skipped and say so.
private let traceFolder = URL(filePath: #filePath).deletingLastPathComponent().path + "/../../../shared/data/rapl"
private var hasTraces: Bool { FileManager.default.fileExists(atPath: traceFolder) }

struct TraceReplayTests {
    private static func traces() throws -> [(name: String, trace: EnergyTrace)] {
        try FileManager.default.contentsOfDirectory(atPath: traceFolder).filter { $0.hasSuffix(".csv") }.sorted().map { name in
            (name, try EnergyTrace(csv: String(contentsOfFile: "\(traceFolder)/\(name)", encoding: .utf8)))
        }
    }

    @Test(.enabled(if: hasTraces, "the real traces are not here"))
    func theRealTracesKeepOneReadingInFortyAndStayWithinTheirBounds() throws {
        let traces = try Self.traces()
        #expect(traces.count == 8)
        var samples = 0
        var knots = 0
        var distances: [Double] = []
        for (name, trace) in traces {
            let replay = try TraceReplay(trace)
            for curve in replay.curves {
                samples += curve.samples
                knots += curve.knots
                distances += curve.distances
                #expect(curve.counted == curve.recorded, "\(name) \(curve.name): to the µJ")
                #expect(curve.worstSampleJoules <= 1.000_001, "\(name) \(curve.name)")
                #expect(curve.distances.last ?? 0 <= curve.boundJoules, "\(name) \(curve.name)")
            }
        }
        distances.sort()
        #expect(Double(samples) / Double(knots) >= 40, "\(samples) readings, \(knots) knots")
        #expect(distances[Int(0.999 * Double(distances.count))] <= 1.1)
    }

    @Test(.enabled(if: hasTraces, "the real traces are not here"), arguments: [1.0, 50, 100, 1_000])
    func noRateAndNoWrapLosesAMicrojouleOfARealTrace(rate: Double) throws {
        let (_, trace) = try Self.traces()[0]
        // 1 kJ turns several times within the trace.
        let replay = try TraceReplay(trace, rate: rate, wrapAt: 1_000_000_000)
        for curve in replay.curves { #expect(curve.counted == curve.recorded, "\(curve.name)") }
    }

    @Test func aTraceTellsWhatItExpected() throws {
        for (text, part) in [
            ("", "expected rows"), ("a,b\n", "t_s and energy_j"), ("t_s,energy_j\n1,x\n", "line 2"), ("t_s,energy_j\n1,-1\n", "line 2"),
            ("t_s,energy_j,domain\n1,1,roof\n", "domain"), ("t_s,energy_j\n2,1\n1,1\n", "later"), ("t_s,energy_j\n1e300,1\n", "line 2"),
        ] {
            let fault = #expect(throws: EnergyTrace.Fault.self) { try EnergyTrace(csv: text) }
            #expect(fault?.description.contains(part) == true, "\(text): \(fault?.description ?? "")")
        }
    }

    @Test func onlyTheAgentLosesNoneOnEveryCounter() {
        let demo = AliasingDemo(duration: .hour)
        for row in demo.rows where row.reader == .agent { #expect(row.missedRatio == 0 && row.declaredGaps == 0 && row.turns > 0) }
        for row in demo.rows where row.reader == .wrapAwareAt15Seconds { #expect(row.missedRatio == 0) }
        for row in demo.rows where row.reader == .prometheusAt15Seconds { #expect(row.missedRatio > 0.001, "\(row)") }
        for row in demo.rows where row.reader == .wrapAwareAtOneHour { #expect(row.missedRatio > 0.5, "\(row)") }
    }
}
