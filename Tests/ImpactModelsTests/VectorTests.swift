import Foundation
import ImpactModels
import Testing

/// The built-ins against what upstream recorded, or gave when it was run.
@Suite(.enabled(if: Vectors.areHere, Vectors.absence)) struct VectorTests {
    /// Vectors that hold a known error, which only strict mode gives.
    private static let wrong: Set<String> = [
        "if05",  // x / 0 = x
        "if17",  // x and y sorted each by itself
        "if23",  // g of memory taken for kg
        "if25",  // 100 kg per vCPU
        "if33",  // means without weights
    ]
    /// What is not run in either mode.
    private static let absent: Set<String> = ["Regex"]

    @Test(arguments: [false, true])
    func theBuiltInsGiveWhatUpstreamGives(strict: Bool) throws {
        var compared = 0
        for vector in try Vectors.all()["if_builtins"]?.list ?? [] {
            let map = try #require(vector.map)
            let id = try #require(map["id"]?.text)
            let method = try #require(map["method"]?.text)
            guard !method.hasPrefix("aggregation"), !Self.absent.contains(method), strict || !Self.wrong.contains(id) else { continue }
            let document = Running.manifest(
                method: method,
                config: map["config"]?.map ?? ModelMap(),
                inputs: map["inputs"]?.list?.compactMap(\.map) ?? []
            )
            compared += 1
            let run: ModelRun
            do {
                run = try ModelRun(Manifest(document), options: .init(isStrict: strict), sources: ModelSources())
            } catch {
                #expect(map["error"] != nil, "\(id): \(error)")
                continue
            }
            let expected = try #require(map["outputs"]?.list, "\(id)").compactMap(\.map)
            let found = run.outputs()
            #expect(found.count == expected.count, "\(id)")
            for (found, expected) in zip(found, expected) {
                #expect(Set(found.keys) == Set(expected.keys), "\(id)")
                for (key, value) in expected.pairs {
                    if let number = value.number {
                        #expect(near(found[key]?.number, number), "\(id), \(key): \(found[key]?.plain ?? "") for \(number)")
                    } else {
                        #expect(found[key] == value, "\(id), \(key)")
                    }
                }
            }
        }
        #expect(compared >= (strict ? 14 : 10))
    }
}
