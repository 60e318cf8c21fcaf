import Energy
import Testing

@testable import Agent

struct CurveRecorderTests {
    private let noon = Timestamp(microseconds: 1_767_268_800_000_000)

    @Test func anHourBoundaryBetweenTwoSamplesIsAKnotOnTheLine() {
        var recorder = CurveRecorder(epsilon: 1_000_000)
        recorder.add(time: noon - .milliseconds(30), value: 1_000)
        recorder.add(time: noon + .milliseconds(70), value: 2_000)
        let knots = recorder.take().knots
        #expect(knots.last == Knot(time: noon, value: 1_300, flags: .hour))
    }

    @Test func aSampleAtTheHourItselfIsTheHoursKnot() {
        var recorder = CurveRecorder(epsilon: 1_000_000)
        recorder.add(time: noon - .seconds(1), value: 1_000)
        recorder.add(time: noon, value: 1_500)
        recorder.add(time: noon + .seconds(1), value: 2_000)
        #expect(recorder.take().knots.filter { $0.flags.contains(.hour) } == [Knot(time: noon, value: 1_500, flags: .hour)])
    }

    @Test func everyHourOfALongStretchStandsAlone() {
        var recorder = CurveRecorder(epsilon: 1_000_000)
        recorder.add(time: noon + .seconds(1), value: 0)
        recorder.add(time: noon + .seconds(3 * 3_600 + 1), value: 3 * 3_600)
        let hours = recorder.take().knots.filter { $0.flags.contains(.hour) }
        #expect(hours.map(\.time) == (1...3).map { noon + .seconds($0 * 3_600) })
        #expect(hours.map(\.value) == [3_599, 7_199, 10_799])
    }

    @Test func aForcedEdgeIsTheVeryReading() {
        var recorder = CurveRecorder(epsilon: 1_000_000)
        recorder.add(time: noon + .seconds(1), value: 10)
        recorder.add(time: noon + .seconds(2), value: 20)
        recorder.add(time: noon + .seconds(3), value: 1_234, flags: .edge)
        #expect(recorder.take().knots.last == Knot(time: noon + .seconds(3), value: 1_234, flags: .edge))
        #expect(recorder.isTailAKnot)
    }

    @Test func acrossAGapTheCurveIsFlatBetweenTwoFlaggedKnots() {
        var recorder = CurveRecorder(epsilon: 1_000_000)
        recorder.add(time: noon + .seconds(1), value: 10)
        recorder.add(time: noon + .seconds(2), value: 20)
        recorder.addAfterGap(time: noon + .seconds(9), low: 3, high: 700, cause: .wrap)
        let (knots, gaps) = recorder.take()
        #expect(
            knots.suffix(2) == [
                Knot(time: noon + .seconds(2), value: 20, flags: .gapEdge), Knot(time: noon + .seconds(9), value: 20, flags: .gapEdge),
            ]
        )
        #expect(gaps == [Gap(interval: Interval(noon + .seconds(2), noon + .seconds(9)), low: 3, high: 700, cause: .wrap)])
    }

    @Test func noSampleIsOffByMoreThanEpsilonWhateverIsForced() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            var recorder = CurveRecorder(epsilon: 1_000)
            var samples: [Knot] = []
            var time = noon - .seconds(5)
            var value: Int64 = 0
            for _ in 0..<400 {
                let flags: KnotFlags = Int.random(in: 0..<40, using: &random) == 0 ? .edge : []
                recorder.add(time: time, value: value, flags: flags)
                samples.append(Knot(time: time, value: value))
                time = time + Microseconds(Int64.random(in: 1...100_000, using: &random))
                value += Int64.random(in: 0...Int64.random(in: 1...3_000, using: &random), using: &random)
            }
            recorder.force()
            let curve = Curve(knots: recorder.take().knots)
            for sample in samples {
                let off = abs((curve.value(at: sample.time) ?? .infinity) - Double(sample.value))
                // An hour's knot is rounded to a whole unit.
                #expect(off <= 1_001)
            }
            #expect(curve.knots.last?.value == samples.last?.value)
        }
    }

    @Test func thinningKeepsEndsHoursAndGapsAndTheTotal() {
        var knots = (0...1_000).map { (i: Int64) in Knot(time: noon + .seconds(i), value: i * 100 + i % 2 * 50) }
        knots[500].flags = .hour
        knots[600].flags = .gapEdge
        let kept = thinned(knots, epsilon: 100)
        #expect(kept.count < 10)
        #expect(kept.first == knots.first)
        #expect(kept.last?.value == knots.last?.value)
        #expect(kept.contains(knots[500]) && kept.contains(knots[600]))
    }

    @Test func aCoarserEpsilonGoesOnFromTheLatestSample() {
        var recorder = CurveRecorder(epsilon: 1)
        recorder.add(time: noon + .seconds(1), value: 0)
        recorder.add(time: noon + .seconds(2), value: 7)
        recorder.setEpsilon(64)
        recorder.add(time: noon + .seconds(3), value: 9)
        recorder.force()
        let knots = recorder.take().knots
        #expect(knots.map(\.value) == [0, 7, 9])
    }
}
