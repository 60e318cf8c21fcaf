import Foundation
import Simulation
import Testing

@Suite("Random draws")
struct RandomDrawsTests {
    @Test("logarithm and exponential are the C library's")
    func functionsAgreeWithTheLibrary() {
        var draws = RandomDraws(seed: 1)
        for _ in 0..<2_000 {
            let x = draws.uniform(-40, 40)
            #expect(abs(RealFunctions.exponential(x) / exp(x) - 1) < 1e-13)
            #expect(abs(RealFunctions.logarithm(exp(x)) - x) < 1e-13 * max(1, abs(x)))
            #expect(abs(RealFunctions.power(1 + abs(x), 0.7) / pow(1 + abs(x), 0.7) - 1) < 1e-13)
        }
    }

    @Test("a normal draw has mean 0 and variance 1, and each stream its own draws")
    func normalMoments() {
        var draws = RandomDraws(seed: 7)
        let values = (0..<40_000).map { _ in draws.normal() }
        let mean = values.reduce(0, +) / Double(values.count)
        let variance = values.reduce(0) { $0 + $1 * $1 } / Double(values.count)
        #expect(abs(mean) < 0.02)
        #expect(abs(variance - 1) < 0.03)
        var first = RandomDraws(seed: 7, stream: 1)
        var again = RandomDraws(seed: 7, stream: 1)
        var other = RandomDraws(seed: 7, stream: 2)
        let value = first.next()
        #expect(value == again.next())
        #expect(value != other.next())
    }
}
