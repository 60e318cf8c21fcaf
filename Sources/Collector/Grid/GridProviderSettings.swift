import Carbon
import Energy
import Foundation
import GridFeeds

/// A provider that the configuration names, with what it needs.
public struct GridProviderSettings: Sendable, Hashable {
    enum Kind: String, Sendable, CaseIterable {
        case greatBritain = "gb-carbon-intensity"
        case france = "fr-eco2mix"
        case electricityMaps = "electricity-maps"
        case electricityMapsDirect = "electricity-maps-direct"
        case co2Signal = "co2-signal"
        case wattTimeAverage = "watttime-average"
        case wattTimeMarginal = "watttime-marginal"
        case entsoE = "entsoe-mix"
        case carbonAwareFile = "carbon-aware-file"
        case own

        /// The environment's variable for its key; nil for one that lets everybody in.
        var keyVariable: String? {
            switch self {
            case .greatBritain, .france, .carbonAwareFile, .own: nil
            case .electricityMaps, .electricityMapsDirect: "WATTLE_ELECTRICITY_MAPS_KEY"
            case .co2Signal: "WATTLE_CO2_SIGNAL_KEY"
            case .wattTimeAverage, .wattTimeMarginal: "WATTLE_WATTTIME_KEY"
            case .entsoE: "WATTLE_ENTSOE_KEY"
            }
        }

        var isOfOnesOwn: Bool { self == .own || self == .carbonAwareFile }

        fileprivate var fields: [String] {
            let more: [String] =
                switch self {
                case .greatBritain, .france, .electricityMaps, .electricityMapsDirect, .co2Signal: []
                case .wattTimeAverage, .wattTimeMarginal: ["user", "region"]
                case .entsoE: ["domain", "factors", "factors_edition", "scope"]
                case .own: ["as", "basis", "kind", "source", "licence", "redistribute"]
                case .carbonAwareFile: ["as", "location", "basis", "kind", "source", "licence", "redistribute"]
                }
            return ["name", "url"] + (keyVariable == nil ? [] : ["key_file"]) + more
        }
    }

    /// What only one of a kind of one's own says.
    struct Own: Sendable, Hashable {
        var name: String
        var basis: Intensity.Basis
        var kind: Intensity.Kind
        var terms: FeedTerms
        var location: String?
    }

    struct Mix: Sendable, Hashable {
        var domain: String
        var factors: [String: EntsoE.FuelFactor]
        var edition: String
        var isLifecycle: Bool
    }

    var kind: Kind
    var place: String
    /// In place of the provider's own address: a mirror, a bridge, or where one's own file is.
    var url: String?
    var keyFile: String?
    var user: String?
    var region: String?
    var own: Own?
    var mix: Mix?

    var shownName: String { own?.name ?? kind.rawValue }

    init(_ value: Any, place: String, zoneBasis: Intensity.Basis?) throws {
        let mapping = value as? [String: Any] ?? ["name": value]
        guard let kind = (mapping["name"] as? String).flatMap({ Kind(rawValue: $0) }) else {
            let names = Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw GridFault(description: "\(place), name: expected one of \(names), found \(mapping["name"] ?? "nothing")")
        }
        self.kind = kind
        let fields = GridFields(mapping, place: "\(place) (\(kind.rawValue))", known: kind.fields)
        self.place = fields.place
        try fields.refuseUnknown()
        url = try Self.address(fields)
        keyFile = try fields.text("key_file")
        switch kind {
        case .wattTimeAverage, .wattTimeMarginal:
            user = try fields.required("user", "the name that was registered at WattTime")
            region = try fields.required("region", "WattTime's name of the region, such as CAISO_NORTH")
        case .entsoE: mix = try Self.mix(fields)
        case .own, .carbonAwareFile: own = try Self.own(fields, kind, zoneBasis)
        default: break
        }
    }

    private static func address(_ fields: GridFields) throws -> String? {
        guard let url = try fields.text("url") else { return nil }
        guard url.hasPrefix("http://") || url.hasPrefix("https://") || url.hasPrefix("/") else {
            throw fields.fault("url", "http://..., https://... or, for a file, /...", url)
        }
        return url.hasSuffix("/") ? String(url.dropLast()) : url
    }

    private static func own(_ fields: GridFields, _ kind: Kind, _ zoneBasis: Intensity.Basis?) throws -> Own {
        let name = try fields.required("as", "the name that stands beside its figures")
        guard Kind(rawValue: name) == nil || name == kind.rawValue else { throw fields.fault("as", "a name of its own", name) }
        guard try fields.text("url") != nil else { throw fields.fault("url", "where the figures are", nil) }
        guard let basis = try fields.basis("basis") ?? zoneBasis else {
            throw fields.fault("basis", "what the figures count, such as direct/average/consumption", nil)
        }
        let kinds = Intensity.Kind.allCases.map(\.rawValue).joined(separator: ", ")
        let text = try fields.text("kind") ?? "actual"
        guard let figures = Intensity.Kind(rawValue: text), figures != .yearly else { throw fields.fault("kind", "one of \(kinds)", text) }
        return Own(
            name: name,
            basis: basis,
            kind: figures,
            terms: FeedTerms(
                licence: try fields.text("licence") ?? "not stated",
                source: try fields.text("source") ?? name,
                mayBeRedistributed: try fields.bool("redistribute") ?? false
            ),
            location: kind == .carbonAwareFile ? try fields.required("location", "the file's name of the place, such as westeurope") : nil
        )
    }

