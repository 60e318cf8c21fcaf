import Documents
import Energy
import Store
import Synchronization
import Telemetry

/// What came of other exporters' series, since the collector's start, and what is to be told of those that became no meter.
final class TelemetryTallies: Sendable {
    private struct State {
        var unmapped: [String: TelemetryTable.Unmapped] = [:]
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
