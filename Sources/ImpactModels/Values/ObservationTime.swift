import Documents
public import Energy

/// The instants of a manifest, in the spellings that manifests have had.
public enum ObservationTime {
    /// An instant, and whether its zone had to be assumed.
    public struct Read: Hashable, Sendable {
        public let instant: Timestamp
        /// The text names no zone: it is taken for UTC.
        public let isZoneless: Bool
    }

    /// `2023-07-06T00:00`, with or without seconds, fraction and zone; a blank for the T; a day alone; seconds since 1970. Nil for the rest.
    public static func read(_ value: ModelValue) -> Read? {
        if let seconds = value.number {
            guard abs(seconds) < 1e11 else { return nil }
            return Read(instant: Timestamp(microseconds: Int64(rounding: seconds * 1e6)), isZoneless: true)
        }
        guard let text = value.text else { return nil }
        if let instant = RFC3339.parse(text) { return Read(instant: instant, isZoneless: false) }
        if text.utf8.count == 10 { return RFC3339.parse(text + "T00:00:00Z").map { Read(instant: $0, isZoneless: true) } }
        guard text.utf8.count >= 16, text.utf8.count <= 40, text.utf8.allSatisfy({ $0 < 128 }) else { return nil }
        let day = text.prefix(10)
        var clock = text.dropFirst(11)
        var zone = ""
        if let end = clock.lastIndex(where: { "Zz+-".contains($0) }) {
            zone = String(clock[end...])
            clock = clock[..<end]
            // +0100, +01
            if zone.utf8.count == 5, !zone.contains(":") { zone = "\(zone.prefix(3)):\(zone.suffix(2))" }
            if zone.utf8.count == 3 { zone += ":00" }
        }
        if clock.utf8.count == 5 { clock += ":00" }
        let separator = text.dropFirst(10).first == " " ? "T" : String(text.dropFirst(10).prefix(1))
        guard let instant = RFC3339.parse(day + separator + clock + (zone.isEmpty ? "Z" : zone)) else { return nil }
        return Read(instant: instant, isZoneless: zone.isEmpty)
    }

    /// Whole microseconds of a duration in seconds; nil for what is negative, not finite, or longer than 300 years.
    public static func duration(seconds: Double) -> Microseconds? {
        guard seconds >= 0, seconds < 1e10 else { return nil }
        return Microseconds(Int64(rounding: seconds * 1e6))
    }
}
