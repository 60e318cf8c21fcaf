import Energy
import Postgres
import Store
import Testing

@testable import Collector

@Suite struct HostResolutionTests {
    private static func host(_ name: String, _ farm: Farm) async throws -> Int32 {
        try await HostTable.make(name: name, farm.connection)
        return try #require(try await HostTable.find(name: name, farm.connection)).id
    }

    private static func resolve(
        host: String? = nil,
        hostname: String? = nil,
        runner: String? = nil,
        instance: String = "https://github.com",
        at instant: Timestamp = at(0),
        _ farm: Farm
    ) async throws -> String? {
        let names = HostResolution.Names(host: host, hostname: hostname, runner: runner, instance: instance, at: instant)
        return try await HostResolution.find(names, farm.connection).map { "\($0.host.name) by \($0.by.rawValue)" }
    }

    @Test func thePostedHostComesBeforeTheHostnameBeforeTheRunnersMapBeforeAHostThatIsCalledLikeTheRunner() async throws {
        try await Farm.with { farm in
            _ = try await Self.host("posted", farm)
            _ = try await Self.host("own.example.org", farm)
            let mapped = try await Self.host("mapped", farm)
            _ = try await Self.host("runner-1", farm)
            _ = try await RunnerMap.set(
                runner: "Runner-1",
                instance: "",
                hostID: mapped,
                from: at(0),
                to: nil,
                origin: .operator,
                farm.connection
            )
            func all(_ host: String?, _ hostname: String?, at instant: Timestamp = at(0)) async throws -> String? {
                try await Self.resolve(host: host, hostname: hostname, runner: "RUNNER-1", at: instant, farm)
            }
            #expect(try await all("Posted", "own.example.org") == "posted by host")
            #expect(try await all("nobody", "OWN.example.org") == "own.example.org by hostname")
            #expect(try await all(nil, "nobody.example.org") == "mapped by runner_map")
            #expect(try await all(nil, nil, at: at(-1)) == "runner-1 by runner_name")
            #expect(try await Self.resolve(runner: "runner-2", farm) == nil)
            #expect(try await Self.resolve(host: "", farm) == nil)
        }
    }

    @Test func aHostnamesFirstLabelCountsIfExactlyOneHostGoesByIt() async throws {
        try await Farm.with { farm in
            _ = try await Self.host("bremusa", farm)
            _ = try await Self.host("web.a.example", farm)
            #expect(try await Self.resolve(hostname: "bremusa.internal", farm) == "bremusa by hostname")
            #expect(try await Self.resolve(hostname: "web", farm) == "web.a.example by hostname")
            // Of another domain: another machine.
            #expect(try await Self.resolve(hostname: "web.b.example", farm) == nil)
            let second = try await Self.host("web.c.example", farm)
            #expect(try await Self.resolve(hostname: "web", farm) == nil)
            try await HostTable.retire(second, because: "operator", farm.connection)
            // The farm's time is before today, when the second one retired.
            #expect(try await Self.resolve(hostname: "web", farm) == nil)
            let tomorrow = Timestamp(microseconds: 4_000_000_000_000_000)
            #expect(try await Self.resolve(hostname: "web", at: tomorrow, farm) == "web.a.example by hostname")
        }
    }

    @Test func theMapOfRunnersIsDatedAndKnowsWhichCI() async throws {
        try await Farm.with { farm in
            let (first, second, third) = (
                try await Self.host("first", farm), try await Self.host("second", farm), try await Self.host("third", farm)
            )
            func map(_ host: Int32, _ instance: String, _ from: Double, _ to: Double?) async throws {
                _ = try await RunnerMap.set(
                    runner: "r",
                    instance: instance,
                    hostID: host,
                    from: at(from),
                    to: to.map { at($0) },
                    origin: .operator,
                    farm.connection
                )
            }
            try await map(first, "", 0, nil)
            try await map(second, "", 100, 200)
            try await map(third, "https://GitLab.example.org/", 0, nil)
            func found(_ seconds: Double, _ instance: String = "github.com") async throws -> String? {
                try await Self.resolve(runner: "r", instance: instance, at: at(seconds), farm)
            }
            #expect(try await found(-1) == nil)
            #expect(try await found(99) == "first by runner_map")
            #expect(try await found(100) == "second by runner_map")
            // What lasted beyond both ends goes on behind.
            #expect(try await found(200) == "first by runner_map")
            #expect(try await found(150, "https://gitlab.example.org") == "third by runner_map")
            // Said again, nothing is new.
            let isNews = try await RunnerMap.set(
                runner: "R",
                instance: "",
                hostID: second,
                from: at(100),
                to: at(200),
                origin: .operator,
                farm.connection
            )
            #expect(!isNews)
        }
    }

