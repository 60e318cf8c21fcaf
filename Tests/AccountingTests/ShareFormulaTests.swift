import Accounting
import Energy
import TestSupport
import Testing

/// The worked example of the methodology: 100 W for 60 s, floor 40 W, two spans that declare 0.5 and 0.3.
@Suite struct WorkedExampleTests {
    static func accounts(busy: Double?, agent: Double? = nil) -> ComponentAccounts {
        let window = Interval(Timestamp(microseconds: 0), Timestamp(microseconds: 60_000_000))
        func line(_ perSecond: Double) -> Curve {
            Curve(knots: [Knot(time: window.start, value: 0), Knot(time: window.end, value: Int64(perSecond * 60))])
        }
        let floor = Power(watts: 40)
        let meter = MeterInput(
            name: "p0",
            component: .cpu,
            quality: .measured,
            curve: line(100_000_000),
            idle: UtilisationModel.Point(low: floor, best: floor, high: floor)
        )
        return Sweep.accounts(
            of: HostInput(
                window: window,
                cpus: 10,
                meters: [meter],
                busy: busy.map { line($0 * 10_000_000) },
                agent: agent.map { line($0 * 10_000_000) },
                spans: [SpanInput(id: 1, interval: window, cpuShare: 0.5), SpanInput(id: 2, interval: window, cpuShare: 0.3)]
            )
        )[0]
    }

    @Test func busyUnknown() {
        let accounts = Self.accounts(busy: nil)
        #expect(accounts.slices.map(\.dynamic) == [1_800_000_000, 1_080_000_000])
        #expect(accounts.unknown == 720_000_000)
        #expect(accounts.system == 0)
        #expect(accounts.flags.contains(.busyUnknown))
    }

    @Test func busyAsDeclared() {
        let accounts = Self.accounts(busy: 0.8)
        #expect(accounts.slices.map(\.dynamic) == [2_250_000_000, 1_350_000_000])
        #expect(accounts.unknown == 0)
    }

    @Test func busyLessThanDeclaredWithTheAgentAtWork() {
        let accounts = Self.accounts(busy: 0.6, agent: 0.05)
        #expect(accounts.slices.map(\.dynamic) == [2_062_500_000, 1_237_500_000])
        #expect(accounts.agent == 300_000_000)
    }

    @Test func busyMoreThanDeclaredLeavesTheSystem() {
        let accounts = Self.accounts(busy: 1)
        #expect(accounts.slices.map(\.dynamic) == [1_800_000_000, 1_080_000_000])
        #expect(accounts.system == 720_000_000)
    }

    @Test func idleMovedByEachPolicy() {
        let accounts = Self.accounts(busy: 0.8)
        #expect(accounts.idle == 2_400_000_000)
        #expect(accounts.slices.map(\.idle.reserved) == [1_200_000_000, 720_000_000])
        #expect(accounts.slices.map(\.idle.busy) == [1_500_000_000, 900_000_000])
        #expect(accounts.slices.map(\.idle.equal) == [1_200_000_000, 1_200_000_000])
        #expect(accounts.slices.map { $0.idle[.dynamic] } == [0, 0])
    }
}

@Suite struct ShareFormulaTests {
    @Test(arguments: 0..<20) func everyFractionIsAtLeastZeroAndTheySumToOne(seed: UInt64) {
        var random = RandomSource(seed: seed)
        for _ in 0..<250 {
            let busy: Double? = random.chance(0.2) ? nil : random.chance(0.1) ? 0 : Double.random(in: 0...1, using: &random)
            let measured = (0..<Int.random(in: 0...4, using: &random)).map { _ in Double.random(in: 0...0.4, using: &random) }
            let weights = (0..<Int.random(in: 0...4, using: &random)).map { _ in Double.random(in: 0...1, using: &random) }
            let agent = random.chance(0.5) ? 0 : Double.random(in: 0...0.05, using: &random)
            let formula = ShareFormula(busy: busy, measured: measured.reduce(0, +), agent: agent, weights: weights.reduce(0, +))
            let parts =
                measured.map(formula.measured) + weights.map(formula.declared) + [
                    formula.agent, formula.system, formula.unknown, formula.idle,
                ]
            #expect(parts.allSatisfy { $0 >= 0 })
            #expect(abs(parts.reduce(0, +) - 1) < 1e-12)
        }
    }
}
