import Energy

/// A guess of a meter's idle floor where none was learned, configured or tabled: the lowest mean power that it showed in a quiet minute.
enum IdleFit {
    /// Minutes in which more than this part of the host's CPU was busy say nothing of idle.
    static let busyLimit = 0.1

    /// Nil where no minute was quiet: with CPU under 10 % busy, or, where that is not known, without a job. The true floor may be anything
    /// down to 0, and not more than what was seen.
    static func floor(of meter: MeterInput, quiet: [Interval]) -> UtilisationModel.Point? {
        var least: Double?
        for minute in quiet where meter.curve.known(within: minute) == [minute] {
            least = min(least ?? .infinity, meter.curve.exactIncrease(over: minute) / Double(minute.duration.count))
        }
        return least.map { UtilisationModel.Point(low: .zero, best: Power(watts: $0), high: Power(watts: $0)) }
    }

    /// The most that a floor of which nothing is known can be: the lowest mean power in a minute, else that of all that is known.
    static func ceiling(of meter: MeterInput, window: Interval) -> Power? {
        let parts = meter.curve.known(within: window)
        let minute = Microseconds(60_000_000)
        var least: Double?
        var (energy, time) = (0.0, 0.0)
        for part in parts {
            energy += meter.curve.exactIncrease(over: part)
            time += Double(part.duration.count)
            // A window of many days would have its floors learned.
            guard part.duration <= Microseconds(31 * Microseconds.day.count) else { continue }
            var start = part.start
            while start + minute <= part.end {
                least = min(least ?? .infinity, meter.curve.exactIncrease(over: Interval(start, start + minute)) / Double(minute.count))
                start = start + minute
            }
        }
        return (least ?? (time > 0 ? energy / time : nil)).map { Power(watts: max(0, $0)) }
    }

    /// The whole minutes, from the window's start, in which little ran.
    static func quietMinutes(of host: HostInput) -> [Interval] {
        let minute: Int64 = 60_000_000
        let (length, overflow) = host.window.end.microseconds.subtractingReportingOverflow(host.window.start.microseconds)
        // A window of many days has its floors learned.
        guard !overflow, length >= minute, length <= 31 * 24 * 60 * minute else { return [] }
        let spans = host.spans.filter(\.takesSlot).map(\.interval).filter { !$0.isEmpty }.sorted { $0.start < $1.start }
        var next = 0
        var occupiedUntil = Timestamp(microseconds: .min)
        var result: [Interval] = []
        for number in 0..<(length / minute) {
            let start = host.window.start + Microseconds(number * minute)
            let window = Interval(start, start + Microseconds(minute))
            while next < spans.count, spans[next].start < window.end {
                occupiedUntil = max(occupiedUntil, spans[next].end)
                next += 1
            }
            if let busy = host.busy, busy.known(within: window) == [window] {
                if busy.exactIncrease(over: window) < busyLimit * Double(minute) * Double(host.cpus) { result.append(window) }
            } else if occupiedUntil <= window.start {
                result.append(window)
            }
        }
        return result
    }
}
