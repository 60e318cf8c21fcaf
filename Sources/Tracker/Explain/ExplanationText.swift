import Energy

/// An explanation as equations that a person can redo with a pocket calculator.
///
/// A line with an equation is `name: a x b = c unit  (what it is)`; blanks and units apart it is plain arithmetic, worked out from left to
/// right with x and / before + and -. The last digit may be off by two, because each number is rounded by itself.
public struct ExplanationText {
    private let explanation: Explanation
    private var lines: [String] = []
    /// Decimals of amounts in J: whole µJ, or mJ where those would be too long for a calculator.
    private let decimals: Int
    private let gramDecimals: Int
    /// So many stretches of a slice are written out.
    private static let mostStretches = 8

    public static func text(_ explanation: Explanation) -> String {
        var text = ExplanationText(explanation)
        text.write()
        return text.lines.map { $0 + "\n" }.joined()
    }

    private init(_ explanation: Explanation) {
        self.explanation = explanation
        let largest = explanation.slices.compactMap { $0.host?.energy_j }.max() ?? 0
        let total = explanation.totals.map { Double($0.uj.count) / 1e6 } ?? 0
        decimals = max(largest, total) < 1e5 ? 6 : 3
        gramDecimals = decimals == 6 && (explanation.totals?.co2e_g ?? 0) < 1 ? 9 : 6
    }

    // MARK: Numbers

    /// Without zeros at its end.
    private func number(_ value: Double, _ decimals: Int) -> String {
        let text = DecimalText.fixed(value, decimals)
        guard text.contains(".") else { return text }
        let trimmed = text.reversed().drop { $0 == "0" }.drop { $0 == "." }
        return String(trimmed.reversed())
    }

    private func joules(_ value: Double) -> String { "\(number(value, decimals)) J" }
    private func joules(_ value: DecimalMicrojoules) -> String { joules(Double(value.count) / 1e6) }
    private func grams(_ value: Double) -> String { "\(number(value, gramDecimals)) g" }
    private func plain(_ value: Double) -> String { number(value, 6) }

    /// A fraction in as many digits as its product with an amount in J needs.
    private func fraction(_ value: Double, of amount: Double) -> String {
        var digits = decimals
        var magnitude = 1.0
        while magnitude < abs(amount), digits < 12 {
            magnitude *= 10
            digits += 1
        }
        return number(value, digits)
    }

    /// A fraction of the host's processors.
    private func rate(_ value: Double) -> String { number(value, 9) }

    // MARK: Lines

    private mutating func note(_ text: String, indent: Int = 0) { lines.append(String(repeating: " ", count: indent) + text) }

    private mutating func equation(_ name: String, _ left: String, _ right: String, _ comment: String = "", indent: Int = 2) {
        note("\(name): \(left) = \(right)" + (comment.isEmpty ? "" : "  (\(comment))"), indent: indent)
    }

    private mutating func write() {
        head()
        var energy: Int64 = 0
        var emitted = 0.0
        for slice in explanation.slices {
            note("")
            write(slice)
            if explanation.slices.count > 1 {
                let sum = energy + slice.uj.count
                equation("so far", "\(joules(DecimalMicrojoules(energy))) + \(joules(slice.uj))", joules(DecimalMicrojoules(sum)))
                if let own = slice.co2e_g {
                    equation("CO2e so far", "\(grams(emitted)) + \(grams(own))", grams(emitted + own))
                }
            }
            energy += slice.uj.count
            emitted += slice.co2e_g ?? 0
        }
        sum()
    }

