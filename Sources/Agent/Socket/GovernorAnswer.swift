import Energy

/// The cover's counts since they began, under the names that the carbon-ops governor gives them.
struct GovernorReading: Sendable {
    var time: Timestamp
    var totals: [(domain: String, energy: Int64)]

    /// - Parameter cover: the places of the meters in the cover: their sum, unlike that of all, is the host's energy.
    init(_ snapshot: HostSnapshot, cover: [MeterPlace]) {
        time = snapshot.time
        let names = Dictionary(cover.map { ($0.name, Self.domain(of: $0)) }, uniquingKeysWith: { $1 })
        totals = snapshot.meters.compactMap { meter in names[meter.name].map { ($0, meter.energy) } }
    }

    /// `package-0:intel-rapl:0`: the zone's name, a colon, the name of its directory. Another sensor's meter has its own name there.
    static func domain(of place: MeterPlace) -> String {
        let zone =
            switch (place.zone, place.package, place.die) {
            case (.package, let package?, let die?): "package-\(package)-die-\(die)"
            case (.package, let package?, nil): "package-\(package)"
            default: place.zone.rawValue
            }
        let device = place.name.hasPrefix("powercap/") ? String(place.name.dropFirst(9)) : place.name
        // Names of sensors are plain, but nothing else may break the line.
        return "\(zone):\(device)".filter { $0 != "\"" && $0 != "\\" && $0.isASCII && ($0.asciiValue ?? 0) >= 0x20 }
    }
}

/// Answers in the carbon-ops governor's protocol: one line of JSON.
///
/// `counters_uj` and `totals_uj` are the same: its server sends one, its client wants the other. `deltas_uj` is what was added since the
/// answer before to the same user, 0 in the first, so that they add up whoever else asks. As on the agent's own socket, users other
/// than root see figures that change at most once a second.
struct GovernorAnswer {
    private static let mostCallers = 1_024

    let trusted: Set<UInt32>
    private var answered: [UInt32: GovernorReading] = [:]

    init(trusted: Set<UInt32>) { self.trusted = trusted }

    /// - Parameter reading: nil before there is one.
    mutating func line(_ reading: GovernorReading?, to uid: UInt32) -> [UInt8] {
        guard let reading, !reading.totals.isEmpty else { return Array("{\"status\":\"warming_up\"}\n".utf8) }
        let before = answered[uid]
        var shown = reading
        if let before, !trusted.contains(uid), (reading.time - before.time) < PeerAllowance.period { shown = before }
        let known = Dictionary((before?.totals ?? []).map { ($0.domain, $0.energy) }, uniquingKeysWith: +)
        let deltas = shown.totals.map { (domain: $0.domain, energy: max(0, $0.energy - (known[$0.domain] ?? $0.energy))) }
        if answered.count >= Self.mostCallers, before == nil, let oldest = answered.min(by: { $0.value.time < $1.value.time }) {
            answered[oldest.key] = nil
        }
        answered[uid] = shown
        let totals = Self.object(shown.totals)
        let fields = [
            "\"status\":\"ok\"", "\"timestamp\":\(Self.seconds(shown.time))", "\"deltas_uj\":\(Self.object(deltas))",
            "\"totals_uj\":\(totals)", "\"counters_uj\":\(totals)",
        ]
        return Array("{\(fields.joined(separator: ","))}\n".utf8)
    }

    private static func object(_ values: [(domain: String, energy: Int64)]) -> String {
        // Two meters under one name would lose one of them in any reader.
        var order: [String] = []
        var sums: [String: Int64] = [:]
        for (domain, energy) in values {
            if sums[domain] == nil { order.append(domain) }
            sums[domain, default: 0] += energy
        }
        return "{\(order.map { "\"\($0)\":\(sums[$0] ?? 0)" }.joined(separator: ","))}"
    }

    private static func seconds(_ time: Timestamp) -> String {
        let microseconds = String(time.microseconds % 1_000_000 + 1_000_000).dropFirst()
        return "\(time.microseconds / 1_000_000).\(microseconds)"
    }
}
