import Energy
import Testing

@testable import Agent

struct PaceTests {
    @Test func deadlinesStayOnTheirGridWhateverIsMissed() {
        let period = Microseconds.milliseconds(100)
        #expect(Sampler.deadline(after: .zero, from: .zero, every: period) == .milliseconds(100))
        #expect(Sampler.deadline(after: .milliseconds(130), from: .milliseconds(100), every: period) == .milliseconds(200))
        #expect(Sampler.deadline(after: .milliseconds(5_050), from: .milliseconds(100), every: period) == .milliseconds(5_100))
        #expect(Sampler.deadline(after: .milliseconds(99), from: .milliseconds(100), every: period) == .milliseconds(100))
    }

    @Test func aFillingSpoolSlowsTheAgentDownInSteps() {
        let steps = [0.0, 0.6, 0.75, 0.9, 0.97, 1, 3].map { SealingPace.Pressure(fill: $0) }
        #expect(steps[0] == .none && steps[1] == .none)
        #expect(zip(steps, steps.dropFirst()).allSatisfy { $0.interval <= $1.interval && $0.coarseness <= $1.coarseness })
        #expect(steps.map(\.isFull) == [false, false, false, false, false, true, true])
    }

    @Test func theClockOffsetIsThatOfTheShortestRoundTrip() {
        let offset = ClockOffset()
        #expect(offset.best == nil)
        func note(_ sent: Int64, _ answered: Int64, _ received: Int64, at seconds: Int64) {
            offset.note(
                sent: Timestamp(microseconds: sent),
                answered: Timestamp(microseconds: answered),
                received: Timestamp(microseconds: received),
                boottime: .seconds(seconds)
            )
        }
        note(1_000, 6_100, 1_200, at: 1)
        #expect(offset.best == Microseconds(5_000))
        note(2_000, 9_000, 4_000, at: 2)
        #expect(offset.best == Microseconds(5_000))
        note(3_000, 9_000, 5_000, at: 1_000)
        #expect(offset.best == Microseconds(5_000))
        note(3_000, 9_050, 3_100, at: 1_001)
        #expect(offset.best == Microseconds(6_000))
    }

    @Test func aRingWhileNobodyWaitsIsKept() async {
        let bell = Doorbell()
        bell.ring()
        bell.ring()
        let begun = ContinuousClock.now
        await bell.wait(atMost: .seconds(20))
        #expect(ContinuousClock.now - begun < .seconds(10))
        await bell.wait(atMost: .milliseconds(20))
        #expect(ContinuousClock.now - begun >= .milliseconds(20))
    }
}
