import Documents
import Energy

/// The outputs of several components, cut at every edge of any of them.
struct Timeline {
    struct Stretch {
        struct Part {
            let child: Int
            /// Its outputs that run then, each with the part of it that does.
            let pieces: [(index: Int, fraction: Double)]
        }

        let interval: Interval
        let parts: [Part]

        var timestamp: String { RFC3339.format(interval.start) }
    }

    private struct Entry {
        let interval: Interval
        let child: Int
        let index: Int
    }

    private var entries: [Entry] = []

    mutating func add(_ interval: Interval, child: Int, index: Int) {
        entries.append(Entry(interval: interval, child: child, index: index))
    }

    /// - Throws: `ModelFault` for an output without a time or a duration.
    static func interval(_ row: ModelMap, _ place: String) throws(ModelFault) -> Interval {
        let time = ParameterNames.key(of: "timestamp", in: row).flatMap { row[$0] }
        guard let time, let read = ObservationTime.read(time) else {
            throw ModelFault(
                place,
                key: "timestamp",
                expected: "an instant such as 2026-09-01T09:00:00Z, to be joined by",
                found: time?.described ?? "nothing"
            )
        }
        guard let duration = row["duration"]?.number.flatMap({ ObservationTime.duration(seconds: $0) }) else {
            throw ModelFault(place, key: "duration", expected: "seconds, 0 or more", found: row["duration"]?.described ?? "nothing")
        }
        return Interval(read.instant, read.instant + duration)
    }

    /// In the order of time; times in which nothing runs have none. What has no duration makes a stretch without one.
    func stretches() -> [Stretch] {
        var edges = Set<Timestamp>()
        for entry in entries where !entry.interval.isEmpty {
            edges.insert(entry.interval.start)
            edges.insert(entry.interval.end)
        }
        let sorted = edges.sorted()
        let numbers = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1, $0) })
        var running = [[(entry: Entry, fraction: Double)]](repeating: [], count: max(0, sorted.count - 1))
        var instants: [Timestamp: [(entry: Entry, fraction: Double)]] = [:]
        for entry in entries {
            if entry.interval.isEmpty {
                instants[entry.interval.start, default: []].append((entry, 1))
                continue
            }
            let whole = Double(entry.interval.duration.count)
            for number in (numbers[entry.interval.start] ?? 0)..<(numbers[entry.interval.end] ?? 0) {
                let length = Double((sorted[number + 1] - sorted[number]).count)
                running[number].append((entry, length / whole))
            }
        }
        var stretches = running.enumerated().compactMap { number, entries in
            entries.isEmpty ? nil : Stretch(interval: Interval(sorted[number], sorted[number + 1]), parts: Self.parts(entries))
        }
        stretches += instants.map { Stretch(interval: Interval($0, $0), parts: Self.parts($1)) }
        return stretches.sorted { ($0.interval.start, $0.interval.end) < ($1.interval.start, $1.interval.end) }
    }

    private static func parts(_ entries: [(entry: Entry, fraction: Double)]) -> [Stretch.Part] {
        Dictionary(grouping: entries) { $0.entry.child }.sorted { $0.key < $1.key }
            .map { child, entries in Stretch.Part(child: child, pieces: entries.map { ($0.entry.index, $0.fraction) }) }
    }
}
