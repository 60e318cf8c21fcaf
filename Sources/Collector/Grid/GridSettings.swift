import Carbon
import Documents
import Energy
import Foundation
import GridFeeds

/// What is wrong with `grid:` in the configuration.
public struct GridFault: Error, CustomStringConvertible, Hashable {
    public let description: String
}

/// A zone whose intensities the collector asks for: an entry of `grid:`.
public struct GridZoneSettings: Sendable, Hashable {
    var zone: GridZone
    /// Nil: that of the first provider.
    var basis: Intensity.Basis?
    /// From when on history is wanted and the basis counts; nil: 30 days before it was first configured.
    var since: Timestamp?
    var wantsForecast: Bool
    var every: Duration
    /// The second is asked for what the first does not know, and so on.
    var providers: [GridProviderSettings]

    /// For `--show-config`; no key is in it.
    var shown: String {
        let names = providers.isEmpty ? "nobody is asked" : providers.map(\.shownName).joined(separator: ", then ")
        return names + (basis.map { "; \($0)" } ?? "") + (since.map { "; since \(RFC3339.format($0))" } ?? "")
            + (wantsForecast ? "" : "; no forecast")
    }

    /// Reads `grid:`, as YAML gives it, and makes sure that all but the keys is there.
    ///
    /// - Throws: `GridFault` that names the zone, the provider and the field.
    static func read(_ value: Any) throws -> [GridZoneSettings] {
        guard let list = value as? [Any] else { throw GridFault(description: "grid: expected a list of zones, found \(value)") }
        let zones = try list.enumerated().map { try zone($1, place: "grid, zone \($0 + 1)") }
        if let twice = Dictionary(grouping: zones, by: \.zone).first(where: { $1.count > 1 }) {
            throw GridFault(description: "grid: expected each zone once, found \(twice.key) twice; list its providers in one entry")
        }
        for zone in zones { _ = try zone.chain { _ in "" } }
        return zones
    }

    private static let keys = ["zone", "basis", "since", "forecast", "every_s", "providers"]

    private static func zone(_ value: Any, place: String) throws -> GridZoneSettings {
        guard let mapping = value as? [String: Any] else {
            throw GridFault(description: "\(place): expected `zone: ZONE` and `providers`, found \(value)")
        }
        if mapping["zone"] as? Bool != nil {
            throw GridFault(description: "\(place), zone: expected a name, found yes or no as YAML reads it; write Norway as \"NO\"")
        }
        let text = mapping["zone"].map { "\($0)" }
        guard let zone = text.flatMap({ GridZone($0) }) else {
            throw GridFault(description: "\(place), zone: expected a grid zone such as GB or US-CAL-CISO, found \(text ?? "nothing")")
        }
        let fields = GridFields(mapping, place: "\(place) (\(zone))", known: keys)
        try fields.refuseUnknown()
        guard let list = mapping["providers"] as? [Any] else {
            throw fields.fault("providers", "a list of names, or of `name: NAME` with settings", mapping["providers"])
        }
        let basis = try fields.basis("basis")
        if list.isEmpty, basis == nil {
            throw fields.fault("providers", "at least one, or a `basis` of which only the yearly figures count", nil)
        }
        let providers = try list.enumerated().map {
            try GridProviderSettings($1, place: "\(fields.place), provider \($0 + 1)", zoneBasis: basis)
        }
        if let twice = Dictionary(grouping: providers, by: \.shownName).first(where: { $1.count > 1 }) {
            throw fields.fault("providers", "each provider once", twice.key)
        }
        return GridZoneSettings(
            zone: zone,
            basis: basis,
            since: try fields.time("since"),
            wantsForecast: try fields.bool("forecast") ?? true,
            every: .seconds(try fields.number("every_s", 1...3_600) ?? 900),
            providers: providers
        )
    }

