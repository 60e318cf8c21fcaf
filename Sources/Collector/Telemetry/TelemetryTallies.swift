import Documents
import Energy
import Store
import Synchronization
import Telemetry

/// What came of other exporters' series, since the collector's start, and what is to be told of those that became no meter.
final class TelemetryTallies: Sendable {
    private struct State {
        var unmapped: [String: TelemetryTable.Unmapped] = [:]
        var mended: Set<String> = []
        /// Of all series that came, by reason.
        var byReason: [SeriesOutcome.Reason: Int] = [:]
    }

    private let state = Mutex(State())
    private static let mostNames = 1_000

    func note(_ series: TelemetrySeries, _ reason: SeriesOutcome.Reason) {
        state.withLock { state in
            state.byReason[reason, default: 0] += 1
            // Thousands of series are none of ours; what looks like energy is worth a word.
            guard reason != .noRule || Self.looksLikeEnergy(series), series.name.utf8.count <= 200 else { return }
            let key = "\(series.name) \(reason.rawValue)"
            guard state.unmapped[key] != nil || state.unmapped.count < Self.mostNames else { return }
            let labels = Dictionary(
                uniqueKeysWithValues: series.labels.sorted { $0.key < $1.key }.prefix(12).map { ($0.key, String($0.value.prefix(100))) }
            )
            var entry =
                state.unmapped[key] ?? TelemetryTable.Unmapped(name: series.name, reason: reason.rawValue, example: labels, n: 0)
            entry.example = labels
            entry.n += 1
            state.unmapped[key] = entry
        }
    }

    /// Samples that were left out, by series and reason.
    func note(_ faults: [TelemetryTable.Unmapped]) {
        state.withLock { state in
            for fault in faults {
                let key = "\(fault.name) \(fault.reason)"
                guard state.unmapped[key] != nil || state.unmapped.count < Self.mostNames else { continue }
                var entry = fault
                entry.example = fault.example.mapValues { String($0.prefix(100)) }
                entry.n += state.unmapped[key]?.n ?? 0
                state.unmapped[key] = entry
            }
        }
    }

    /// A target that does not answer, or not so that it can be read.
    func note(failed url: String, _ error: String) {
        let (name, error) = (CredentialMask().masked(url), CredentialMask().masked(error))
        let reason = TelemetryTable.Unmapped.scrapeFailed
        state.withLock { state in
            let n = state.unmapped["\(name) \(reason)"]?.n ?? 0
            state.unmapped["\(name) \(reason)"] =
                TelemetryTable.Unmapped(name: name, reason: reason, example: ["error": String(error.prefix(300))], n: n + 1)
            state.mended.remove(name)
        }
    }

    /// A target answers: what is stored of its failures is over.
    func note(mended url: String) {
        let name = CredentialMask().masked(url)
        state.withLock { state in
            state.unmapped["\(name) \(TelemetryTable.Unmapped.scrapeFailed)"] = nil
            state.mended.insert(name)
        }
    }

    /// Targets that answer again, once.
    func takeMended() -> [String] {
        state.withLock { state in
            defer { state.mended = [] }
            return state.mended.sorted()
        }
    }

    /// What is to be stored, once.
    func takeUnmapped() -> [TelemetryTable.Unmapped] {
        state.withLock { state in
            defer { state.unmapped = [:] }
            return state.unmapped.values.sorted { ($0.name, $0.reason) < ($1.name, $1.reason) }
        }
    }

    var unmapped: [SeriesOutcome.Reason: Int] { state.withLock { $0.byReason } }

    static func looksLikeEnergy(_ series: TelemetrySeries) -> Bool {
        guard series.kind != .other else { return false }
        let name = series.name.lowercased()
        return ["joule", "watt", "energy", "_power", "hw.power"].contains { name.contains($0) }
    }
}
