import Documents
import Energy
public import Telemetry

/// Decoded series go the whole way: by a table to a meter, and into its curve twice, with the state as it is stored in between.
public enum FuzzedSeries {
    private static let now = Timestamp(microseconds: 1_788_256_800_000_000)

    /// A table by which any series is a counter, a power or a sum, so that the fuzzer need not find a name that the shipped one knows.
    private static let rules: MeterRules = {
        func rule(_ name: String, _ with: [String: JSONValue], _ more: [String: JSONValue]) -> JSONValue {
            var fields: [String: JSONValue] = [
                "name": .string(name), "series": .string("*"), "meter": .string(name), "zone": .string("package"),
                "p_max_w": .string("1000"), "sensor": .string("fuzz"), "host_labels": .array([.string("instance"), .string("host.name")]),
            ]
            fields["with"] = with.isEmpty ? nil : .object(with)
            return .object(fields.merging(more) { _, new in new })
        }
        let table: JSONValue = .object([
            "builtin": .string("false"),
            "rules": .array([
                rule("sum", ["cpu": .string("*")], ["unit": .string("J"), "sum_over": .array([.string("cpu")])]),
                rule("power", ["sensor": .string("*")], ["unit": .string("W")]),
                rule("wrap", ["index": .string("*")], ["unit": .string("J"), "counter_range_j": .string("262143.328850")]),
                rule("count", [:], ["unit": .string("J")]),
            ]),
        ])
        do {
            return try MeterRules(json: table)
        } catch {
            fatalError("the table of the fuzzer: \(error)")
        }
    }()

    public static func check(_ series: [TelemetrySeries]) {
        for one in series {
            var labels = one
            labels.labels["instance"] = labels.labels["instance"] ?? "bremusa"
            guard case .mapped(let mapped) = rules.map(labels) else { continue }
            var state: MeterCurve.State?
            for _ in 0..<2 {
                var curve = MeterCurve(mapped.meter, state: state)
                let tally = curve.read(mapped, from: "fuzz", now: Self.now)
                precondition(tally.taken + tally.old + tally.spare + tally.impossible + tally.untimely == mapped.readings.count)
                let knots = curve.take().knots
                precondition(zip(knots, knots.dropFirst()).allSatisfy { $0.time < $1.time && $0.value <= $1.value })
                // No bridge of a sample is longer than 31 days of hours.
                precondition(knots.count <= 800 * (mapped.readings.count + 1))
                state = curve.kept.flatMap { MeterCurve.State(json: $0.json, epsilon: mapped.meter.epsilon) }
                precondition((state == nil) == (curve.kept == nil))
            }
        }
    }
}
