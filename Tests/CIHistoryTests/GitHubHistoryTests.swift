import CIEvents
import CIHistory
import Energy
import HTTPClient
import Testing

@Suite("GitHub's memory of jobs")
struct GitHubHistoryTests {
    @Test("each job of every attempt comes once, over all pages of repositories, runs and jobs")
    func everyJobOnce() async throws {
        let forge = try Forge(["repositories": 7, "runs": 12, "jobs": 4, "page": 3])
        let history = try forge.gitHub()
        let walk = try await Walk { history }
        #expect(try await forge.jobs() == walk.jobs.sorted())
        #expect(walk.jobs.count > 7 * 12 * 2)
        #expect(
            walk.notices.map(\.repository).sorted() == (0..<7).map { "\(forge.url.dropFirst(7))/acme/r\($0)" },
            "each repository's privacy is told once"
        )
        #expect(walk.notices.filter(\.isPrivate).count == 3)
        #expect(walk.omissions.isEmpty)
        // A page a request: nothing is asked for that the place does not know of.
        #expect(try await forge.requests().count == walk.pages)
    }

    @Test("a walk killed before or after any page goes on from its stored place to the same jobs")
    func resumable() async throws {
        let forge = try Forge(["repositories": 3, "runs": 7, "jobs": 3, "page": 2])
        let walk = try await Walk(times: 2) { try forge.gitHub() }
        #expect(try await forge.jobs() == Set(walk.jobs).sorted())
        #expect(walk.longestPlace < 4_000)
    }

    @Test("more runs than one query tells are cut into windows, and none is lost or told twice")
    func cap() async throws {
        let forge = try Forge(["runs": 2_300, "step": 20])
        let history = try forge.gitHub()
        let walk = try await Walk { history }
        #expect(try await forge.jobs() == walk.jobs.sorted())
        // Oldest windows first.
        #expect(walk.jobs.first == "acme/r0 1100 1")
    }

    @Test("runs deleted while their pages are walked take no others with them")
    func deletedRuns() async throws {
        let forge = try Forge(["runs": 450, "step": 20, "deletions": ["3": "run", "10": "run", "140": "run"]])
        let history = try forge.gitHub()
        let walk = try await Walk { history }
        let missing = Set(try await forge.jobs()).subtracting(walk.jobs)
        // Only jobs of the deleted runs themselves (448, 449 and 450).
        #expect(missing.allSatisfy { ["448", "449", "450"].contains($0.split(separator: " ")[1].dropLast(3)) }, "\(missing)")
    }

    @Test("repositories deleted while their list is walked take no others with them")
    func deletedRepositories() async throws {
        let forge = try Forge(["repositories": 8, "page": 2, "deletions": ["4": "repository"]])
        let history = try forge.gitHub()
        let walk = try await Walk { history }
        #expect(Set(walk.notices.map { $0.repository.suffix(1) }).count == 8)
    }

    @Test("a repository that vanished or is blocked is left out with a note, and the others come", arguments: [403, 404, 410, 451])
    func vanished(status: Int) async throws {
        let forge = try Forge(["repositories": 3, "runs": 4, "gone": ["acme/r1": status]])
        let history = try forge.gitHub()
        let walk = try await Walk { history }
        #expect(try await forge.jobs().filter { !$0.hasPrefix("acme/r1 ") } == walk.jobs.sorted())
        #expect(walk.omissions.map(\.repository) == ["acme/r1"])
        #expect(walk.omissions.first?.reason.contains("\(status)") == true)
    }

    @Test("limits are waited for as long as GitHub says, and cost no job")
    func limits() async throws {
        let reset = Int(Forge.now.microseconds / 1_000_000) + 900
        let forge = try Forge([
            "runs": 6,
            "faults": [
                "1": ["status": 429, "headers": ["Retry-After": "17"]],
                "3": ["status": 403, "headers": ["x-ratelimit-remaining": "0", "x-ratelimit-reset": "\(reset)"]],
                "5": ["status": 403, "message": "You have exceeded a secondary rate limit."],
                "6": ["status": 403, "message": "You have exceeded a secondary rate limit."],
                "8": ["status": 503, "headers": ["Retry-After": "5"]],
            ],
        ])
        let walk = try await Walk { try forge.gitHub() }
        #expect(walk.waits == [17, 901, 60, 120, 5])
        #expect(try await forge.jobs() == walk.jobs.sorted())
    }

    @Test("a server's errors are asked again; when they stay, the walk stops where it is and can pass over the repository")
    func serverErrors() async throws {
        let passing = try Forge(["runs": 3, "faults": ["2": ["status": 502], "3": ["status": 500]]])
        let walk = try await Walk { try passing.gitHub() }
        #expect(try await passing.jobs() == walk.jobs.sorted())

        var faults: [String: Any] = [:]
        for request in 2...6 { faults["\(request)"] = ["status": 502] }
        let failing = try Forge(["repositories": 2, "runs": 3, "faults": faults])
        let history = try failing.gitHub()
        let first = try await history.next(after: HistoryPlace())
        let error = await #expect(throws: HistoryError.self) { try await history.next(after: first.place) }
        #expect(error?.kind == .unavailable)
        #expect(error?.description.contains("502") == true)
        let passed = try #require(try history.passingOver(first.place))
        #expect(passed.repository == "acme/r0")
        let rest = try await Walk(from: passed.place) { history }
        #expect(try await failing.jobs().filter { $0.hasPrefix("acme/r1 ") } == rest.jobs.sorted())
    }

    @Test("a token that GitHub does not know ends the walk, and no error repeats it")
    func wrongToken() async throws {
        let forge = try Forge(["runs": 1])
        let history = try forge.gitHub(token: "ghp_anotherSecret")
        let error = await #expect(throws: HistoryError.self) { try await history.next(after: HistoryPlace()) }
        #expect(error?.kind == .notAllowed)
        #expect(error?.description.contains("Bad credentials Bearer ***") == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("anotherSecret") == false)
        var dumped = ""
        dump(history, to: &dumped)
        #expect(!(dumped + "\(history)" + String(reflecting: history)).contains("anotherSecret"))
    }

    @Test("an unknown owner is an error that says what to check; a user's repositories are found as an organisation's")
    func owners() async throws {
        let forge = try Forge(["runs": 2])
        let user = try forge.gitHub(.owner("mira"))
        #expect(try await forge.jobs() == (try await Walk { user }).jobs.sorted())
        let nobody = try forge.gitHub(.owner("nobody"))
        let error = await #expect(throws: HistoryError.self) { _ = try await Walk { nobody } }
        #expect(error?.kind == .notFound)
    }

    @Test("repositories and runs can be named")
    func named() async throws {
        let forge = try Forge(["repositories": 3, "runs": 5])
        let two = try forge.gitHub(.repositories(["acme/r2", "acme/gone", "acme/r0"]))
        let walk = try await Walk { two }
        #expect(try await forge.jobs().filter { !$0.hasPrefix("acme/r1 ") } == walk.jobs.sorted())
        #expect(walk.omissions.map(\.repository) == ["acme/gone"])
        let runs = try forge.gitHub(
            .runs([
                RunReference(repository: "acme/r1", runID: "7"), RunReference(repository: "acme/r0", runID: "1"),
                RunReference(repository: "acme/r0", runID: "999"),
            ])
        )
        let some = try await Walk { runs }
        #expect(some.jobs == ["acme/r0 1100 1", "acme/r1 7100 1"])
        #expect(some.omissions.map(\.extent) == [.run])
    }

    @Test("a walk since a day asks for no jobs of runs that were done before")
    func since() async throws {
        let forge = try Forge(["runs": 10, "step": 3_600])
        let history = try forge.gitHub(since: Forge.since + Microseconds(Microseconds.hour.count * 5))
        let walk = try await Walk { history }
        #expect(Set(walk.jobs.map { $0.split(separator: " ")[1].dropLast(3) }).sorted() == ["10", "7", "8"])
        let asked = try await forge.requests().filter { $0.contains("/jobs") }
        #expect(asked.count == 3, "\(asked)")
    }

    @Test(
        "an API's address tells the installation, as webhooks name it",
        arguments: [
            ("https://api.github.com", "https://github.com"), ("https://api.github.com/", "https://github.com"),
            ("https://ghe.example.org/api/v3", "https://ghe.example.org"), ("https://api.acme.ghe.com", "https://acme.ghe.com"),
        ]
    )
    func instances(api: String, instance: String) throws {
        let history = try GitHubHistory(
            HistoryRange(.owner("acme"), since: Forge.since),
            apiURL: api,
            token: nil,
            http: HTTPClient(),
            now: { Forge.now }
        )
        #expect(history.instance == instance)
    }

    @Test("an address with a password, or of another kind, is refused without being repeated")
    func badAddresses() {
        for address in ["ftp://api.github.com", "api.github.com", "https://user:hunter2@api.github.com"] {
            let error = #expect(throws: HistoryError.self) {
                try GitHubHistory(
                    HistoryRange(.owner("a"), since: Forge.since),
                    apiURL: address,
                    token: nil,
                    http: HTTPClient(),
                    now: { Forge.now }
                )
            }
            #expect(error?.description.contains("hunter2") == false)
        }
    }
}
