import Carbon
import Documents
import Energy
import Foundation
import HTTPClient
import Logging
import Postgres
import ServiceLifecycle
import Store
import Testing
import TestSupport
import Wire
@testable import Collector
import GridFeeds

/// The collector asks a provider on loopback, and keeps what it says. The farm's clock stands at 10:00 on 2026-09-01.
@Suite struct GridKeeperTests {
    private static let basis = Intensity.Basis(scope: "direct", signal: "average", side: "consumption")

    private static func chain(
        _ url: String,
        since: Timestamp? = at(-6 * 3_600),
        forecast: Bool = false,
        more: [any GridProvider] = []
    ) throws -> GridChain {
        GridChain(
            zone: try #require(GridZone("GB")),
            basis: basis,
            since: since,
            wantsForecast: forecast,
            every: .seconds(900),
            providers: [GreatBritain(base: url)] + more
        )
    }

    private static func keeper(_ farm: Farm, _ chain: GridChain, metrics: CollectorMetrics = CollectorMetrics()) -> GridKeeper {
        var log = Logger(label: "test")
        log.logLevel = .critical
        let clock = farm.clock
        return GridKeeper(
            chains: [chain],
            client: FeedClient(http: HTTPClient(), now: { clock.now }, pause: { _ in }),
            pool: farm.pool,
            log: log,
            now: { clock.now },
            metrics: metrics
        )
    }

    private static func feed(_ farm: Farm, _ provider: String = "gb-carbon-intensity") async throws -> GridFeed {
        try #require(try await GridFeedTable.read(zone: "GB", farm.connection)[provider])
    }

    private static func known(_ farm: Farm, _ time: Timestamp) async throws -> String? {
        try await IntensityTable.find(zone: "GB", at: time, farm.connection).map {
            "\(Int($0.value.gramsPerKilowattHour)) \($0.value.kind) \($0.value.provider)"
        }
    }

