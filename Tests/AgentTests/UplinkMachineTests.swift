import Testing

@testable import Agent

struct UplinkMachineTests {
    let stream = StreamID(bootID: "b", incarnation: String(repeating: "a", count: 32))
    func pending(_ next: UInt64, last: UInt64 = 9, held: UInt64 = 1) -> Spool.Pending {
        Spool.Pending(stream: stream, firstHeld: held, firstUnacknowledged: next, last: last)
    }

    private func answer(_ status: Int?, expected: UInt64? = nil, acknowledged: UInt64? = nil, problem: String = "") -> UplinkAnswer {
        var answer = UplinkAnswer(status: status, detail: "detail")
        answer.expectedSeq = expected
        answer.acknowledgedSeq = acknowledged
        answer.problem = problem
        return answer
    }

    private func opened() -> UplinkMachine {
        var machine = UplinkMachine()
        _ = machine.received(answer(200, expected: 1), to: .open(stream), pending(1), now: .zero, jitter: 0)
        return machine
    }

    @Test func aRefusedTokenIsSaidOnceAndThenHourly() {
        var machine = opened()
        var said: [Int] = []
        for minute in 0...130 {
            var refusal = answer(401)
            // Each answer has an id of its own in its text.
            refusal.detail = "request \(minute)"
            let effect = machine.received(refusal, to: .send(stream, seq: 2), pending(2), now: .seconds(60 * minute), jitter: 0)
            #expect(effect == .nothing)
            if !machine.takeRemarks().isEmpty { said.append(minute) }
        }
        #expect(said == [0, 60, 120])
    }

    @Test func aStreamIsOpenedBeforeItsFirstBatch() {
        var machine = UplinkMachine()
        #expect(machine.next(nil, now: .zero) == .idle)
        #expect(machine.next(pending(1), now: .zero) == .open(stream))
        #expect(machine.received(answer(200, expected: 1), to: .open(stream), pending(1), now: .zero, jitter: 0) == .nothing)
        #expect(machine.next(pending(1), now: .zero) == .send(stream, seq: 1))
    }

    @Test func whatTheCollectorHasAlreadyIsNotSentAgain() {
        var machine = UplinkMachine()
        let effect = machine.received(answer(200, expected: 6), to: .open(stream), pending(1), now: .zero, jitter: 0)
        #expect(effect == .acknowledge(stream, through: 5))
    }

    @Test func anAcknowledgementOfTheBatchInFlightTakesIt() {
        var machine = opened()
        let effect = machine.received(answer(200, acknowledged: 2), to: .send(stream, seq: 2), pending(2), now: .zero, jitter: 0)
        #expect(effect == .acknowledge(stream, through: 2))
    }

