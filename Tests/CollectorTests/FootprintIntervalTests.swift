import Accounting
import Energy
import Store
import Testing

@testable import Collector

@Suite struct FootprintIntervalTests {
    @Test func `the 95 % interval has the meter's own error, the hard limits have not; live or settled they are the same`() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            // The whole hour and the whole machine: no edges within, nobody to share with.
            let job = try await farm.post(
                """
                {"id": "1", "host": "bremusa", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T10:00:00Z", "cpu_share": 1, "job": "b"}
                """
            )
            farm.clock.now = at(3_700)
            let live = try #require(try await farm.footprint(job.jobID)?.energy)
            try await farm.account()
            let settled = try #require(try await farm.footprint(job.jobID))
            let energy = try #require(settled.energy)
            let best = Double(energy.total.microjoules)
            #expect(energy.interval.low < best && best < energy.interval.high)
            #expect(energy.bounds.low <= best && best <= energy.bounds.high)
            #expect(energy.interval.low > 0.5 * best && energy.interval.high < 1.6 * best)
            #expect(live.interval == energy.interval)
            let grams = try #require(settled.locationGrams)
            let limits = try #require(settled.locationGramBounds)
            #expect(grams.low < grams.best && grams.best < grams.high)
            #expect(limits.low <= grams.best && grams.best <= limits.high)
        }
    }

    @Test func whereNobodySaysWhatAJobReservedItsLimitsReachFromDynamicToBusy() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            var jobs: [String] = []
            for id in ["1", "2"] {
                jobs.append(
                    try await farm.post(
                        """
                        {"id": "\(id)", "host": "bremusa", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T10:00:00Z"}
                        """
                    ).jobID
                )
            }
            farm.clock.now = at(3_700)
            try await farm.account()
            func energy(_ policy: Policy) async throws -> Footprint {
                try #require(
                    try await FootprintReader(farm.connection, now: farm.clock.now, policy: policy).footprint(
                        jobID: jobs[0],
                        for: .everything
                    )
                )
            }
            let reserved = try await energy(.reserved)
            #expect(reserved.flags.contains("slots_unknown"))
            let (none, all) = (try #require(try await energy(.dynamic).energy), try #require(try await energy(.busy).energy))
            let own = try #require(reserved.energy)
            #expect(own.interval.low <= none.interval.low && own.interval.high >= all.interval.high)
            #expect(own.bounds.low <= none.bounds.low && own.bounds.high >= all.bounds.high)
            #expect(none.total < all.total)
            // Once somebody says it, the guess and its width are gone.
            _ = try await HostImport.apply(
                try HostFile(text: "hosts: [{name: bremusa, slots: 4}]", name: "hosts.yaml"),
                dryRun: false,
                now: farm.clock.now,
                farm.connection
            )
            try await farm.account()
            let said = try await energy(.reserved)
            #expect(!said.flags.contains("slots_unknown"))
            #expect(try #require(said.energy).interval.high < own.interval.high)
        }
    }
}
