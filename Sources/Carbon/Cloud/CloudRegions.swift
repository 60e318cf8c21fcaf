/// Water usage effectiveness: litres of water that a building uses per kWh of its *machines'* energy (ISO/IEC 30134-9).
public struct WUE: Hashable, Sendable {
    public let litresPerKilowattHour: Double

    /// Nil below 0, above 50 and for NaN.
    public init?(_ litresPerKilowattHour: Double) {
        guard (0...50).contains(litresPerKilowattHour) else { return nil }
        self.litresPerKilowattHour = litresPerKilowattHour
    }

    /// Of IT energy, never of the building's: PUE is not in the water's denominator.
    public func litres(of energy: ITEnergy) -> Double { energy.kilowattHours * litresPerKilowattHour }
}

/// A region of a cloud: where it is, and what its buildings add.
public struct CloudRegion: Hashable, Sendable {
    public let vendor: String
    public let name: String
    /// ISO 3166-1 alpha-2.
    public let country: GridZone
    /// The zone of the grid, or the country where a finer one is not known.
    public let zone: GridZone
    public let pue: PUE
    /// Nil where the vendor states none.
    public let wue: WUE?
    /// Whether PUE and WUE are of the region; else they are means over the vendor's buildings in the world.
    public let isOfRegion: Bool
    public let year: Int
}

/// The regions of clouds by vendor and name.
public struct CloudRegions: Sendable {
    private let regions: [String: CloudRegion]

    /// - Parameter rows: the columns of `cloud_regions.csv`. Of several versions of a region the last in the table counts.
    public init(_ rows: FactorRows) throws(FactorRows.Fault) {
        var regions: [String: CloudRegion] = [:]
        for row in try rows.needing(["vendor", "region", "country", "zone", "pue", "wue_l_per_kwh", "basis", "year"]) {
            let vendor = try row.required("vendor")
            let name = try row.required("region")
            guard let country = GridZone(row.text("country")) else { throw row.fault("country", "an ISO 3166-1 code") }
            guard let zone = GridZone(row.text("zone")) else { throw row.fault("zone", "a zone's key") }
            guard let pue = PUE(try row.number("pue")) else { throw row.fault("pue", "a ratio of 1 to 4") }
            var wue: WUE?
            if let litres = try row.optionalNumber("wue_l_per_kwh") {
                guard let read = WUE(litres) else { throw row.fault("wue_l_per_kwh", "litres per kWh, 0 to 50") }
                wue = read
            }
            guard let year = Int(row.text("year")) else { throw row.fault("year", "a year") }
            regions[Self.key(vendor, name)] = CloudRegion(
                vendor: vendor,
                name: name,
                country: country,
                zone: zone,
                pue: pue,
                wue: wue,
                isOfRegion: row.text("basis") == "region",
                year: year
            )
        }
        self.regions = regions
    }

    /// Nil for a region that the table does not have: it has no place and no PUE, and not another one's either.
    public func region(_ name: String, of vendor: String) -> CloudRegion? { regions[Self.key(vendor, name)] }

    private static func key(_ vendor: String, _ name: String) -> String { "\(vendor.lowercased())/\(name.lowercased())" }
}