    private static func mix(_ fields: GridFields) throws -> Mix {
        let scope = try fields.required("scope", "lifecycle or direct: what the factors count")
        guard ["lifecycle", "direct"].contains(scope) else { throw fields.fault("scope", "lifecycle or direct", scope) }
        guard let listed = fields.values["factors"] as? [String: Any], !listed.isEmpty else {
            throw fields.fault("factors", "g/kWh by kind of plant, such as `B04: [410, 490, 650]`", fields.values["factors"])
        }
        var factors: [String: EntsoE.FuelFactor] = [:]
        for (plant, value) in listed {
            let numbers = (value as? [Any] ?? [value]).map { Double("\($0)") }
            let known = numbers.compactMap { $0 }.filter { $0.isFinite && $0 >= 0 }
            guard known.count == numbers.count, [1, 3].contains(known.count), known == known.sorted() else {
                throw fields.fault("factors, \(plant)", "g/kWh, or the least, the best and the most of it", value)
            }
            factors[plant] = EntsoE.FuelFactor(known[known.count / 2], low: known[0], high: known[known.count - 1])
        }
        return Mix(
            domain: try fields.required("domain", "the bidding zone's EIC code, such as 10YFR-RTE------C"),
            factors: factors,
            edition: try fields.required("factors_edition", "where the factors are published, and which edition"),
            isLifecycle: scope == "lifecycle"
        )
    }

    /// What lets this provider in: the file that the configuration names, else the environment.
    ///
    /// - Throws: `GridFault` where there is none. The key is in no message.
    func key(environment: [String: String]) throws -> String {
        guard let variable = kind.keyVariable else { return "" }
        guard let keyFile else {
            guard let key = environment[variable], !key.isEmpty else {
                throw GridFault(description: "\(place): expected a key in the file that key_file names, or in \(variable), found none")
            }
            return key
        }
        let text: String
        do {
            text = try String(contentsOfFile: keyFile, encoding: .utf8)
        } catch {
            throw GridFault(description: "\(place), key_file: expected a file with a key, found that \(keyFile) cannot be read")
        }
        let key = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !key.isEmpty, !key.contains(where: \.isNewline) else {
            throw GridFault(description: "\(place), key_file: expected one line with a key in \(keyFile), found another number of lines")
        }
        return key
    }

    func provider(for zone: GridZone, key: (GridProviderSettings) throws -> String) throws -> any GridProvider {
        let key = try key(self)
        switch kind {
        case .greatBritain: return url.map { GreatBritain(base: $0) } ?? GreatBritain()
        case .france: return url.map { France(base: $0) } ?? France()
        case .electricityMaps, .electricityMapsDirect:
            let isDirect = kind == .electricityMapsDirect
            return url.map { ElectricityMaps(token: key, isDirect: isDirect, base: $0) } ?? ElectricityMaps(token: key, isDirect: isDirect)
        case .co2Signal: return url.map { CO2Signal(token: key, base: $0) } ?? CO2Signal(token: key)
        case .wattTimeAverage, .wattTimeMarginal:
            let signal = kind == .wattTimeMarginal ? WattTime.Signal.marginal : .average
            let (user, regions) = (user ?? "", [zone: region ?? ""])
            return url.map { WattTime(user: user, password: key, signal: signal, regions: regions, base: $0) }
                ?? WattTime(user: user, password: key, signal: signal, regions: regions)
        case .entsoE:
            guard let mix else { throw GridFault(description: "\(place): expected factors, found none") }
            let domains = [zone: mix.domain]
            return url.map {
                EntsoE(
                    token: key,
                    domains: domains,
                    factors: mix.factors,
                    isLifecycle: mix.isLifecycle,
                    edition: mix.edition,
                    base: $0
                )
            } ?? EntsoE(token: key, domains: domains, factors: mix.factors, isLifecycle: mix.isLifecycle, edition: mix.edition)
        case .carbonAwareFile, .own:
            guard let own, let url else { throw GridFault(description: "\(place), url: expected where the figures are, found nothing") }
            guard kind == .carbonAwareFile, let location = own.location else {
                return OwnSeries(name: own.name, address: url, basis: own.basis, kind: own.kind, terms: own.terms)
            }
            return CarbonAwareFile(
                name: own.name,
                address: url,
                basis: own.basis,
                kind: own.kind,
                terms: own.terms,
                locations: [zone: location]
            )
        }
    }
}
