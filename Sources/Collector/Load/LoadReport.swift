public import Documents

/// What a load run found.
public struct LoadReport: Sendable {
    public var hosts = 0
    public var batches = 0
    public var knots = 0
    /// Samples of recordings that those knots stand for; 0 where they were made up.
    public var samples = 0
    /// Bytes of bodies as sent.
    public var bytes = 0
    public var seconds = 0.0
    /// Times that the collector asked to wait (429).
    public var putOff = 0
    /// Answers that were neither; the first of them.
    public var refused = 0
    public var firstRefusal: String?
    /// From the first byte sent to the last of the answer, ms, in order.
    public var acknowledgements: [Double] = []
    /// Of this program while it sent.
    public var cpuSeconds = 0.0

    public func percentile(_ part: Double) -> Double {
        guard !acknowledgements.isEmpty else { return 0 }
        return acknowledgements[min(acknowledgements.count - 1, Int(Double(acknowledgements.count) * part))]
    }

    public var knotsPerSecond: Double { seconds > 0 ? Double(knots) / seconds : 0 }

    public var json: JSONValue {
        .object([
            "hosts": .integer(Int64(hosts)), "batches": .integer(Int64(batches)), "knots": .integer(Int64(knots)),
            "samples": .integer(Int64(samples)), "body_bytes": .integer(Int64(bytes)), "seconds": .number(seconds),
            "knots_per_second": .number(knotsPerSecond.rounded()),
            "batches_per_second": .number(seconds > 0 ? (Double(batches) / seconds).rounded() : 0),
            "acknowledged_ms": .object([
                "p50": .number(percentile(0.5)), "p99": .number(percentile(0.99)), "max": .number(acknowledgements.last ?? 0),
            ]),
            "put_off": .integer(Int64(putOff)), "refused": .integer(Int64(refused)),
            "first_refusal": firstRefusal.map { .string($0) } ?? .null, "generator_cpu_seconds": .number(cpuSeconds),
        ])
    }

    public var table: String {
        func decimal(_ value: Double, _ digits: Int) -> String {
            var factor = 1.0
            for _ in 0..<digits { factor *= 10 }
            return "\((value * factor).rounded() / factor)"
        }
        var rows: [(String, String)] = [
            ("hosts", "\(hosts)"), ("batches", "\(batches) in \(decimal(seconds, 2)) s"),
            ("knots", "\(knots), \(Int(knotsPerSecond.rounded())) a second"), ("bodies", "\(bytes) bytes"),
            ("acknowledged", "p50 \(decimal(percentile(0.5), 1)) ms, p99 \(decimal(percentile(0.99), 1)) ms"),
            ("put off (429)", "\(putOff)"), ("refused", "\(refused)\(firstRefusal.map { ", first: \($0)" } ?? "")"),
            ("generator's CPU", "\(decimal(cpuSeconds, 2)) s"),
        ]
        if samples > 0 {
            rows.insert(("samples", "\(samples), \(decimal(Double(samples) / max(seconds, 1e-9) / 1e6, 2)) million a second"), at: 3)
        }
        return rows.map { $0.0 + String(repeating: " ", count: 18 - $0.0.count) + $0.1 }.joined(separator: "\n")
    }
}