    @Test(arguments: [3, 9] as [UInt64])
    func anAcknowledgementOfABatchNeverSentIsAReasonToAskAgain(acknowledged: UInt64) {
        var machine = opened()
        let effect = machine.received(answer(200, acknowledged: acknowledged), to: .send(stream, seq: 2), pending(2), now: .zero, jitter: 0)
        #expect(effect == .nothing)
        #expect(machine.next(pending(2), now: .seconds(1)) == .open(stream))
        // The collector has batch 2, no more: the answer was another's.
        #expect(
            machine.received(answer(200, expected: 3), to: .open(stream), pending(2), now: .zero, jitter: 0)
                == .acknowledge(stream, through: 2)
        )
        #expect(machine.next(pending(3), now: .seconds(1)) == .send(stream, seq: 3))
    }

    @Test func aCollectorThatClaimsBatchesNeverSentGetsThemUnderANewName() {
        var machine = opened()
        _ = machine.received(answer(200, acknowledged: 5), to: .send(stream, seq: 2), pending(2), now: .zero, jitter: 0)
        let effect = machine.received(answer(200, expected: 6), to: .open(stream), pending(2), now: .zero, jitter: 0)
        guard case .reseal(stream, from: 2, refused: nil, _) = effect else { return #expect(Bool(false), "\(effect)") }
    }

    @Test func anAcknowledgementThatComesTwiceTakesNothingElse() {
        var machine = opened()
        let once = machine.received(answer(200, acknowledged: 1), to: .send(stream, seq: 1), pending(1), now: .zero, jitter: 0)
        #expect(once == .acknowledge(stream, through: 1))
        let twice = machine.received(answer(200, acknowledged: 1), to: .send(stream, seq: 2), pending(2), now: .zero, jitter: 0)
        #expect(twice == .nothing)
        #expect(machine.next(pending(2), now: .seconds(1)) == .send(stream, seq: 2))
    }

    @Test func anAcknowledgementFromBeforeARewindTakesNothing() {
        var machine = opened()
        for seq in 1...6 as ClosedRange<UInt64> {
            _ = machine.received(answer(200, acknowledged: seq), to: .send(stream, seq: seq), pending(seq), now: .zero, jitter: 0)
        }
        let back = machine.received(answer(409, expected: 3), to: .send(stream, seq: 7), pending(7), now: .zero, jitter: 0)
        #expect(back == .rewind(stream, to: 3))
        let late = machine.received(answer(200, acknowledged: 6), to: .send(stream, seq: 3), pending(3), now: .zero, jitter: 0)
        #expect(late == .nothing)
        #expect(machine.next(pending(3), now: .seconds(1)) == .open(stream))
    }

    @Test(arguments: [0, 1, nil] as [UInt64?])
    func anOldOrNoAcknowledgementAcknowledgesNothing(acknowledged: UInt64?) {
        var machine = opened()
        let effect = machine.received(answer(200, acknowledged: acknowledged), to: .send(stream, seq: 2), pending(2), now: .zero, jitter: 0)
        #expect(effect == .nothing)
        #expect(machine.next(pending(2), now: .zero) == .wait(.seconds(1)))
        #expect(machine.next(pending(2), now: .seconds(1)) == .send(stream, seq: 2))
    }

    @Test func aConflictOfNumbersRewindsAtOnce() {
        var machine = opened()
        #expect(
            machine.received(answer(409, expected: 3), to: .send(stream, seq: 6), pending(6), now: .zero, jitter: 0)
                == .rewind(stream, to: 3)
        )
        // This is no failure.
        #expect(machine.next(pending(3), now: .zero) == .send(stream, seq: 3))
    }

    @Test func aConflictThatWouldSkipAsksFirst() {
        var machine = opened()
        #expect(
            machine.received(answer(409, expected: 8), to: .send(stream, seq: 6), pending(6), now: .zero, jitter: 0) == .nothing
        )
        #expect(machine.next(pending(6), now: .zero) == .open(stream))
    }

    @Test func aCollectorThatSendsTheAgentToAndFroIsFollowedEverMoreSlowly() {
        var machine = opened()
        var waits: [Duration] = []
        for round in 0..<9 {
            let seq: UInt64 = round.isMultiple(of: 2) ? 6 : 3
            _ = machine.received(answer(409, expected: 9 - seq), to: .send(stream, seq: seq), pending(seq), now: .zero, jitter: 0)
            if case .wait(let duration) = machine.next(pending(9 - seq), now: .zero) { waits.append(duration) } else { waits.append(.zero) }
        }
        #expect(waits == [0, 1, 2, 4, 8, 16, 32, 60, 60].map { .seconds($0) })
    }

    @Test func aCollectorThatIsAlwaysAheadDoesNotKeepTheAgentRewritingItsSpool() {
        var machine = UplinkMachine()
        var waits: [Duration] = []
        for round in 0..<4 {
            let stream = StreamID(bootID: "b", incarnation: "\(round)")
            let pending = Spool.Pending(stream: stream, firstHeld: 1, firstUnacknowledged: 1, last: 3)
            guard case .reseal = machine.received(answer(200, expected: 42), to: .open(stream), pending, now: .zero, jitter: 0) else {
                return #expect(Bool(false))
            }
            if case .wait(let duration) = machine.next(pending, now: .zero) { waits.append(duration) } else { waits.append(.zero) }
        }
        #expect(waits == [0, 1, 2, 4].map { .seconds($0) })
    }

    @Test func aRewindBeyondWhatIsKeptBeginsANewStream() {
        var machine = opened()
        let effect = machine.received(answer(409, expected: 2), to: .send(stream, seq: 7), pending(7, held: 5), now: .zero, jitter: 0)
        guard case .reseal(stream, from: 5, refused: nil, _) = effect else { return #expect(Bool(false), "\(effect)") }
        #expect(machine.next(pending(1), now: .zero) == .open(stream))
    }

    @Test func aCollectorAheadOfTheSpoolBeginsANewStream() {
        var machine = UplinkMachine()
        let effect = machine.received(answer(200, expected: 42), to: .open(stream), pending(3), now: .zero, jitter: 0)
        guard case .reseal(stream, from: 3, refused: nil, _) = effect else { return #expect(Bool(false), "\(effect)") }
    }

    @Test func aStreamConflictBeginsANewStreamWithAllThatIsHeld() {
        var machine = opened()
        let conflict = answer(409, expected: 5, problem: "https://example.org/problems/stream-conflict")
        let effect = machine.received(conflict, to: .send(stream, seq: 4), pending(4, held: 2), now: .zero, jitter: 0)
        guard case .reseal(stream, from: 2, refused: nil, _) = effect else { return #expect(Bool(false), "\(effect)") }
    }

    @Test(arguments: [400, 413, 422])
    func aRefusalForGoodLeavesTheBatchOut(status: Int) {
        var machine = opened()
        let effect = machine.received(answer(status), to: .send(stream, seq: 4), pending(4), now: .zero, jitter: 0)
        guard case .reseal(stream, from: 4, refused: 4, _) = effect else { return #expect(Bool(false), "\(effect)") }
        // A collector that refuses everything does not keep the agent busy.
        guard case .wait = machine.next(pending(1), now: .zero) else { return #expect(Bool(false)) }
    }

    @Test(arguments: [401, 403])
    func aRefusedTokenIsSaidOnceAndTriedSlowly(status: Int) {
        var machine = opened()
        var now = Duration.zero
        for _ in 0..<5 {
            #expect(machine.received(answer(status), to: .send(stream, seq: 1), pending(1), now: now, jitter: 1) == .nothing)
            #expect(machine.next(pending(1), now: now) == .wait(.seconds(75)))
            now += .seconds(75)
        }
        #expect(machine.takeRemarks().count == 1)
        _ = machine.received(answer(200, acknowledged: 1), to: .send(stream, seq: 1), pending(1), now: now, jitter: 0)
        #expect(machine.takeRemarks() == [.notice("the collector takes batches again")])
    }

    @Test(arguments: [nil, 429, 500, 502, 503] as [Int?])
    func backoffDoublesUpToAMinute(status: Int?) {
        var machine = opened()
        var waits: [Duration] = []
        for _ in 0..<9 {
            _ = machine.received(answer(status), to: .send(stream, seq: 1), pending(1), now: .zero, jitter: 0)
            guard case .wait(let duration) = machine.next(pending(1), now: .zero) else { return #expect(Bool(false)) }
            waits.append(duration)
        }
        #expect(waits == [1, 2, 4, 8, 16, 32, 60, 60, 60].map { .seconds($0) })
    }

    @Test func jitterTakesUpToHalfAway() {
        var machine = opened()
        _ = machine.received(answer(503), to: .send(stream, seq: 1), pending(1), now: .zero, jitter: 1)
        #expect(machine.next(pending(1), now: .zero) == .wait(.milliseconds(500)))
    }

    @Test func retryAfterIsHonoured() {
        var machine = opened()
        var busy = answer(429)
        busy.retryAfter = .seconds(120)
        _ = machine.received(busy, to: .send(stream, seq: 1), pending(1), now: .zero, jitter: 0)
        #expect(machine.next(pending(1), now: .seconds(119)) == .wait(.seconds(1)))
        #expect(machine.next(pending(1), now: .seconds(120)) == .send(stream, seq: 1))
    }

    @Test func whatIsAskedOfAllAtOnceIsNotObeyedByAllAtOnce() {
        for (asked, longest) in [(2, 3), (120, 150), (3_600, 3_660)] as [(Int64, Int64)] {
            for jitter in [0, 0.5, 1] {
                var machine = opened()
                var busy = answer(503)
                busy.retryAfter = .seconds(asked)
                _ = machine.received(busy, to: .send(stream, seq: 1), pending(1), now: .zero, jitter: jitter)
                let expected = Duration.seconds(asked) + .seconds(longest - asked) * jitter
                #expect(machine.next(pending(1), now: .zero) == .wait(expected))
            }
        }
    }

    @Test func aRedirectIsSaidAndTriedSlowly() {
        var machine = opened()
        _ = machine.received(answer(301), to: .send(stream, seq: 1), pending(1), now: .zero, jitter: 0)
        #expect(machine.next(pending(1), now: .zero) == .wait(.seconds(60)))
        guard case .warning(let text) = machine.takeRemarks().first else { return #expect(Bool(false)) }
        #expect(text.contains("URL"))
    }

    // MARK: Compression

    @Test func aCollectorThatRefusesTheEncodingGetsNoneFromThenOn() {
        var machine = opened()
        #expect(machine.compresses(stream, seq: 1))
        let effect = machine.received(answer(415), to: .send(stream, seq: 1), pending(1), now: .zero, jitter: 0, wasCompressed: true)
        #expect(effect == .nothing)
        #expect(machine.next(pending(1), now: .zero) == .send(stream, seq: 1), "at once: nothing is wrong")
        #expect(!machine.compresses(stream, seq: 1))
        #expect(!machine.compresses(stream, seq: 2))
        #expect(machine.takeRemarks().count == 1)
    }

    @Test func anUncompressedBatchThatIsNoMediaTypeIsKept() {
        var machine = opened()
        #expect(machine.received(answer(415), to: .send(stream, seq: 1), pending(1), now: .zero, jitter: 0) == .nothing)
        #expect(machine.next(pending(1), now: .zero) == .wait(.seconds(1)))
        #expect(machine.mayCompress)
    }

    @Test(arguments: [400, 422])
    func aBatchRefusedCompressedIsTriedPlainBeforeItIsGivenUp(status: Int) {
        var machine = opened()
        let first = machine.received(answer(status), to: .send(stream, seq: 1), pending(1), now: .zero, jitter: 0, wasCompressed: true)
        #expect(first == .nothing)
        #expect(machine.next(pending(1), now: .zero) == .send(stream, seq: 1))
        #expect(!machine.compresses(stream, seq: 1))
        // It was the compression: never again.
        var misread = machine
        let taken = misread.received(answer(200, acknowledged: 1), to: .send(stream, seq: 1), pending(1), now: .zero, jitter: 0)
        #expect(taken == .acknowledge(stream, through: 1))
        #expect(!misread.mayCompress)
        // It was the batch: it alone is left out.
        let refused = machine.received(answer(status), to: .send(stream, seq: 1), pending(1), now: .zero, jitter: 0)
        guard case .reseal(stream, from: 1, refused: 1, _) = refused else { return #expect(Bool(false), "\(refused)") }
        #expect(machine.mayCompress)
    }

    @Test func theNextStreamIsOpenedAfterTheOldOneEnded() {
        var machine = opened()
        let other = StreamID(bootID: "c", incarnation: String(repeating: "b", count: 32))
        let next = Spool.Pending(stream: other, firstHeld: 1, firstUnacknowledged: 1, last: 1)
        #expect(machine.next(next, now: .zero) == .open(other))
    }
}