    /// The providers, ready to be asked.
    ///
    /// - Parameter key: what lets a provider in.
    /// - Throws: `GridFault` where one does not know the zone or has another basis, and what `key` throws.
    func chain(key: (GridProviderSettings) throws -> String) throws -> GridChain {
        let made = try providers.map { ($0, try $0.provider(for: zone, key: key)) }
        guard let basis = basis ?? made.first?.1.basis else {
            throw GridFault(description: "grid, \(zone): expected a provider or a basis, found neither")
        }
        for (settings, provider) in made {
            guard provider.basis == basis else {
                throw GridFault(
                    description:
                        "\(settings.place): expected figures of \(basis), found \(provider.basis): a zone's providers stand in for "
                        + "one another, and figures of two bases are never in one sum"
                )
            }
            do {
                _ = try provider.requests(GridQuestion(.latest, of: zone, now: Timestamp(microseconds: 1_767_225_600_000_000)))
            } catch {
                throw GridFault(description: "\(settings.place): \(error)")
            }
        }
        return GridChain(
            zone: zone,
            basis: basis,
            since: since,
            wantsForecast: wantsForecast,
            every: every,
            providers: made.map(\.1)
        )
    }
}

/// The providers of one zone and one basis, in the order in which they are asked.
public struct GridChain: Sendable {
    var zone: GridZone
    var basis: Intensity.Basis
    var since: Timestamp?
    var wantsForecast: Bool
    var every: Duration
    var providers: [any GridProvider]
}

/// A mapping of the configuration, whose faults name their place.
struct GridFields {
    let values: [String: Any]
    let place: String
    let known: [String]

    init(_ values: [String: Any], place: String, known: [String]) {
        self.values = values
        self.place = place
        self.known = known
    }

    func fault(_ name: String, _ expected: String, _ found: Any?) -> GridFault {
        GridFault(description: "\(place), \(name): expected \(expected), found \(found.map { "\($0)" } ?? "nothing")")
    }

    func refuseUnknown() throws {
        // What somebody took for a place of a key is not repeated.
        if let name = ["key", "token", "password"].first(where: { values[$0] != nil }) {
            throw GridFault(description: "\(place), \(name): expected no key in the configuration; name a file with it as `key_file`")
        }
        if let name = values.keys.sorted().first(where: { !known.contains($0) }) {
            throw GridFault(description: "\(place): expected \(known.joined(separator: ", ")), found \(name)")
        }
    }

    func text(_ name: String) throws -> String? {
        guard let value = values[name] else { return nil }
        guard !(value is [Any]), !(value is [String: Any]), !"\(value)".isEmpty else { throw fault(name, "a text", value) }
        return "\(value)"
    }

    func required(_ name: String, _ expected: String) throws -> String {
        guard let text = try text(name) else { throw fault(name, expected, nil) }
        return text
    }

    func bool(_ name: String) throws -> Bool? {
        guard let value = values[name] else { return nil }
        guard let bool = value as? Bool else { throw fault(name, "true or false", value) }
        return bool
    }

    func number(_ name: String, _ range: ClosedRange<Double>) throws -> Double? {
        guard let value = values[name] else { return nil }
        guard let number = Double("\(value)"), range.contains(number) else {
            throw fault(name, "\(range.lowerBound) to \(range.upperBound)", value)
        }
        return number
    }

    func basis(_ name: String) throws -> Intensity.Basis? {
        guard let text = try text(name) else { return nil }
        guard let basis = Intensity.Basis(text) else {
            throw fault(
                name,
                "lifecycle or direct / average or marginal / production or consumption, such as direct/average/consumption",
                text
            )
        }
        return basis
    }

    func time(_ name: String) throws -> Timestamp? {
        guard let value = values[name] else { return nil }
        // YAML knows times.
        if let date = value as? Date { return Timestamp(microseconds: Int64((date.timeIntervalSince1970 * 1e6).rounded())) }
        guard let time = RFC3339.parse("\(value)") else { throw fault(name, "a time such as 2026-08-01T00:00:00Z", value) }
        return time
    }
}
