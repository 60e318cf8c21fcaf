import CIEvents
import CIHistory
import Energy
import Testing

@Suite("GitLab's memory of jobs")
struct GitLabHistoryTests {
    @Test("each job comes once, over all pages of projects and jobs", arguments: [false, true])
    func everyJobOnce(numbered: Bool) async throws {
        let forge = try Forge(["repositories": 7, "runs": 9, "jobs": 2, "page": 5, "numbered": numbered])
        let history = try forge.gitLab()
        let walk = try await Walk { history }
        #expect(try await forge.jobs(isGitLab: true) == walk.jobs.sorted())
        #expect(walk.notices.filter(\.isPrivate).count == 3)
        #expect(walk.omissions.isEmpty)
    }

    @Test("a walk killed before or after any page goes on from its stored place to the same jobs")
    func resumable() async throws {
        let forge = try Forge(["repositories": 3, "runs": 7, "jobs": 3, "page": 2])
        let walk = try await Walk(times: 2) { try forge.gitLab() }
        #expect(try await forge.jobs(isGitLab: true) == Set(walk.jobs).sorted())
    }

    @Test("an installation that calls itself by another name in its links is asked where it is")
    func anotherName() async throws {
        let forge = try Forge(["repositories": 3, "runs": 4, "page": 2, "base": "https://gitlab.internal.example.org"])
        let history = try forge.gitLab()
        let walk = try await Walk { history }
        #expect(try await forge.jobs(isGitLab: true) == walk.jobs.sorted())
    }

    @Test("a walk stops at the jobs that are too old, and leaves out those that ended before")
    func since() async throws {
        let forge = try Forge(["runs": 100, "step": 86_400, "page": 5, "first": Forge.first - 99 * 86_400])
        let history = try forge.gitLab(since: Forge.since - Microseconds(Microseconds.day.count * 3))
        let walk = try await Walk { history }
        #expect(Set(walk.jobs.map { $0.split(separator: " ")[1].dropLast(3) }).sorted() == ["100", "97", "98"])
        // 30 days back, not all 100.
        #expect(try await forge.requests().count < 12)
    }

    @Test("a project without CI, or gone, is left out with a note, and the others come", arguments: [403, 404])
    func vanished(status: Int) async throws {
        let forge = try Forge(["repositories": 3, "runs": 4, "gone": ["acme/r1": status]])
        let history = try forge.gitLab()
        let walk = try await Walk { history }
        #expect(try await forge.jobs(isGitLab: true).filter { !$0.hasPrefix("acme/r1 ") } == walk.jobs.sorted())
        #expect(walk.omissions.map(\.repository) == ["acme/r1"])
    }

    @Test("limits are waited for as long as GitLab says, and cost no job")
    func limits() async throws {
        let reset = Int(Forge.now.microseconds / 1_000_000) + 40
        let forge = try Forge([
            "runs": 6,
            "faults": [
                "1": ["status": 429, "headers": ["Retry-After": "30"]],
                "3": ["status": 429, "headers": ["RateLimit-Remaining": "0", "RateLimit-Reset": "\(reset)"]],
            ],
        ])
        let walk = try await Walk { try forge.gitLab() }
        #expect(walk.waits == [30, 41])
        #expect(try await forge.jobs(isGitLab: true) == walk.jobs.sorted())
    }

    @Test("a token that GitLab does not know ends the walk, and no error repeats it")
    func wrongToken() async throws {
        let forge = try Forge(["runs": 1])
        let history = try forge.gitLab(token: "glpat-anotherSecret")
        let error = await #expect(throws: HistoryError.self) { try await history.next(after: HistoryPlace()) }
        #expect(error?.kind == .notAllowed)
        #expect(error?.description.contains("anotherSecret") == false)
    }

    @Test("projects by name, a user's projects, and the jobs of single pipelines")
    func named() async throws {
        let forge = try Forge(["repositories": 3, "runs": 5, "page": 2])
        let one = try forge.gitLab(.repositories(["acme/r2"]))
        #expect(try await forge.jobs(isGitLab: true).filter { $0.hasPrefix("acme/r2 ") } == (try await Walk { one }).jobs.sorted())
        let user = try forge.gitLab(.owner("mira"))
        #expect(try await forge.jobs(isGitLab: true) == (try await Walk { user }).jobs.sorted())
        let pipelines = try forge.gitLab(
            .runs([RunReference(repository: "acme/r1", runID: "10"), RunReference(repository: "acme/r0", runID: "1")])
        )
        #expect((try await Walk { pipelines }).jobs.sorted() == ["acme/r0 1100 1", "acme/r1 10100 1", "acme/r1 10200 1"])
    }
}