    private mutating func head() {
        note("\(explanation.job.map { "\($0), " } ?? "")\(explanation.key)")
        if let host = explanation.host, let span = explanation.span {
            note("on \(host.name) (\(plain(host.cpus)) CPUs\(host.slots.map { ", \(plain($0)) slots" } ?? ""))")
            note("from \(span.accounted_from) to \(span.accounted_to), \(plain(span.seconds)) s")
            if let first = span.cgroups.first {
                note(
                    "its cgroup: \(first)\(span.cgroups.count > 1 ? " and \(span.cgroups.count - 1) more" : ""), by rule \(span.owned_by ?? "?")"
                )
            } else {
                note("no cgroup of its own: \(span.not_owned_because ?? "none was seen")")
            }
        }
        note("policy \(explanation.policy); \(explanation.state)")
        if let statement = explanation.statement {
            note("statement \(statement.sha256)")
        } else {
            note("no statement: \(reason("statement"))")
        }
        for meter in explanation.meters {
            let idle = meter.idle_w.map { "idle \(plain($0)) W" } ?? "idle power not known"
            let error = meter.error_ratio > 0 ? ", itself off by \(plain(meter.error_ratio * 100)) % (one standard deviation)" : ""
            note("meter \(meter.name): \(meter.component), \(meter.quality), \(idle)\(error)")
        }
    }

    private func reason(_ field: String) -> String {
        explanation.missing.first { $0.field == field }?.reason ?? explanation.missing.first { $0.field.hasPrefix(field + ".") }?.reason
            ?? "not known"
    }

    private mutating func write(_ slice: Explanation.Slice) {
        note("\(slice.from) to \(slice.to), \(slice.component), \(plain(slice.seconds)) s")
        if !slice.flags.isEmpty { note("flags of this hour: \(slice.flags.joined(separator: ", "))", indent: 2) }
        if slice.metered_seconds < slice.seconds {
            note("metered in \(plain(slice.metered_seconds)) s of it; the rest is not in the sum", indent: 2)
        }
        if let host = slice.host { metering(host) }
        switch slice.detail {
        case "stretches" where slice.stretches.count <= Self.mostStretches: stretches(slice)
        case "stretches", "sums": sums(slice)
        case "parts": parts(slice)
        default: note("more hours than are shown step by step: what the ledger keeps", indent: 2)
        }
        equation("its energy", "\(joules(slice.dynamic_uj)) + \(joules(slice.idle_uj))", joules(slice.uj), "dynamic and idle")
        if let intensity = slice.intensity, let emitted = slice.co2e_g {
            let factors = "\(plain(slice.pue)) x \(number(intensity.g_per_kwh, 9)) g/kWh"
            let kind = "\(intensity.kind), \(intensity.basis), \(intensity.provider) \(intensity.version)"
            equation(
                "its CO2e",
                "\(joules(slice.uj)) / 3600000 x \(factors)",
                grams(emitted),
                "J in a kWh, PUE, intensity of \(intensity.zone): \(kind)"
            )
        } else {
            note("its CO2e is not known: \(reason("co2e.location_g"))", indent: 2)
        }
        if let terms = slice.terms { write(terms, of: slice) }
    }

    /// Of other kinds: never added to the CO2e above.
    private mutating func write(_ terms: Explanation.Terms, of slice: Explanation.Slice) {
        let site = terms.site.map { "of the site \($0)" } ?? "of no site"
        if let rate = terms.market_g_per_kwh, let emitted = terms.market_g {
            equation(
                "by contracts",
                "\(joules(slice.uj)) / 3600000 x \(plain(slice.pue)) x \(number(rate, 9)) g/kWh",
                grams(emitted),
                "market-based, \(site)"
            )
        }
        if let reserved = terms.reserved_seconds, let rate = terms.embodied_g_per_h, let emitted = terms.embodied_g {
            equation(
                "making the machine",
                "\(number(rate, 9)) g x \(number(reserved, 9)) s / 3600",
                grams(emitted),
                "what an hour of it is charged, and how long all of it was reserved for the job"
            )
        }
        if let rate = terms.wue_l_per_kwh, let litres = terms.water_l {
            equation(
                "its water",
                "\(joules(slice.uj)) / 3600000 x \(number(rate, 9)) l",
                "\(number(litres, 9)) l",
                "litres for a kWh, \(site)"
            )
        }
    }

