import Carbon
import Energy
import TestSupport
import Testing

@Suite("Laws of embodied mass, on servers and lives drawn at random")
struct EmbodiedLawTests {
    @Test("more of a part is more, a part that is known lies within the limits of one that is not")
    func monotone() throws {
        var random = RandomSource(seed: 20_260_101)
        let factors = try ServerEmbodiedTests.factors()
        for _ in 0..<LongRun.rounds(short: 200, long: 20_000) {
            let density = Double.random(in: 0.625...2.375, using: &random)
            var server = ServerParts(
                processors: .init(count: Int.random(in: 1...4, using: &random), cores: Int.random(in: 4...96, using: &random)),
                memory: [.init(count: Int.random(in: 1...32, using: &random), gigabytes: Double(Int.random(in: 8...128, using: &random)))],
                drives: [.ssd(count: Int.random(in: 0...8, using: &random), gigabytes: Double.random(in: 100...8_000, using: &random))]
            )
            let vague = try ServerEmbodied(server, factors).total
            server.memory[0].gigabytesPerSquareCentimetre = density
            let known = try ServerEmbodied(server, factors).total
            #expect(known.best >= vague.low && known.best <= vague.high)
            server.memory[0].count += 1
            #expect(try ServerEmbodied(server, factors).total.best > known.best)
        }
    }

    @Test("whatever the revisions, the whole life is charged the whole mass once, in any pieces")
    func conserved() throws {
        var random = RandomSource(seed: 7)
        for _ in 0..<LongRun.rounds(short: 300, long: 30_000) {
            var revisions: [EmbodiedSchedule.Revision] = []
            var from = 0.0
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                revisions.append(
                    .init(
                        from: EmbodiedScheduleTests.year(from),
                        end: EmbodiedScheduleTests.year(from + Double.random(in: 0.1...6, using: &random))
                    )
                )
                from += Double.random(in: 0.01...3, using: &random)
            }
            let schedule = try EmbodiedSchedule(total: EmbodiedScheduleTests.tonne, source: .parts, revisions: revisions)
            var edges = (0..<8).map { _ in Double.random(in: -1...20, using: &random) }
            edges = ([-2] + edges + [25]).sorted()
            let pieces = zip(edges, edges.dropFirst()).map {
                schedule.mass(in: Interval(EmbodiedScheduleTests.year($0), EmbodiedScheduleTests.year($1))).best.kilograms
            }
            #expect(pieces.allSatisfy { $0 >= 0 })
            #expect(abs(pieces.reduce(0, +) - 1_000) < 1e-6)
        }
    }
}
