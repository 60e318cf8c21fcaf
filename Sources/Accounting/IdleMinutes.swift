public import Energy

/// The minutes in which a host did nothing: where its idle floor is learned from.
public enum IdleMinutes {
    /// A minute counts as idle while less than this part of the host's CPU was busy.
    public static let busyLimit = 0.02

    /// Mean power of each component in each whole UTC minute of the window in which the CPU was under 2 % busy and no job ran, in order
    /// of time.
    ///
    /// Only what was measured throughout the minute counts: busy time, and every meter of the component. A model's power is no
    /// observation, so components with a modelled meter have none. Resident services, which declare no part of the host, run all the
    /// time and do not stand in the way. `rest` is what the meters around others counted beyond them.
    public static func means(of host: HostInput) -> [Component: [Power]] {
        guard let busy = host.busy else { return [:] }
        let minute: Int64 = 60_000_000
        /// Rounded down, before 1970 too.
        func minutes(_ t: Timestamp) -> Int64 { t.microseconds / minute - (t.microseconds % minute < 0 ? 1 : 0) }
        let first = minutes(host.window.start) + (host.window.start.microseconds % minute == 0 ? 0 : 1)
        let last = minutes(host.window.end)
        guard first < last else { return [:] }

        let spans = host.spans.filter(\.takesSlot).map(\.interval).filter { !$0.isEmpty }.sorted { $0.start < $1.start }
        var nextSpan = 0
        var occupiedUntil = Timestamp(microseconds: .min)
        var result: [Component: [Power]] = [:]
        for number in first..<last {
            let window = Interval(Timestamp(microseconds: number * minute), Timestamp(microseconds: (number + 1) * minute))
            while nextSpan < spans.count, spans[nextSpan].start < window.end {
                occupiedUntil = max(occupiedUntil, spans[nextSpan].end)
                nextSpan += 1
            }
            guard occupiedUntil <= window.start, let used = increase(of: busy, over: window),
                used < busyLimit * Double(minute) * Double(host.cpus)
            else { continue }
            for component in Component.allCases {
                guard let energy = energy(of: component, of: host, over: window) else { continue }
                result[component, default: []].append(Power(watts: max(0, energy) / Double(minute)))
            }
        }
        return result
    }

    /// µJ of all the component's meters; nil where one of them does not know, or none measures.
    private static func energy(of component: Component, of host: HostInput, over window: Interval) -> Double? {
        var sum: Double?
        for meter in host.meters where meter.component == component {
            guard meter.quality <= .sampled else { return nil }
            guard let part = increase(of: meter.curve, over: window) else {
                // As in the accounts: one that has ended is no part of the cover here, nor is one that takes the place of another which
                // ended before it began. One that has not begun otherwise is missing, and what the others count is not all.
                guard let extent = meter.curve.extent else { continue }
                let hasEnded = meter.isClosed && extent.end <= window.start
                if hasEnded || window.end <= extent.start && takesPlace(meter, among: host) { continue }
                return nil
            }
            sum = (sum ?? 0) + part
        }
        guard component == .rest else { return sum }
        for whole in host.wholes {
            guard whole.quality <= .sampled, var part = increase(of: whole.curve, over: window) else { return nil }
            for meter in host.meters where whole.inner.contains(meter.name) {
                guard meter.quality <= .sampled, let inner = increase(of: meter.curve, over: window) else { return nil }
                part -= inner
            }
            sum = (sum ?? 0) + part
        }
        return sum
    }

    /// Whether another meter of the component had ended when this one began.
    private static func takesPlace(_ meter: MeterInput, among host: HostInput) -> Bool {
        host.meters.contains { other in
            guard other.component == meter.component, other.isClosed, let end = other.curve.extent?.end,
                let start = meter.curve.extent?.start
            else { return false }
            return end <= start
        }
    }

    private static func increase(of curve: Curve, over window: Interval) -> Double? {
        guard curve.known(within: window) == [window] else { return nil }
        return curve.increase(over: window)
    }
}

/// A host's power at idle, learned from minutes in which it did nothing.
public enum IdleFloor {
    /// Fewer minutes than this tell nothing.
    public static let leastMinutes = 30

    /// The median of the means, with the 95 % interval of the median as low and high; nil of fewer than 30.
    ///
    /// The interval is that of order statistics: of n values the number below the true median is binomial (n, 1/2), so the values of
    /// rank `l` and `n + 1 - l`, with `l = floor(n/2 - 0.98 sqrt(n) + 1/2)`, enclose it in 95 % of draws, whatever the distribution.
    /// (Conover, Practical Nonparametric Statistics, 1999, section 3.2.)
    public static func median(of means: [Power]) -> UtilisationModel.Point? {
        let sorted = means.filter { $0.watts.isFinite }.sorted()
        let count = sorted.count
        guard count >= leastMinutes else { return nil }
        let middle = (sorted[(count - 1) / 2].watts + sorted[count / 2].watts) / 2
        let rank = max(1, Int(Double(count) / 2 - 0.98 * Double(count).squareRoot() + 0.5))
        return UtilisationModel.Point(low: sorted[rank - 1], best: Power(watts: middle), high: sorted[count - rank])
    }
}