    private mutating func metering(_ host: Explanation.Metering) {
        for meter in host.meters {
            // With gaps the difference of the ends is more than was counted.
            if let from = meter.at_from_j, let to = meter.at_to_j, abs(to - from - meter.energy_j) < 1e-6 {
                equation(
                    "host, \(meter.name)",
                    "\(joules(to)) - \(joules(from))",
                    joules(meter.energy_j),
                    "its curve at the end and at the start"
                )
            } else {
                note("host, \(meter.name): counted \(joules(meter.energy_j)) in \(plain(meter.metered_seconds)) s, with gaps", indent: 2)
            }
        }
        if host.meters.count > 1 {
            equation("host", host.meters.map { joules($0.energy_j) }.joined(separator: " + "), joules(host.energy_j))
        }
        let floors = host.meters.compactMap { meter in
            meter.idle_w.map { "\(plain($0)) W x \(plain(meter.metered_seconds)) s" }
        }
        if floors.isEmpty {
            note("host, idle floor: not known, so all of it counts as dynamic", indent: 2)
        } else {
            let sum = floors.joined(separator: " + ")
            let scaled = host.idle_floor_scale < 1 ? "(\(sum)) x \(number(host.idle_floor_scale, 12))" : sum
            let comment = host.idle_floor_scale < 1 ? "lowered: the whole hour's energy was below it" : ""
            equation("host, idle floor", scaled, joules(host.idle_floor_j), comment)
        }
        equation("host, dynamic", "\(joules(host.energy_j)) - \(joules(host.idle_floor_j))", joules(host.dynamic_j))
    }

    // MARK: The job's part

    private mutating func stretches(_ slice: Explanation.Slice) {
        let isOne = slice.stretches.count == 1
        for stretch in slice.stretches {
            let indent = isOne ? 2 : 4
            if !isOne {
                note("from \(stretch.from), \(plain(stretch.seconds)) s", indent: 2)
                equation(
                    "host, dynamic",
                    "\(joules(stretch.energy_j)) - \(joules(stretch.idle_floor_j))",
                    joules(stretch.dynamic_j),
                    indent: indent
                )
            }
            share(stretch, indent)
            idlePart(stretch, indent)
        }
        guard !isOne else { return }
        let dynamics = slice.stretches.map { joules($0.own_dynamic_j) }.joined(separator: " + ").replacing("+ -", with: "- ")
        equation("its dynamic", dynamics, joules(slice.dynamic_uj))
        equation("its idle", slice.stretches.map { joules($0.own_idle_j) }.joined(separator: " + "), joules(slice.idle_uj))
    }

    private mutating func share(_ stretch: Explanation.Stretch, _ indent: Int) {
        let busy = rate(stretch.busy_counted)
        let running = "\(stretch.jobs) \(stretch.jobs == 1 ? "job" : "jobs") ran"
        let known = stretch.busy == nil ? "busy part, not measured, counts as 1" : "busy part"
        let share = fraction(stretch.share, of: stretch.dynamic_j)
        if stretch.own_is == "measured" {
            equation(
                "its share",
                "\(rate(stretch.own)) / \(busy)",
                share,
                "its processor time by all: of \(known); \(running)",
                indent: indent
            )
        } else {
            equation(
                "left to share out",
                "\(busy) - \(rate(stretch.measured)) - \(rate(stretch.agent))",
                rate(stretch.remainder),
                "\(known), less measured jobs, less the agent; \(running)",
                indent: indent
            )
            let all = max(stretch.weights, stretch.remainder)
            if all > 0, stretch.busy_counted > 0 {
                equation(
                    "its share",
                    "\(rate(stretch.remainder)) / \(busy) x \(rate(stretch.own)) / max(\(rate(stretch.weights)), \(rate(stretch.remainder)))",
                    share,
                    "what is left by busy, times its weight by all weights or what is left",
                    indent: indent
                )
            } else {
                note("its share: none, nothing ran", indent: indent)
            }
        }
        equation("its dynamic", "\(joules(stretch.dynamic_j)) x \(share)", joules(stretch.own_dynamic_j), indent: indent)
    }

