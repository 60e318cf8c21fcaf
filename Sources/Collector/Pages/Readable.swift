import Documents
import Energy

/// Figures as people read them: three digits.
enum Readable {
    static func number(_ value: Double) -> String {
        Digits.plain(Digits.coarse(value))
    }

    static func energy(_ microjoules: Double) -> String { "\(number(microjoules / 3.6e12)) kWh" }

    /// Limits in the unit that leaves no row of zeros: `0.574 to 58.6 mWh`.
    static func limits(_ low: Double, _ high: Double, _ unit: String) -> String {
        let scales: [(Double, String)] = [(1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ")]
        let (scale, prefix) = scales.first { abs(high) >= $0.0 } ?? (1e-6, "µ")
        return "\(number(low / scale)) to \(number(high / scale)) \(prefix)\(unit)"
    }

    static func seconds(_ duration: Microseconds) -> String {
        let seconds = duration.seconds
        if seconds < 100 { return "\(number(seconds)) s" }
        if seconds < 6_000 { return "\(Int(seconds / 60)) min" }
        return seconds < 172_800 ? "\(Int(seconds / 3_600)) h" : "\(Int(seconds / 86_400)) d"
    }

    /// `2026-09-01 09:10:00`, to the second.
    static func time(_ time: Timestamp) -> String {
        let whole = Timestamp(microseconds: time.microseconds - ((time.microseconds % 1_000_000) + 1_000_000) % 1_000_000)
        return RFC3339.format(whole).replacing("T", with: " ").replacing("Z", with: "")
    }

    static func count(_ n: Int64, _ one: String, _ many: String? = nil) -> String { "\(n) \(n == 1 ? one : many ?? one + "s")" }

    /// Parts in tenths of a percent that add up to 100 where the amounts do: a bar has no hole by rounding.
    static func percents(_ parts: [Int128], of total: Int128) -> [String] {
        guard total > 0 else { return parts.map { _ in "0" } }
        var sum: Int128 = 0
        var given = 0
        return parts.map { part in
            sum += part
            let upTo = Int((Double(sum) / Double(total) * 1_000).rounded())
            defer { given = upTo }
            return "\((upTo - given) / 10).\((upTo - given) % 10)".replacing(".0", with: "")
        }
    }

    /// What kind of evidence a job's share rests on.
    static func method(_ method: String) -> String {
        switch method {
        case "measured": "measured"
        case "measured_client": "measured by the client"
        case "declared": "declared"
        case "equal": "equal parts"
        default: method
        }
    }

    /// How a job's host was found.
    static func means(_ means: String) -> String {
        switch means {
        case "host": "the job names it"
        case "hostname": "by the machine's own name"
        case "runner_map": "by the map of runners"
        case "runner_name": "the runner is named like it"
        default: means.replacing("_", with: " ")
        }
    }

    /// `host_unknown` as words.
    static func reason(_ reason: String) -> String { reason.replacing("_", with: " ") }
}
