import Carbon
import Testing

@Suite struct SCITests {
    @Test func theScoreIsOperationalAndEmbodiedByTheUnits() {
        let score = SCI(operational: CO2e(grams: 4), embodied: CO2e(grams: 1), functionalUnits: 100)
        #expect(score.gramsPerUnit == 0.05)
    }

    @Test(arguments: [0.0, -1, .nan, .infinity]) func noUnitsHaveNoScore(units: Double) {
        #expect(SCI(operational: CO2e(grams: 4), embodied: .zero, functionalUnits: units).gramsPerUnit == nil)
    }

    /// 1533.12 kg over 4 years of 8760 h, an hour of it, one of eight parts: 1533120 / 35040 / 8.
    @Test func theEmbodiedPartIsThatOfTimeAndOfResources() {
        let mass = SCI.embodied(
            total: CO2e(kilograms: 1_533.12),
            reservedSeconds: 3_600,
            lifetimeSeconds: 126_144_000,
            resourceShare: 0.125
        )
        #expect(abs((mass?.grams ?? 0) - 5.469_178_082_191_781) < 1e-12)
    }

    @Test func whatCannotBeIsNotComputed() {
        func mass(_ seconds: Double, _ lifetime: Double, _ share: Double) -> CO2e? {
            SCI.embodied(total: CO2e(grams: 1), reservedSeconds: seconds, lifetimeSeconds: lifetime, resourceShare: share)
        }
        #expect(mass(-1, 1, 1) == nil)
        #expect(mass(1, 0, 1) == nil)
        #expect(mass(1, 1, 1.1) == nil)
        #expect(mass(1, 1, -0.1) == nil)
        #expect(mass(.nan, 1, 1) == nil)
        #expect(mass(2, 1, 1) == CO2e(grams: 2))
    }

    /// A host that has promised 1.5 of itself: its spans have 2/3 of what they reserved, together all of it.
    @Test func reservationsOfMoreThanTheHostSumToTheHost() {
        #expect(SCI.reservedShare(0.5, of: 0.8) == 0.5)
        #expect(SCI.reservedShare(0.9, of: 1.5) + SCI.reservedShare(0.6, of: 1.5) == 1)
        #expect(SCI.reservedShare(0, of: 0) == 0)
    }
}
