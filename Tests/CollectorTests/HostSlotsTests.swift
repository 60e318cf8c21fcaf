import Energy
import Postgres
import Testing

@testable import Collector
@testable import Store

/// How many jobs a host takes at a time is told by its record, its runners, its pool, or a service that has it to itself.
@Suite struct HostSlotsTests {
    private static func slots(
        of name: String,
        at offset: Int = 0,
        spans: [SpanRow] = [],
        _ farm: Farm
    ) async throws -> HostSlots.Answer? {
        let hour = at(Double(offset)).hour
        let host = try #require(try await HostTable.find(name: name, farm.connection))
        let dated = try #require(try await HostTable.find(id: host.id, at: hour.start, farm.connection))
        return try await HostSlots.read(host: host, hour.interval, farm.connection)
            .slots(in: hour.interval, recorded: dated.slots, spans: spans)
    }

    private static func resident(_ service: String) -> SpanRow {
        SpanRow(
            hostID: 1,
            spanID: 1,
            jobID: "",
            startedAt: at(0),
            finishedAt: nil,
            queuedAt: nil,
            timeResolution: .zero,
            cpuShare: 0,
            cpus: nil,
            weight: nil,
            cpuTime: nil,
            workload: nil,
            workloadKey: "",
            source: ResidentWorkloads.source,
            service: service,
            repository: nil
        )
    }

    private static func apply(_ yaml: String, _ farm: Farm) async throws {
        _ = try await HostImport.apply(try HostFile(text: yaml, name: "hosts.yaml"), dryRun: false, now: farm.clock.now, farm.connection)
    }

    @Test func aRecordComesBeforeRunnersAndRunnersBeforeThePool() async throws {
        try await Farm.with { farm in
            try await Self.apply(
                """
                hosts:
                  - {name: a, pool: linux, slots: 16, runners: [a-1, a-2]}
                  - {name: b, pool: linux, runners: [b-1, b-2, {name: b-3, to: 2026-01-01}]}
                  - {name: c, pool: linux}
                  - {name: d}
                pools:
                  - {name: linux, slots: 8}
                """,
                farm
            )
            #expect(try await Self.slots(of: "a", farm) == HostSlots.Answer(slots: 16, origin: .record))
            #expect(try await Self.slots(of: "b", farm) == HostSlots.Answer(slots: 2, origin: .runners))
            #expect(try await Self.slots(of: "c", farm) == HostSlots.Answer(slots: 8, origin: .pool))
            #expect(try await Self.slots(of: "d", farm) == nil)
            // The same again changes nothing; another number does, from its day on.
            try await Self.apply("pools: [{name: linux, slots: 4, from: 2026-09-02}]", farm)
            #expect(try await Self.slots(of: "c", farm)?.slots == 8)
            #expect(try await Self.slots(of: "c", at: 86_400, farm)?.slots == 4)
        }
    }

    @Test func aRunnerThatTakesSeveralJobsIsAsManySlots() async throws {
        try await Farm.with { farm in
            try await Self.apply("hosts: [{name: a}]", farm)
            let host = try #require(try await HostTable.find(name: "a", farm.connection))
            func report(_ concurrent: Int?, at seconds: Double) async throws {
                try await RunnerMap.report(
                    [HostFacts.Runner(name: "r", instance: "gitlab.com", concurrent: concurrent)],
                    hostID: host.id,
                    since: at(seconds),
                    farm.connection
                )
            }
            try await report(nil, at: 0)
            #expect(try await Self.slots(of: "a", farm)?.slots == 1)
            try await report(6, at: 10)
            #expect(try await Self.slots(of: "a", farm)?.slots == 6)
            // From the next day on it takes fewer; what was stays as it was.
            try await report(2, at: 86_400)
            #expect(try await Self.slots(of: "a", farm)?.slots == 6)
            #expect(try await Self.slots(of: "a", at: 86_400, farm) == HostSlots.Answer(slots: 2, origin: .runners))
        }
    }

    @Test func runnersThatFollowOneAnotherAreOneSlot() async throws {
        try await Farm.with { farm in
            try await Self.apply(
                """
                hosts:
                  - name: a
                    runners:
                      - {name: e1, from: '2026-09-01T09:00:00Z', to: '2026-09-01T09:20:00Z'}
                      - {name: e2, from: '2026-09-01T09:20:00Z', to: '2026-09-01T09:40:00Z'}
                      - {name: e3, from: '2026-09-01T09:30:00Z', to: '2026-09-01T09:50:00Z'}
                """,
                farm
            )
            #expect(try await Self.slots(of: "a", farm)?.slots == 2)
            // The agent finds what the operator listed.
            let host = try #require(try await HostTable.find(name: "a", farm.connection))
            try await RunnerMap.report(
                [HostFacts.Runner(name: "e2", instance: "github.com", concurrent: 1)],
                hostID: host.id,
                since: at(1_500),
                farm.connection
            )
            #expect(try await Self.slots(of: "a", farm)?.slots == 2)
        }
    }

    @Test func aServiceAloneOnAHostReservesAllOfIt() async throws {
        try await Farm.with { farm in
            try await Self.apply("hosts: [{name: a}]", farm)
            let alone = try await Self.slots(of: "a", spans: [Self.resident("opam"), Self.resident("opam")], farm)
            #expect(alone == HostSlots.Answer(slots: 1, origin: .service))
            #expect(try await Self.slots(of: "a", spans: [Self.resident("opam"), Self.resident("docs")], farm) == nil)
        }
    }

    @Test func hoursThatWereAccountedWithOtherSlotsAreMarked() async throws {
        try await Farm.with { farm in
            try await Self.apply("hosts: [{name: a, pool: linux}, {name: b, pool: mac}]", farm)
            _ = try await farm.connection.execute(
                Statement(
                    "three_hours_each",
                    """
                    INSERT INTO accounted_hour (host_id, hour)
                    SELECT host_id, timestamptz '2026-09-01 06:00Z' + n * interval '1 hour' FROM host, generate_series(0, 2) n
                    """
                )
            )
            _ = try await farm.connection.execute(Statement("clean_queue", "DELETE FROM dirty"))
            func marked() async throws -> [String] {
                let rows = try await farm.connection.query(
                    Statement(
                        "marks_by_name",
                        """
                        SELECT h.name || ' ' || to_char(hour AT TIME ZONE 'UTC', 'HH24') AS mark FROM dirty JOIN host h USING (host_id)
                        GROUP BY 1 ORDER BY 1
                        """
                    )
                ).map { try $0.string("mark") }
                _ = try await farm.connection.execute(Statement("clean_queue", "DELETE FROM dirty"))
                return rows
            }
            try await Self.apply("pools: [{name: linux, slots: 4, from: '2026-09-01T07:30:00Z'}]", farm)
            #expect(try await marked() == ["a 07", "a 08"])
            try await Self.apply(
                "hosts: [{name: b, runners: [{name: r, from: '2026-09-01T06:10:00Z', to: '2026-09-01T07:00:00Z'}]}]",
                farm
            )
            #expect(try await marked() == ["b 06"])
        }
    }
}
