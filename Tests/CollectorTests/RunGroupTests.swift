import Energy
import Store
import TestSupport
import Testing
@testable import Collector

@Suite("A run's jobs on one runner")
struct RunGroupTests {
    static func job(_ id: String, _ from: Double, _ to: Double?, attempt: Int = 1, name: String = "build") -> RunGroup.Member {
        RunGroup.Member(
            jobID: id,
            isHook: false,
            attempt: attempt,
            name: name,
            repository: "github.com/o/r",
            startedAt: at(from),
            finishedAt: to.map { at($0) }
        )
    }

    static func hook(_ id: String, _ from: Double, _ to: Double?, attempt: Int = 1) -> RunGroup.Member {
        RunGroup.Member(
            jobID: id,
            isHook: true,
            attempt: attempt,
            repository: "github.com/o/r",
            startedAt: at(from),
            finishedAt: to.map { at($0) }
        )
    }

    @Test("a hook's record is the job that it overlaps")
    func aHooksRecordIsTheJobThatItOverlaps() {
        let aliases = RunGroup.aliases(of: [Self.job("j1", 0, 30), Self.job("j2", 35, 90), Self.hook("h2", 41, 88), Self.hook("h1", 4, 29)])
        #expect(aliases == ["h1": .init(of: "j1", cause: .hook), "h2": .init(of: "j2", cause: .hook)])
    }

    @Test("a hook's record far from every job, or of another attempt, stays a job of its own")
    func aHookFarFromEveryJobStaysItsOwn() {
        let members = [Self.job("j", 0, 30), Self.hook("late", 600, 700), Self.hook("other", 3, 29, attempt: 2)]
        #expect(RunGroup.aliases(of: members).isEmpty)
    }

    @Test("a hook's record of another repository is none of the job's")
    func aHookOfAnotherRepositoryIsNoneOfTheJobs() {
        var other = Self.hook("h", 3, 29)
        other.repository = "github.com/o/x"
        #expect(RunGroup.aliases(of: [Self.job("j", 0, 30), other]).isEmpty)
    }

    @Test("a job carried over into later attempts ran once, in the first")
    func aCarriedOverJobRanOnce() {
        let members = [Self.job("a3", 0, 30, attempt: 3), Self.job("a1", 0, 30), Self.job("a2", 0, 30, attempt: 2)]
        #expect(RunGroup.aliases(of: members) == ["a2": .init(of: "a1", cause: .carriedOver), "a3": .init(of: "a1", cause: .carriedOver)])
    }

    @Test("a re-run at another time is work of its own")
    func aRerunIsWorkOfItsOwn() {
        #expect(RunGroup.aliases(of: [Self.job("a1", 0, 30), Self.job("a2", 100, 130, attempt: 2)]).isEmpty)
    }

    @Test("the order of arrival makes no difference", arguments: 0..<50)
    func theOrderOfArrivalMakesNoDifference(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        var members: [RunGroup.Member] = []
        var start = 0.0
        for number in 0..<6 {
            let length = Double.random(in: 1...60, using: &random)
            members.append(Self.job("j\(number)", start, start + length, name: "n\(number % 2)"))
            if Bool.random(using: &random) {
                members.append(Self.job("c\(number)", start, start + length, attempt: 2, name: "n\(number % 2)"))
            }
            if Bool.random(using: &random) {
                members.append(Self.hook("h\(number)", start + Double.random(in: 0...5, using: &random), start + length))
            }
            start += length + Double.random(in: 0...20, using: &random)
        }
        let expected = RunGroup.aliases(of: members)
        for _ in 0..<5 { #expect(RunGroup.aliases(of: members.shuffled(using: &random)) == expected) }
        // Nothing is an alias of an alias, and no job has two hooks.
        #expect(expected.values.allSatisfy { expected[$0.of] == nil })
        #expect(Set(expected.values.filter { $0.cause == .hook }.map(\.of)).count == expected.values.filter { $0.cause == .hook }.count)
    }
}
