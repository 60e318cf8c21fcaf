import Documents
import Tracker

/// An estimate for people.
enum EstimateText {
    static func table(_ answer: JSONValue) -> String {
        let energy = answer.object?["energy"]?.object ?? [:]
        let pue = answer.object?["pue"]?.object ?? [:]
        let intensity = answer.object?["intensity"]?.object ?? [:]
        var rows = [
            [
                "energy",
                "\(number(energy["best_kwh"])) kWh (\(number(energy["low_kwh"])) to \(number(energy["high_kwh"])))",
            ],
            [
                "with building",
                "\(number(answer.object?["facility_energy"]?.object?["best_kwh"])) kWh (PUE \(number(pue["best"]))"
                    + (pue["stated"] == .bool(true) ? ")" : ", nobody stated it: up to \(number(pue["high"])) is in the limits)"),
            ],
        ]
        if let grams = answer.object?["co2e"]?.object?["location_g"]?.object {
            rows.append(["CO2e", "\(number(grams["best"])) g (\(number(grams["low"])) to \(number(grams["high"])))"])
        } else {
            rows.append(["CO2e", "not known: \(reason(answer, "co2e.location_g"))"])
        }
        if intensity["g_per_kwh"]?.double != nil {
            let providers = intensity["providers"]?.array?.compactMap(\.string).joined(separator: ", ") ?? ""
            let kinds = intensity["kinds"]?.array?.compactMap(\.string).joined(separator: " and ") ?? ""
            rows.append([
                "intensity",
                "\(number(intensity["g_per_kwh"])) g/kWh, \(kinds), \(intensity["basis"]?.string ?? "-"), "
                    + "\(intensity["zone"]?.string ?? "-") (\(providers))",
            ])
        } else {
            rows.append(["intensity", "not known: \(reason(answer, "intensity.g_per_kwh"))"])
        }
        rows.append(["known", GridTables.percent(answer.object?["coverage"]?.double) + " of the time"])
        return TextTable(columns: [.left("estimate"), .left("")], rows: rows).text
    }

    private static func number(_ value: JSONValue?) -> String { value?.double.map { DecimalText.significant($0, 3) } ?? "-" }

    private static func reason(_ answer: JSONValue, _ field: String) -> String {
        let entry = answer.object?["missing"]?.array?.first { $0.object?["field"] == .string(field) }
        switch entry?.object?["reason"]?.string {
        case "several_bases": return "figures of several bases cover the time, which are never added; name one with --basis"
        case "intensity_incomplete": return "a part of the time has no intensity"
        case "no_intensity_of_basis": return "nothing on this basis"
        case "not_redistributable": return "the provider's figures may not be handed on without a token"
        case "no_intensity": return "no intensity"
        case let other: return other ?? "no reason told"
        }
    }
}
