import Energy
import FoundationEssentials
import Meters
import SwiftProtobuf
import Wire

/// A curve fed by a raw count: the agent's own count since it first saw the source, continued across restarts.
struct CountedCurve {
    /// What happens to the count over a time in which the agent did not run.
    enum Absence: Hashable, Sendable {
        /// The source counted on; the raw difference tells.
        case counted
        /// Nobody knows: a gap.
        case unknown
        /// The source is the agent itself, which used nothing while it did not run; its raw count starts at 0.
        case nothing
    }

    var announcement: WireCurveAnnouncement
    var isAnnounced = false
    private(set) var recorder: CurveRecorder
    private var counter: CounterUnwrapping
    private let absence: Absence
    private(set) var value: Int64 = 0
    private var resumed: (isSameBoot: Bool, time: Timestamp)?
    private var pendingGap: Gap.Cause?

    /// - Parameter maximumRate: in the curve's unit per µs.
    init(announcement: WireCurveAnnouncement, modulus: Int64?, maximumRate: Double, absence: Absence) {
        self.announcement = announcement
        recorder = CurveRecorder(epsilon: announcement.epsilon)
        counter = CounterUnwrapping(modulus: modulus, maximumRate: maximumRate, isRateBinding: announcement.kind == .meter)
        self.absence = absence
    }

    var tail: Knot? { recorder.tail }

    /// Continues from the state of an earlier run.
    mutating func resume(_ state: AgentState.Curve, isSameBoot: Bool) {
        announcement.origin = state.origin
        value = state.value
        let time = Timestamp(microseconds: state.time)
        recorder.resume(at: Knot(time: time, value: state.value), isKnot: state.isKnot, after: (state.gaps ?? []).compactMap(Self.untold))
        if let raw = state.raw { counter.goOn(from: raw, at: time) }
        resumed = (isSameBoot, time)
    }

    /// The source was away and is there again: its driver was loaded anew, so that its count may have begun anew too.
    mutating func sourceBegunAnew() { pendingGap = .reset }

    /// Takes a raw reading.
    ///
    /// - Parameter gap: why nothing is known of the time since the last reading: the host was suspended, the sensor was silent.
    mutating func read(raw: Int64, at time: Timestamp, flags: KnotFlags = [], gap: Gap.Cause? = nil) {
        let gap = gap ?? pendingGap
        pendingGap = nil
        let resumed = self.resumed
        self.resumed = nil
        if let resumed, absence != .counted {
            counter.goOn(from: absence == .nothing ? 0 : raw, at: resumed.time)
            if absence == .unknown {
                let most = Int64(saturating: counter.maximumRate * Double(max(0, (time - resumed.time).count)))
                recorder.addAfterGap(time: time, low: 0, high: most, cause: resumed.isSameBoot ? .absence : .reboot, flags: flags)
                _ = counter.read(raw: raw, at: time)
                return
            }
        }
        if let gap, let last = recorder.tail, last.time < time {
            let most = Int64(saturating: counter.maximumRate * Double((time - last.time).count))
            counter.goOn(from: raw, at: time)
            recorder.addAfterGap(time: time, low: 0, high: most, cause: gap, flags: flags)
            return
        }
        // The agent's own count begins anew with each process, whatever the boot.
        switch counter.read(raw: raw, at: time, isSameBoot: absence == .nothing || resumed?.isSameBoot ?? true) {
        case .first:
            recorder.add(time: time, value: value, flags: flags)
        case .exactly(let increase):
            value = value.addingReportingOverflow(increase).overflow ? value : value + increase
            recorder.add(time: time, value: value, flags: flags)
        case .between(let low, let high, let cause):
            recorder.addAfterGap(time: time, low: low, high: high, cause: cause, flags: flags)
        }
    }

    /// The last raw reading.
    var raw: Int64? { counter.lastRaw }

    /// Multiplies ε by a factor. Knots that were settled may be thinned by as much again, and the announcement says so.
    mutating func setCoarseness(_ factor: Int64, of epsilon: Int64) {
        let (product, overflows) = epsilon.multipliedReportingOverflow(by: factor)
        let coarse = overflows ? epsilon : product
        recorder.setEpsilon(coarse)
        announcement.epsilon = factor == 1 ? epsilon : coarse * 2
        isAnnounced = false
    }

    mutating func force(flags: KnotFlags = []) { recorder.force(flags: flags) }
    mutating func take() -> (knots: [Knot], gaps: [Gap]) { recorder.take() }

    /// What a later run needs to continue; nil before the first reading.
    private var announced: Data? {
        guard announcement.kind == .meter else { return nil }
        // It has no required field that could be missing; without it the meter would only be ended by the next stream.
        do { return Data(try announcement.serializedBytes() as [UInt8]) } catch { return nil }
    }

    var state: AgentState.Curve? {
        guard let tail = recorder.tail else { return nil }
        return AgentState.Curve(
            ref: announcement.ref,
            name: announcement.name,
            origin: announcement.origin,
            raw: counter.lastRaw,
            time: tail.time.microseconds,
            value: tail.value,
            isKnot: recorder.isTailAKnot,
            announced: announced
        )
    }

    /// Nil where a later version wrote a cause that is not known here.
    private static func untold(_ gap: AgentState.Gap) -> CurveRecorder.UntoldGap? {
        guard let cause = Gap.Cause(rawValue: gap.cause), gap.from < gap.to else { return nil }
        let interval = Interval(Timestamp(microseconds: gap.from), Timestamp(microseconds: gap.to))
        return CurveRecorder.UntoldGap(
            Gap(interval: interval, low: gap.low, high: gap.high, cause: cause),
            valueBefore: gap.valueBefore,
            valueAfter: gap.valueAfter
        )
    }
}
