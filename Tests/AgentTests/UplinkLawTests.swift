import TestSupport
import Testing

@testable import Agent

/// The uplink's law over random histories: whatever answers are lost, repeated, late or senseless, each batch arrives once.
struct UplinkLawTests {
    /// A spool as the machine sees it: streams of batches, each batch with the identity that its knots have for the collector.
    private struct ModelSpool {
        var streams: [(id: StreamID, batches: [Int], acknowledged: UInt64)] = []
        var drawn = 0

        init(batches: Range<Int>) { begin(Array(batches)) }

        mutating func begin(_ batches: [Int]) {
            drawn += 1
            streams.append((StreamID(bootID: "b", incarnation: "\(drawn)"), batches, 0))
        }

        var pending: Spool.Pending? {
            streams.first { $0.acknowledged < $0.batches.count }.map {
                Spool.Pending(stream: $0.id, firstHeld: 1, firstUnacknowledged: $0.acknowledged + 1, last: UInt64($0.batches.count))
            }
        }

        func batch(_ stream: StreamID, _ seq: UInt64) -> Int? {
            streams.first { $0.id == stream }.flatMap { seq >= 1 && seq <= $0.batches.count ? $0.batches[Int(seq) - 1] : nil }
        }

        mutating func apply(_ effect: UplinkMachine.Effect) {
            switch effect {
            case .nothing: break
            case .acknowledge(let id, let seq), .rewind(let id, let seq):
                guard let i = streams.firstIndex(where: { $0.id == id }) else { return }
                if case .rewind = effect { streams[i].acknowledged = seq - 1 } else { streams[i].acknowledged = seq }
            case .reseal(let id, let first, let refused, _):
                guard let i = streams.firstIndex(where: { $0.id == id }) else { return }
                let rest = (first...UInt64(max(Int(first), streams[i].batches.count))).filter { $0 != refused }.compactMap { batch(id, $0) }
                streams[i].batches.removeLast(streams[i].batches.count - Int(first) + 1)
                streams[i].acknowledged = min(streams[i].acknowledged, UInt64(streams[i].batches.count))
                begin(rest)
            }
        }
    }

    /// A collector by the book. Knots that it has already, from another stream, it leaves out.
    private struct ModelCollector {
        var cursors: [StreamID: UInt64] = [:]
        var digests: [StreamID: Int] = [:]
        var arrivals: [Int: Int] = [:]
        /// From before its last commits, as after a failover.
        var earlier: (cursors: [StreamID: UInt64], digests: [StreamID: Int], arrivals: [Int: Int]) = ([:], [:], [:])

        mutating func open(_ stream: StreamID) -> UplinkAnswer { Self.answer(200, expected: cursors[stream, default: 0] + 1) }

        mutating func take(_ stream: StreamID, _ seq: UInt64, _ batch: Int) -> UplinkAnswer {
            let cursor = cursors[stream, default: 0]
            if seq == cursor, digests[stream] == batch { return Self.answer(200, acknowledged: seq) }
            guard seq == cursor + 1 else {
                if seq > cursor { return Self.answer(409, expected: cursor + 1, problem: "missing-batches") }
                return Self.answer(409, problem: "stream-conflict")
            }
            cursors[stream] = seq
            digests[stream] = batch
            if arrivals[batch] == nil { arrivals[batch] = 1 }
            return Self.answer(200, acknowledged: seq)
        }

        mutating func remember() { earlier = (cursors, digests, arrivals) }

        /// Only of the stream that is still being sent: of one that has ended the agent hears nothing more. (What is lost then is
        /// some of the curve's knots; the next one carries the whole count.)
        mutating func failOver(sending stream: StreamID?) {
            guard let stream, cursors.allSatisfy({ $0.key == stream || earlier.cursors[$0.key] == $0.value }) else { return }
            (cursors, digests, arrivals) = earlier
        }

        static func answer(_ status: Int?, expected: UInt64? = nil, acknowledged: UInt64? = nil, problem: String = "") -> UplinkAnswer {
            var answer = UplinkAnswer(status: status, detail: "model")
            answer.expectedSeq = expected
            answer.acknowledgedSeq = acknowledged
            answer.problem = problem
            return answer
        }
    }

    @Test(arguments: 0..<LongRun.rounds(short: 400, long: 20_000))
    func everyBatchArrivesOnceWhateverTheAnswersDo(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        var machine = UplinkMachine()
        var spool = ModelSpool(batches: 0..<12)
        var next = 12
        var collector = ModelCollector()
        var clock = Duration.zero
        /// Answers to sent batches of the stream, to come again later.
        var old: [(stream: StreamID, answer: UplinkAnswer)] = []
        var steps = 0
        while let pending = spool.pending, steps < 3_000 {
            steps += 1
            let isFaulty = steps < 250
            let step = machine.next(pending, now: clock)
            var answer: UplinkAnswer
            switch step {
            case .idle: return #expect(Bool(false), "idle with batches to send")
            case .wait(let duration):
                #expect(duration <= .seconds(3_700))
                clock += duration
                continue
            case .open(let stream): answer = collector.open(stream)
            case .send(let stream, let seq):
                guard let batch = spool.batch(stream, seq) else { return #expect(Bool(false), "batch \(seq) is sent, but not there") }
                let fault = isFaulty ? Int.random(in: 0..<14, using: &random) : 99
                if fault == 0 {
                    // Lost on its way.
                    answer = ModelCollector.answer(nil)
                    break
                }
                let honest = collector.take(stream, seq, batch)
                // The answer is lost, one that came before comes again, or it makes no sense.
                let impossible = UInt64.random(in: (pending.last + 1)...(pending.last + 9), using: &random)
                let neverSent = seq + UInt64.random(in: 1...3, using: &random)
                answer =
                    switch fault {
                    case 1: ModelCollector.answer(nil)
                    case 2, 3:
                        // One about this very batch from before a failover is beyond telling apart.
                        old.filter { $0.stream == stream && $0.answer.acknowledgedSeq != seq }.randomElement(using: &random)?.answer
                            ?? honest
                    case 4: ModelCollector.answer([500, 502, 503, 429].randomElement(using: &random))
                    case 5: ModelCollector.answer(200)
                    case 6: ModelCollector.answer(200, acknowledged: impossible)
                    case 7: ModelCollector.answer(200, acknowledged: neverSent)
                    case 8: ModelCollector.answer(409, expected: [0, 1, seq, neverSent, impossible].randomElement(using: &random))
                    case 9: ModelCollector.answer(200, acknowledged: 0)
                    default: honest
                    }
                old.append((stream, honest))
                if fault == 10 { collector.remember() }
            }
            spool.apply(machine.received(answer, to: step, pending, now: clock, jitter: .random(in: 0...1, using: &random)))
            _ = machine.takeRemarks()
            if isFaulty, Int.random(in: 0..<40, using: &random) == 0 { collector.failOver(sending: spool.pending?.stream) }
            if isFaulty, Int.random(in: 0..<4, using: &random) == 0, let last = spool.streams.indices.last {
                spool.streams[last].batches.append(next)
                next += 1
            }
            if isFaulty, Int.random(in: 0..<60, using: &random) == 0 {
                // Killed and begun again: what was acknowledged is known to the collector only.
                machine = UplinkMachine()
                for i in spool.streams.indices { spool.streams[i].acknowledged = 0 }
            }
        }
        #expect(spool.pending == nil, "the queue is empty in the end")
        let lost = (0..<next).filter { collector.arrivals[$0] != 1 }
        #expect(lost.isEmpty, "of \(next) batches")
    }
}
