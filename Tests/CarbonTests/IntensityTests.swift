import Carbon
import Factors
import Testing

@Suite struct IntensityTests {
    let table: CSVTable

    init() throws { table = try CSVTable(parsing: Factors.countryIntensityCSV) }

    func column(_ name: String) -> [String] { table.rows.indices.map { table[$0, name] ?? "" } }

    @Test func everyZoneIsThereOnceWithSourceYearLicenceAndBasis() {
        let zones = column("zone")
        #expect(Set(zones).count == zones.count)
        #expect(zones.allSatisfy { GridZone($0) != nil })
        #expect(column("basis").allSatisfy { Intensity.Basis($0) != nil })
        #expect(column("kind").allSatisfy { Intensity.Kind(rawValue: $0) != nil })
        for name in ["source", "licence", "provider"] { #expect(column(name).allSatisfy { !$0.isEmpty }) }
        #expect(column("g_per_kwh").allSatisfy { (Double($0) ?? 0) > 0 })
    }

    @Test func theWorldsLimitsAreTheTablesExtremes() throws {
        let world = try #require(column("zone").firstIndex(of: GridZone.world.key))
        let others = table.rows.indices.filter { $0 != world }.compactMap { table[$0, "g_per_kwh"].flatMap(Double.init) }
        #expect(table[world, "low_g_per_kwh"].flatMap(Double.init) == others.min())
        #expect(table[world, "high_g_per_kwh"].flatMap(Double.init) == others.max())
    }

    @Test func oneKilowattHourAtTheStatedIntensityIsThatManyGrams() {
        #expect(Intensity.micrograms(microjoules: 3.6e12, gramsPerKilowattHour: 212.4) == 212.4e6)
    }

    @Test(arguments: ["FR", "US-CAL-CISO", "DK-DK1", "WORLD"]) func zoneKeysAreTaken(text: String) { #expect(GridZone(text)?.key == text) }
    @Test(arguments: ["", "F", "fr", "FR-", "-FR", "FR DE", "FR/DE"]) func whatIsNoZoneKeyIsNot(text: String) {
        #expect(GridZone(text) == nil)
    }

    @Test func basesAreTriples() {
        #expect(Intensity.Basis("direct/average/consumption")?.description == "direct/average/consumption")
        #expect(Intensity.Basis("direct/average") == nil)
        #expect(Intensity.Basis("direct/typical/consumption") == nil)
    }
}