    private mutating func idlePart(_ stretch: Explanation.Stretch, _ indent: Int) {
        let part = fraction(stretch.idle_part, of: stretch.idle_floor_j)
        switch explanation.policy {
        case "reserved":
            equation(
                "its part of idle",
                "\(rate(stretch.reserved)) / max(1, \(rate(stretch.reserved_by_all)))",
                part,
                "what it reserved of the host, by what all did",
                indent: indent
            )
        case "busy" where stretch.shares_of_all > 0:
            equation(
                "its part of idle",
                "\(number(stretch.share, 12)) / \(number(stretch.shares_of_all, 12))",
                part,
                "its share by that of all jobs",
                indent: indent
            )
        case "equal" where stretch.idle_part > 0:
            equation("its part of idle", "1 / \(stretch.jobs_with_slot)", part, "one of the jobs that ran", indent: indent)
        default: note("its part of idle: none under this policy", indent: indent)
        }
        equation("its idle", "\(joules(stretch.idle_floor_j)) x \(part)", joules(stretch.own_idle_j), indent: indent)
    }

    private mutating func sums(_ slice: Explanation.Slice) {
        guard let host = slice.host else { return }
        let count = slice.stretch_count ?? 0
        if let share = slice.share_effective {
            equation(
                "its dynamic",
                "\(joules(host.dynamic_j)) x \(fraction(share, of: host.dynamic_j))",
                joules(slice.dynamic_uj),
                "its share (\(slice.share_method)) over \(count) stretches, each by its energy"
            )
        }
        if let part = slice.idle_part_effective {
            equation(
                "its idle",
                "\(joules(host.idle_floor_j)) x \(fraction(part, of: host.idle_floor_j))",
                joules(slice.idle_uj),
                "its part by the policy, over the same"
            )
        }
        if let cpus = explanation.host?.cpus {
            equation(
                "its processor time",
                "\(number(slice.cpu_share_mean, 12)) x \(plain(cpus)) x \(plain(slice.seconds)) s",
                "\(plain(slice.cpu_share_mean * cpus * slice.seconds)) s",
                "its mean part of the host, CPUs, time"
            )
        }
    }

    private mutating func parts(_ slice: Explanation.Slice) {
        guard let host = slice.host, let part = slice.part_effective else {
            note("not metered step by step: what the ledger keeps", indent: 2)
            return
        }
        equation(
            "its part",
            "\(joules(host.energy_j)) x \(fraction(part, of: host.energy_j))",
            joules(slice.uj),
            "shared out by more than processor time, or with the flags above"
        )
    }

    // MARK: The end

    private mutating func sum() {
        note("")
        guard let totals = explanation.totals else {
            note("no sum: \(reason("energy"))")
            return
        }
        let energy = Double(totals.uj.count) / 1e6
        let kilowattHours = energy / 3.6e6
        note("In all")
        equation(
            "energy",
            "\(joules(totals.dynamic_uj)) + \(joules(totals.idle_uj))",
            joules(totals.uj),
            "dynamic and idle; \(totals.uj.count) µJ"
        )
        equation("energy", "\(joules(totals.uj)) / 3600000", "\(number(kilowattHours, decimals + 6)) kWh")
        func range(_ low: Double?, _ high: Double?, _ unit: String) -> String? {
            guard let low, let high else { return nil }
            return "\(number(low, 12)) to \(number(high, 12)) \(unit)"
        }
        if let interval = range(totals.low_kwh, totals.high_kwh, "kWh") { note("energy, 95 of 100 times within \(interval)", indent: 2) }
        if let limits = range(totals.bound_low_kwh, totals.bound_high_kwh, "kWh") { note("energy, hard limits \(limits)", indent: 2) }
        if let emitted = totals.co2e_g {
            note(
                "CO2e, location-based, \(grams(emitted))"
                    + (range(totals.co2e_low_g, totals.co2e_high_g, "g").map { ", within \($0)" } ?? ""),
                indent: 2
            )
        } else {
            note("CO2e is not known: \(reason("co2e.location_g"))", indent: 2)
        }
        let doubts = explanation.errors ?? []
        if !doubts.isEmpty {
            note("What makes it uncertain, one standard deviation each")
            for doubt in doubts.prefix(10) { note("\(joules(doubt.sigma_j)) \(doubt.key) \(doubt.of)", indent: 2) }
            if doubts.count > 10 { note("and \(doubts.count - 10) smaller ones", indent: 2) }
        }
    }
}
