import Accounting
import Documents
import Energy

/// The corners of a curve that a job's figures rest on: those within its time and the nearest on either side.
struct ExplainedCurve {
    let name: String
    /// `uj` of meters, `us` of CPU time.
    let unit: String
    let knots: [Knot]
    /// More than are shown: only the first and the last ones are.
    let count: Int

    /// So many knots of one curve are shown.
    static let mostKnots = 100

    /// The curves of a job's hours that are shown with their steps: meters, the host's busy time, the agent, the job's own cgroup.
    ///
    /// - Parameter hours: each hour's input with the job's number in it, in order of time.
    static func all(of hours: [(input: HostInput, member: Int64)], around interval: Interval) -> [ExplainedCurve] {
        var names: [String] = []
        var units: [String: String] = [:]
        var knots: [String: [Knot]] = [:]
        func add(_ name: String, _ unit: String, _ curve: Curve?) {
            guard let curve else { return }
            if units[name] == nil { names.append(name) }
            units[name] = unit
            // Hours that follow each other share a knot.
            knots[name, default: []] += around(interval, curve.knots).filter { knot in knots[name]?.last.map { $0.time < knot.time } ?? true
            }
        }
        for (input, member) in hours {
            for meter in input.meters { add(meter.name, "uj", meter.curve) }
            for whole in input.wholes { add(whole.name, "uj", whole.curve) }
            add("busy", "us", input.busy)
            add("agent", "us", input.agent)
            add("job", "us", input.spans.first { $0.id == member }?.workload?.curve)
        }
        return names.map { name in
            let all = knots[name] ?? []
            let shown = all.count <= mostKnots ? all : Array(all.prefix(mostKnots / 2) + all.suffix(mostKnots / 2))
            return ExplainedCurve(name: name, unit: units[name] ?? "", knots: shown, count: all.count)
        }
    }

    private static func around(_ interval: Interval, _ knots: [Knot]) -> ArraySlice<Knot> {
        let first = knots.lastIndex { $0.time <= interval.start } ?? 0
        let last = knots.firstIndex { $0.time >= interval.end } ?? knots.count - 1
        return first <= last ? knots[first...last] : []
    }

    var json: JSONValue {
        .object([
            "name": .string(name), "unit": .string(unit), "count": .integer(Int64(count)),
            "knots": .array(knots.map { .array([.string(RFC3339.format($0.time)), .string(String($0.value))]) }),
        ])
    }
}
