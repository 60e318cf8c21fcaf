import Carbon
public import Documents
public import Energy
import Store

/// What a file says of sites: where machines stand, on which grid, in what building, with which contracts.
public struct SiteFile: Sendable {
    /// One site from an instant on.
    public struct Site: Sendable, Hashable {
        /// In lower case.
        public var name: String
        /// Nil where it always counted.
        public var from: Timestamp?
        /// As `SiteTable` lists its fields.
        public var record: [String: JSONValue] = [:]
        /// `sites.yaml, line 12`.
        public var place: String
    }

    public private(set) var sites: [Site] = []

    public init() {}

    /// - Parameters:
    ///   - text: YAML with the key `sites`, or CSV with a header, as its name's ending says.
    ///   - name: how messages call it.
    /// - Throws: `HostFile.Fault`, with the line and the field.
    public init(text: String, name: String) throws {
        guard !text.allSatisfy(\.isWhitespace) else { throw Self.empty(name) }
        let records =
            try name.hasSuffix(".csv") ? HostFileReading.table(text, name: name) : HostFileReading.yaml(text, name: name, key: "sites")
        sites = try records.map { try Self.site($0) }
        guard !sites.isEmpty else { throw Self.empty(name) }
        var seen: Set<String> = []
        for site in sites where !seen.insert("\(site.name) \(site.from?.microseconds ?? 0)").inserted {
            throw HostFile.Fault(description: "\(site.place): field site: expected each site once from a day on, found \(site.name) twice")
        }
    }

    public mutating func add(_ other: SiteFile) { sites += other.sites }

    private static let known = "site, from, grid_zone, pue, wue_l_per_kwh, contracts, residual_mix, notes"
    private static let gramsRange = 0.0...2_000.0

    private static func site(_ list: FieldList) throws -> Site {
        var site = Site(name: "", place: list.place)
        for field in list.fields {
            switch field.name {
            case "site", "name": site.name = SiteTable.key(try field.text())
            case "from": site.from = try field.time()
            case "grid_zone", "zone": site.record["grid_zone"] = .string(try field.gridZone())
            case "pue": site.record["pue"] = .whole(try field.number(1...4))
            case "wue_l_per_kwh": site.record["wue_l_per_kwh"] = .whole(try field.number(0...50))
            case "contracts": site.record["contracts"] = try contracts(field)
            case "residual_mix": site.record["residual_mix"] = .object(try rate(field, list: try field.parts(), texts: ["source"]))
            case "notes": site.record["notes"] = .string(try field.text())
            default: throw field.unknown(known)
            }
        }
        guard (1...200).contains(site.name.utf8.count) else {
            throw HostFile.Fault(description: "\(list.place): field site: expected the site's name, of at most 200 bytes, found nothing")
        }
        // It is printed in tables, one line a record.
        guard !site.name.allSatisfy(\.isWhitespace), !site.name.unicodeScalars.contains(where: isControl) else {
            throw HostFile.Fault(
                description: "\(list.place): field site: expected a name of one line without control characters, found "
                    + String(reflecting: site.name)
            )
        }
        return site
    }

    private static func empty(_ name: String) -> HostFile.Fault {
        HostFile.Fault(description: "\(name): expected at least one site, found none")
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        [.control, .lineSeparator, .paragraphSeparator].contains(scalar.properties.generalCategory)
    }

    private static func contracts(_ field: FieldList.Field) throws -> JSONValue {
        // A table has room for one: `contracts.share` is a column.
        let entries = field.value.object == nil ? try field.entries() : [FieldList(place: field.place, fields: try field.parts())]
        var covered = 0.0
        let contracts = try entries.map { entry -> JSONValue in
            guard let share = entry.fields.first(where: { $0.name == "share" }) else {
                throw HostFile.Fault(description: "\(field.place): field contracts: expected each contract's share of the site, found none")
            }
            let part = try share.number(0...1)
            covered += part
            var fields = try rate(
                field,
                list: entry.fields.filter { $0.name != "share" },
                texts: ["instrument", "source"]
            )
            fields["share"] = .whole(part)
            return .object(fields)
        }
        // Written as decimals: ten tenths are all of it.
        guard covered <= 1 + 1e-9 else { throw field.fault("shares that sum to at most 1 (they sum to \(covered))") }
        return .array(contracts)
    }

    /// `g_per_kwh` with its limits, where they are stated.
    private static func rate(_ field: FieldList.Field, list: [FieldList.Field], texts: Set<String>) throws -> [String: JSONValue] {
        var fields: [String: JSONValue] = [:]
        var grams: [String: Double] = [:]
        let numbers: Set<String> = ["g_per_kwh", "low_g_per_kwh", "high_g_per_kwh"]
        for part in list {
            if numbers.contains(part.name) {
                grams[part.name] = try part.number(gramsRange)
            } else if texts.contains(part.name) {
                fields[part.name] = .string(try part.text())
            } else {
                throw part.unknown(numbers.union(texts).sorted().joined(separator: ", "))
            }
        }
        guard let best = grams["g_per_kwh"] else {
            throw HostFile.Fault(description: "\(field.place): field \(field.name): expected g_per_kwh, gCO2e per kWh, found nothing")
        }
        guard grams["low_g_per_kwh"] ?? best <= best, best <= grams["high_g_per_kwh"] ?? best else {
            throw field.fault("low_g_per_kwh <= g_per_kwh <= high_g_per_kwh")
        }
        for (name, value) in grams { fields[name] = .whole(value) }
        return fields
    }
}

extension JSONValue {
    /// As it comes back from the database, where 16 and 16.0 are one number.
    static func whole(_ number: Double) -> JSONValue { Int64(exactly: number).map { .integer($0) } ?? .number(number) }
}

extension FieldList.Field {
    /// A place on the grid: a country or, better, a part of one.
    func gridZone() throws -> String {
        guard let zone = GridZone(try text()) else {
            throw fault("a zone in upper case, a country (GB) or a part of one (US-CAL-CISO, IT-NO)")
        }
        return zone.key
    }
}
