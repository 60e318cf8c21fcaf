import Testing

@testable import ImpactModels

@Suite struct ArithmeticTests {
    @Test func aFormulaIsReadWithTheUsualPrecedence() throws {
        let values = ["carbon": 3.0, "cpu/energy": 0.5, "a1": 2.0]
        for (text, expected) in [
            ("=2*carbon", 6.0), ("='cpu/energy' * 3", 1.5), ("=1+2*3", 7), ("=(1+2)*3", 9), ("=-a1 - -1", -1), ("=8/2/2", 2),
            ("=.5+1.25", 1.75),
        ] {
            let arithmetic = try #require(try Arithmetic(text))
            #expect(arithmetic.value { values[$0] ?? .nan } == expected, "\(text)")
        }
        #expect(try Arithmetic("carbon") == nil)
    }

    @Test(arguments: ["=", "=2*", "=(1", "=process.exit(7)", "=a b", "=a;b", "=''", "=1..2", "=" + String(repeating: "(", count: 500)])
    func whatIsNoArithmeticIsRefused(text: String) {
        #expect(throws: Arithmetic.Malformed.self) { try Arithmetic(text) }
    }
}
