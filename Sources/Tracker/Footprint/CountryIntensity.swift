public import Carbon
import Factors

/// Yearly carbon intensities of whole countries, carried by the program: what a machine without a collector can know of its grid.
public enum CountryIntensity {
    /// The row of a zone, with whether its source states limits; nil where the table does not have the zone.
    public static func find(_ zone: GridZone) -> (intensity: Intensity, hasLimits: Bool)? {
        let text = Factors.countryIntensityCSV
        guard let row = row(of: zone.key, in: text) else { return nil }
        return row
    }

    /// Looks one row up without reading the rest of the table as CSV: a start-up of milliseconds counts here.
    static func row(of zone: String, in text: String) -> (intensity: Intensity, hasLimits: Bool)? {
        let lines = text.split(separator: "\n")
        guard let header = lines.first, let line = lines.dropFirst().first(where: { $0.hasPrefix(zone + ",") }),
            let table = try? CSVTable(parsing: header + "\n" + line + "\n"),  // the table is tested where it lives; a fault is "no row"
            table.rows.count == 1, let best = Double(table[0, "g_per_kwh"] ?? ""),
            let kind = Intensity.Kind(rawValue: table[0, "kind"] ?? ""), let basis = Intensity.Basis(table[0, "basis"] ?? ""),
            let year = Int(table[0, "year"] ?? "")
        else { return nil }
        let low = Double(table[0, "low_g_per_kwh"] ?? "")
        let high = Double(table[0, "high_g_per_kwh"] ?? "")
        let intensity = Intensity(
            zone: zone,
            gramsPerKilowattHour: best,
            low: low ?? best,
            high: high ?? best,
            kind: kind,
            basis: basis,
            provider: table[0, "provider"] ?? "",
            year: year
        )
        return (intensity, low != nil && high != nil)
    }
}
