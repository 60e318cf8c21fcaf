import Tracker

/// Waits until a collector has a job's final footprint.
struct FootprintWait {
    var collector: CollectorClient
    var id: String
    var seconds: Double

    /// Nil where it is not final in time. Says that it waits, at a terminal, after a second.
    func settled() async throws(CollectorError) -> JobFootprint? {
        guard seconds > 0 else { return nil }
        let clock = ContinuousClock()
        let end = clock.now + .seconds(seconds)
        var pause = Duration.milliseconds(200)
        var hasSaid = false
        defer { if hasSaid { StandardError.write("\r\u{1B}[K") } }
        while true {
            let footprint = try await collector.job(id).footprint
            if footprint.isSettled { return footprint }
            guard clock.now + pause < end else { return nil }
            if pause >= .seconds(1), StandardError.isTerminal, !hasSaid {
                hasSaid = true
                StandardError.write("wattle: waiting for the final footprint...")
            }
            do {
                try await Task.sleep(for: pause)
            } catch {
                return nil
            }
            pause = min(pause * 2, .seconds(2))
        }
    }
}