    @Test func aRetiredHostIsStillFoundUnlessAnotherHasItsName() async throws {
        try await Farm.with { farm in
            let old = try await Self.host("pod-1", farm)
            try await HostTable.retire(old, because: "silent", farm.connection)
            let later = Timestamp(microseconds: 4_000_000_000_000_000)
            #expect(try await Self.resolve(host: "pod-1", at: later, farm) == "pod-1 by host")
            let new = try await Self.host("new", farm)
            #expect(try await HostAliasTable.add("pod-1", hostID: new, origin: .operator, farm.connection))
            #expect(try await Self.resolve(host: "pod-1", at: later, farm) == "new by host")
            #expect(try await Self.resolve(host: "pod-1", at: at(0), farm) == "pod-1 by host")
        }
    }

    @Test func aSpanThatWaitsIsTriedWhenOneOfItsNamesAppearsAndNotForEver() async throws {
        try await Farm.with { farm in
            // What the template's hosts announced is read first.
            while try await !farm.connection.transaction({ try await HostResolution.joinable(limit: 10, $0) }).isEmpty {}
            try await farm.post(
                #"{"id": "1", "runner": "r-1", "instance": "https://ci.example", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T09:01:00Z"}"#
            )
            func joinable() async throws -> Int {
                try await farm.connection.transaction { try await HostResolution.joinable(limit: 10, $0).count }
            }
            #expect(try await joinable() == 0)
            let host = try await Self.host("bremusa", farm)
            #expect(try await joinable() == 0)
            // The runner's name is on the map, but not at that time: tried in both passes, then left alone.
            _ = try await RunnerMap.set(
                runner: "r-1",
                instance: "",
                hostID: host,
                from: at(7_200),
                to: nil,
                origin: .operator,
                farm.connection
            )
            #expect(try await joinable() == 1)
            #expect(try await joinable() == 1)
            #expect(try await joinable() == 0)
            _ = try await RunnerMap.set(
                runner: "r-1",
                instance: "",
                hostID: host,
                from: at(0),
                to: at(7_200),
                origin: .operator,
                farm.connection
            )
            try await farm.account()
            #expect(
                try await farm.connection.query(Statement("placed", "SELECT host_id, host_by FROM span_key")).only().int32("host_id")
                    == host
            )
        }
    }

    @Test func hundredsOfWaitingSpansAreHandedOutInPagesEachTwice() async throws {
        try await Farm.with { farm in
            _ = try await farm.connection.execute(
                Statement(
                    "many_waiting",
                    """
                    INSERT INTO span_key (job_id, source, instance, id, attempt, registers, host_names)
                    SELECT lpad(n::text, 26, '0'), 's', 'i', n::text, 1, '{}', ARRAY[CASE WHEN n <= 250 THEN 'late' ELSE 'never-' || n END]
                    FROM generate_series(1, 5000) AS n
                    """
                )
            )
            _ = try await Self.host("late", farm)
            var handed: [String: Int] = [:]
            while true {
                let jobIDs = try await farm.connection.transaction { try await HostResolution.joinable(limit: 100, $0) }
                if jobIDs.isEmpty { break }
                for jobID in jobIDs { handed[jobID, default: 0] += 1 }
            }
            #expect(handed.count == 250)
            #expect(handed.values.allSatisfy { $0 == 2 })
            #expect(try await farm.count("host_news") == 0)
        }
    }
}