    @Test func actualFiguresComeInThePlaceOfForecastsAndRevisionsAreSeen() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                let past = Interval(at(-6 * 3_600), at(3_600))
                server.set(past) { _ in .init(forecast: 200, actual: nil) }
                let metrics = CollectorMetrics()
                let chain = try Self.chain(server.url)
                let keeper = Self.keeper(farm, chain, metrics: metrics)
                try await keeper.configure(chain)
                try await keeper.round(chain, spacing: .zero)
                #expect(try await Self.known(farm, at(0)) == "200 forecast gb-carbon-intensity")
                #expect(metrics.gridFigures.total == 14)
                // Before history is wanted another rule counts, and here there is nothing but another basis' yearly figure.
                #expect(try await Self.known(farm, at(-7 * 3_600))?.hasPrefix("200") == false)
                server.set(past) { _ in .init(forecast: 200, actual: 150) }
                farm.clock.now = farm.clock.now + .seconds(900)
                try await keeper.round(chain, spacing: .zero)
                #expect(try await Self.known(farm, at(0)) == "150 actual gb-carbon-intensity")
                server.set(Interval(at(0), at(1_800))) { _ in .init(forecast: 200, actual: 160) }
                farm.clock.now = farm.clock.now + .seconds(900)
                try await keeper.round(chain, spacing: .zero)
                #expect(try await Self.known(farm, at(0)) == "160 actual gb-carbon-intensity")
                #expect(try await Self.known(farm, at(1_800)) == "150 actual gb-carbon-intensity")
                #expect(metrics.gridFigures.total == 29)
                // Said again: nothing.
                farm.clock.now = farm.clock.now + .seconds(900)
                try await keeper.round(chain, spacing: .zero)
                #expect(metrics.gridFigures.total == 29)
                let terms = try await GridProviderTable.all(farm.connection).first { $0.provider == "gb-carbon-intensity" }
                #expect(terms?.licence == "CC-BY-4.0")
            }
        }
    }

    @Test func ofTwoCollectorsOneAsks() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                server.set(Interval(at(-6 * 3_600), at(3_600))) { _ in .init(forecast: 200, actual: 150) }
                let chain = try Self.chain(server.url)
                let (one, other) = (Self.keeper(farm, chain), Self.keeper(farm, chain))
                try await one.configure(chain)
                try await other.configure(chain)
                async let a = one.round(chain, spacing: .seconds(400))
                async let b = other.round(chain, spacing: .seconds(400))
                _ = try await (a, b)
                let alone = server.questions().count
                #expect(alone > 0)
                try await other.round(chain, spacing: .seconds(400))
                #expect(server.questions() == [])
                // A third one, alone on a database of its own, asks as often.
                try await Farm.with { second in
                    let third = Self.keeper(second, chain)
                    try await third.configure(chain)
                    try await third.round(chain, spacing: .zero)
                    #expect(server.questions().count == alone)
                }
                // Whoever stopped in the middle holds the zone for a while, and not for ever.
                try await farm.connection.executeScript(
                    "UPDATE grid_feed SET claimed_until = '\(RFC3339.format(farm.clock.now + .seconds(500)))', asked_at = NULL"
                )
                try await other.round(chain, spacing: .zero)
                #expect(server.questions() == [])
                farm.clock.now = farm.clock.now + .seconds(501)
                try await other.round(chain, spacing: .zero)
                #expect(server.questions().count > 0)
            }
        }
    }

    @Test func historyIsAskedForPieceByPieceAndOnceOnly() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                let since = at(-60 * 86_400)
                server.set(Interval(since, at(3_600))) { _ in .init(forecast: nil, actual: 150) }
                let chain = try Self.chain(server.url, since: since)
                let keeper = Self.keeper(farm, chain)
                try await keeper.configure(chain)
                // The recent past, fourteen days of revisions, and four pieces of ten days.
                let wait = try await keeper.round(chain, spacing: .zero)
                #expect(wait == .seconds(10))
                #expect(try await Self.feed(farm).filledTo == at(-20 * 86_400))
                #expect(try await Self.known(farm, at(-30 * 86_400)) == "150 actual gb-carbon-intensity")
                #expect(try await Self.known(farm, at(-17 * 86_400)) == nil)
                farm.clock.now = farm.clock.now + .seconds(60)
                let after = try await keeper.round(chain, spacing: .zero)
                #expect(after == .seconds(900))
                #expect(try await Self.feed(farm).filledTo == farm.clock.now)
                #expect(try await farm.count("intensity WHERE provider = 'gb-carbon-intensity'") == 60 * 48 + 2)
                _ = server.questions()
                farm.clock.now = farm.clock.now + .seconds(900)
                try await keeper.round(chain, spacing: .zero)
                #expect(server.questions().count == 1)
                // After a week without a collector what it missed is asked for.
                farm.clock.now = farm.clock.now + Microseconds(30 * Microseconds.day.count)
                server.set(Interval(at(0), farm.clock.now)) { _ in .init(forecast: nil, actual: 170) }
                try await keeper.round(chain, spacing: .zero)
                farm.clock.now = farm.clock.now + .seconds(60)
                try await keeper.round(chain, spacing: .zero)
                #expect(try await Self.known(farm, at(5 * 86_400)) == "170 actual gb-carbon-intensity")
                // What the configuration wants from further back, too.
                let earlier = try Self.chain(server.url, since: since - .day)
                try await keeper.configure(earlier)
                #expect(try await Self.feed(farm).filledTo == nil)
                #expect(try await ZoneBasisTable.read(zone: "GB", farm.connection).first?.from == since - .day)
            }
        }
    }

    @Test func withoutADateHistoryBeginsAMonthBeforeItWasFirstConfigured() async throws {
        try await Farm.with { farm in
            let chain = try Self.chain("http://127.0.0.1:1", since: nil)
            let keeper = Self.keeper(farm, chain)
            try await keeper.configure(chain)
            let since = (farm.clock.now - GridKeeper.firstReach).hour.start
            #expect(try await Self.feed(farm).since == since)
            farm.clock.now = farm.clock.now + .day
            try await keeper.configure(chain)
            #expect(try await Self.feed(farm).since == since)
            #expect(try await ZoneBasisTable.read(zone: "GB", farm.connection).map(\.from) == [since])
        }
    }

    @Test func whileAProviderIsAwayItsHoursAreNullAndItIsAskedLessAndLess() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                server.set(Interval(at(-6 * 3_600), at(8 * 3_600))) { _ in .init(forecast: nil, actual: 150) }
                server.answer(500)
                let metrics = CollectorMetrics()
                let chain = try Self.chain(server.url)
                let keeper = Self.keeper(farm, chain, metrics: metrics)
                try await keeper.configure(chain)
                let first = try await keeper.round(chain, spacing: .zero)
                #expect(first == .seconds(900))
                #expect(try await Self.known(farm, at(0)) == nil)
                #expect(try await Self.feed(farm).failure == "gb-carbon-intensity answered 500, 4 times over")
                #expect(server.questions().count == 4)
                // Not before its time.
                farm.clock.now = farm.clock.now + .seconds(800)
                let second = try await keeper.round(chain, spacing: .zero)
                #expect(second == .seconds(100))
                #expect(server.questions() == [])
                for failures in 2...9 {
                    farm.clock.now = try await Self.feed(farm).retryAt
                    try await keeper.round(chain, spacing: .zero)
                    let feed = try await Self.feed(farm)
                    #expect(Int(feed.failures) == failures)
                    #expect(feed.retryAt - farm.clock.now == min(GridKeeper.longestBackoff, .seconds(900 << Int64(failures - 1))))
                }
                #expect(metrics.gridQuestionsFailed.total == 9)
                let finding = try #require(
                    try await DoctorReport.make(now: farm.clock.now, freeBytes: { _ in nil }, farm.connection).findings
                        .first { $0.id == "grid_feeds" }
                )
                #expect(finding.severity == .action)
                #expect(
                    finding.examples == [
                        "GB of gb-carbon-intensity: 9 times in a row, last: gb-carbon-intensity answered 500, 4 times over"
                    ]
                )
                server.answer(200)
                farm.clock.now = try await Self.feed(farm).retryAt
                try await keeper.round(chain, spacing: .zero)
                #expect(try await Self.feed(farm).failure == nil)
                #expect(try await Self.known(farm, at(0)) == "150 actual gb-carbon-intensity")
            }
        }
    }

    @Test func whoWantsToBeLeftAloneIsLeftAloneAndHasNotFailed() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                server.answer(429, retryAfter: 120)
                let chain = try Self.chain(server.url)
                let keeper = Self.keeper(farm, chain)
                try await keeper.configure(chain)
                #expect(try await keeper.round(chain, spacing: .zero) == .seconds(120))
                let feed = try await Self.feed(farm)
                #expect(feed.failures == 0 && feed.retryAt == farm.clock.now + .seconds(120))
                _ = server.questions()
                farm.clock.now = farm.clock.now + .seconds(119)
                try await keeper.round(chain, spacing: .zero)
                #expect(server.questions() == [])
            }
        }
    }

    @Test func whoWantsToBeLeftAloneForLongIsToldOfAndAskedAgainAfterSixHours() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                server.set(Interval(at(-6 * 3_600), at(7 * 3_600))) { _ in .init(forecast: 200, actual: 150) }
                server.answer(429, retryAfter: .max)
                let chain = try Self.chain(server.url)
                let keeper = Self.keeper(farm, chain)
                try await keeper.configure(chain)
                try await keeper.round(chain, spacing: .zero)
                let feed = try await Self.feed(farm)
                #expect(feed.failures == 0 && feed.retryAt == farm.clock.now + .seconds(21_600))
                #expect(feed.failure == "wants to be left alone for 21600 s, or longer")
                // Which `doctor` shows.
                #expect(feed.findings == ["silence: wants to be left alone for 21600 s, or longer; asked again at 2026-09-01T16:00:00Z"])
                server.answer(200)
                farm.clock.now = feed.retryAt
                try await keeper.round(chain, spacing: .zero)
                let after = try await Self.feed(farm)
                #expect(after.failure == nil && after.findings == [])
                #expect(try await Self.known(farm, at(0)) == "150 actual gb-carbon-intensity")
            }
        }
    }

    /// A provider of the same zone and basis that takes long for each answer.
    private struct Slow: GridProvider {
        let inner: GreatBritain
        let clock: TestClock
        var name: String { inner.name }
        var basis: Intensity.Basis { inner.basis }
        var terms: FeedTerms { inner.terms }
        var pace: FeedPace { inner.pace }
        func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] { try inner.requests(question) }
        func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
            clock.now = clock.now + .seconds(400)
            return try inner.read(body, to: request, question)
        }
    }

    @Test func aClaimIsHeldForAsLongAsOneProviderTakesForAllItsAnswers() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                let since = at(-60 * 86_400)
                server.set(Interval(since, at(3_600))) { _ in .init(forecast: nil, actual: 150) }
                let plain = try Self.chain(server.url, since: since)
                let chain = GridChain(
                    zone: plain.zone,
                    basis: plain.basis,
                    since: since,
                    wantsForecast: false,
                    every: .seconds(900),
                    providers: [Slow(inner: GreatBritain(base: server.url), clock: farm.clock)]
                )
                let keeper = Self.keeper(farm, chain)
                try await keeper.configure(chain)
                let start = farm.clock.now
                try await keeper.round(chain, spacing: .zero)
                let took = farm.clock.now - start
                #expect(took > GridKeeper.lease + GridKeeper.lease)
                // It gave the claim back that it still had: another may ask at once.
                #expect(try await farm.count("grid_feed WHERE claimed_until = '-infinity'") == 1)
                // One that lost it stops asking, and takes nothing from who has it now.
                let held = farm.clock.now + .hour
                var round = GridRound(keeper: keeper, chain: chain, start: farm.clock.now, claim: farm.clock.now + .seconds(1))
                try await farm.connection.executeScript("UPDATE grid_feed SET claimed_until = '\(RFC3339.format(held))'")
                _ = server.questions()
                let feed = try await Self.feed(farm)
                await #expect(throws: GridRound.ClaimLost.self) { try await round.ask(chain.providers[0], at: 0, feed) }
                #expect(server.questions() == [])
                #expect(try await farm.count("grid_feed WHERE claimed_until = '\(RFC3339.format(held))'") == 1)
            }
        }
    }

    /// A second provider of the same zone and basis, in a file.
    private static func own(_ folder: URL, _ rows: [(Double, Double, Int)]) throws -> OwnSeries {
        let lines = rows.map { "GB,\(RFC3339.format(at($0))),\(RFC3339.format(at($1))),\($2)" }
        let file = folder.appending(path: "own-\(UUID().uuidString).csv")
        try (["zone,from,to,g_per_kwh"] + lines).joined(separator: "\n").write(to: file, atomically: true, encoding: .utf8)
        return OwnSeries(
            name: "own",
            address: file.path,
            basis: basis,
            terms: FeedTerms(licence: "mine", source: "mine", mayBeRedistributed: false)
        )
    }

    @Test func theSecondProviderIsAskedForWhatTheFirstDoesNotKnowAndBothKeepTheirNames() async throws {
        let folder = FileManager.default.temporaryDirectory
        try await Farm.with { farm in
            try await GridServer.with { server in
                // The first knows nothing from 6:00 to 7:00.
                server.set(Interval(at(-6 * 3_600), at(3_600))) { at(-10_800) <= $0 && $0 < at(-7_200) ? .init() : .init(actual: 150) }
                let own = try Self.own(folder, (-6..<1).map { (Double($0) * 3_600, Double($0 + 1) * 3_600, 90) })
                let chain = try Self.chain(server.url, more: [own])
                let keeper = Self.keeper(farm, chain)
                try await keeper.configure(chain)
                try await keeper.round(chain, spacing: .zero)
                #expect(try await Self.known(farm, at(-9_000)) == "90 actual own")
                #expect(try await Self.known(farm, at(-3_600)) == "150 actual gb-carbon-intensity")
                // Asked only for the hole: nothing else of it is kept.
                #expect(try await farm.count("intensity WHERE provider = 'own'") == 1)
                #expect(try await GridProviderTable.withheld(farm.connection) == ["own"])
                // Where the first is away the second is asked for the present, too.
                server.answer(500)
                server.set(Interval(at(3_600), at(7_200))) { _ in .init(actual: 160) }
                let more = try Self.own(folder, (-6..<3).map { (Double($0) * 3_600, Double($0 + 1) * 3_600, 90) })
                let later = try Self.chain(server.url, more: [more])
                farm.clock.now = at(7_200)
                try await keeper.round(later, spacing: .zero)
                #expect(try await Self.known(farm, at(5_400)) == "90 actual own")
                // Once the first is back its figures count before the second's.
                server.answer(200)
                farm.clock.now = at(9_000)
                try await keeper.round(later, spacing: .zero)
                #expect(try await Self.known(farm, at(5_400)) == "160 actual gb-carbon-intensity")
            }
        }
    }

    /// What a token allows that is not paid for: the last day, or the present alone.
    private struct Bounded: GridProvider {
        let inner: GreatBritain
        let url: String
        var hasHistory = true
        let name = "gb-carbon-intensity"
        var basis: Intensity.Basis { inner.basis }
        var terms: FeedTerms { inner.terms }
        var pace: FeedPace { inner.pace }

        func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] {
            guard case .past(let interval) = question.span else { return try inner.requests(question) }
            if !hasHistory { return [] }
            return question.now - interval.start <= .day ? try inner.requests(question) : [FeedRequest("\(url)/not-allowed")]
        }

        func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
            try inner.read(body, to: request, question)
        }
    }

    @Test func historyThatIsRefusedDoesNotKeepThePresentAway() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                server.set(Interval(at(-30 * 86_400), at(3_600))) { _ in .init(actual: 150) }
                var chain = try Self.chain(server.url, since: at(-30 * 86_400))
                chain.providers = [Bounded(inner: GreatBritain(base: server.url), url: server.url)]
                let keeper = Self.keeper(farm, chain)
                try await keeper.configure(chain)
                try await keeper.round(chain, spacing: .zero)
                #expect(try await Self.known(farm, at(0)) == "150 actual gb-carbon-intensity")
                #expect(try await Self.known(farm, at(-5 * 86_400)) == nil)
                let feed = try await Self.feed(farm)
                #expect(feed.failures == 0 && feed.filledTo == nil && feed.findings.count == 2)
                #expect(feed.findings.last?.hasPrefix("history before 2026-08-12T09:00:00Z: answered 404") == true)
                let finding = try await DoctorReport.make(now: farm.clock.now, freeBytes: { _ in nil }, farm.connection).findings
                    .first { $0.id == "grid_feeds" }
                #expect(finding?.severity == .note)
                // It is not asked for with each question about today, and stays said.
                _ = server.questions()
                farm.clock.now = farm.clock.now + .seconds(900)
                try await keeper.round(chain, spacing: .zero)
                #expect(server.questions().count == 1)
                #expect(try await Self.feed(farm).findings == feed.findings)
            }
        }
    }

    @Test func whoKnowsOnlyThePresentIsAskedForThat() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                server.set(Interval(at(-6 * 3_600), at(3_600))) { _ in .init(actual: 150) }
                var chain = try Self.chain(server.url)
                chain.providers = [Bounded(inner: GreatBritain(base: server.url), url: server.url, hasHistory: false)]
                let keeper = Self.keeper(farm, chain)
                try await keeper.configure(chain)
                try await keeper.round(chain, spacing: .zero)
                #expect(try await Self.known(farm, at(2_700)) == "150 actual gb-carbon-intensity")
                #expect(try await Self.known(farm, at(-2_700)) == nil)
                let feed = try await Self.feed(farm)
                #expect(feed.failures == 0 && feed.findings == [])
            }
        }
    }

    @Test func forecastsAreAskedForEveryThreeHours() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                server.set(Interval(at(-6 * 3_600), at(20 * 3_600))) { _ in .init(forecast: 200, actual: nil) }
                let chain = try Self.chain(server.url, forecast: true)
                let keeper = Self.keeper(farm, chain)
                try await keeper.configure(chain)
                var asked = 0
                for _ in 0..<25 {
                    try await keeper.round(chain, spacing: .zero)
                    asked += server.questions().count { $0.hasSuffix("fw48h") }
                    farm.clock.now = farm.clock.now + .seconds(900)
                }
                #expect(asked == 3)
                #expect(try await Self.known(farm, at(15 * 3_600)) == "200 forecast gb-carbon-intensity")
            }
        }
    }

    @Test func aJobsHoursAreAccountedAnewWhenItsActualFiguresCome() async throws {
        try await Farm.with { farm in
            try await GridServer.with { server in
                let token = try await farm.token("a", host: "bremusa")
                var reporter = Reporter(host: "bremusa")
                var batch = AccountsTests.hour(&reporter)
                batch.facts.gridZone = "GB"
                _ = try await farm.commit(batch, token: token)
                let job = try await farm.post(AccountsTests.job)
                server.set(Interval(at(-6 * 3_600), at(7_200))) { _ in .init(forecast: 200, actual: nil) }
                farm.clock.now = at(7_300)
                let chain = try Self.chain(server.url)
                let keeper = Self.keeper(farm, chain)
                try await keeper.configure(chain)
                try await keeper.round(chain, spacing: .zero)
                try await farm.account()
                let forecast = try #require(try await farm.footprint(job.jobID))
                #expect(forecast.intensity?.kind == .forecast && abs((forecast.locationGrams?.best ?? 0) - 1.5) < 1e-9)
                server.set(Interval(at(-6 * 3_600), at(7_200))) { _ in .init(forecast: 200, actual: 150) }
                farm.clock.now = at(8_300)
                try await keeper.round(chain, spacing: .zero)
                #expect(try await farm.count("dirty") > 0)
                try await farm.account()
                let actual = try #require(try await farm.footprint(job.jobID))
                #expect(actual.intensity?.kind == .actual && abs((actual.locationGrams?.best ?? 0) - 1.125) < 1e-9)
                #expect(actual.statement?.digest != forecast.statement?.digest)
                #expect(try await farm.count("accounted_version") > 0)
            }
        }
    }

    @Test func itStopsWhileItWaitsForAProvider() async throws {
        try await Farm.with { farm in
            // A server that takes connections and never answers.
            try await GridServer.with { server in
                let chain = try Self.chain(server.url)
                let keeper = Self.keeper(farm, chain)
                var log = Logger(label: "test")
                log.logLevel = .critical
                let group = ServiceGroup(configuration: .init(services: [keeper], gracefulShutdownSignals: [], logger: log))
                async let running: Void = group.run()
                try await Task.sleep(for: .milliseconds(300))
                await group.triggerGracefulShutdown()
                let began = ContinuousClock.now
                try await running
                #expect(ContinuousClock.now - began < .seconds(2))
            }
        }
    }
}
