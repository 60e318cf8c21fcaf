import Carbon
import Energy
import GridFeeds
import Logging
import Postgres
import ServiceLifecycle
import Store

/// Asks grid providers for the zones of `grid:` and keeps what they say: the recent past again and again, so that actual figures come in the
/// place of forecasts and revisions are seen; what is expected; and history, piece by piece.
///
/// Any number of collectors may keep the same zones: one asks at a time. No connection to the database is held while a provider is waited
/// for. What a stop interrupts is asked for again, by this collector or another one, once its claim has run out.
struct GridKeeper: Service {
    let chains: [GridChain]
    let client: FeedClient
    let pool: PostgresPool
    let log: Logger
    let now: @Sendable () -> Timestamp
    let metrics: CollectorMetrics

    /// History of a zone that says no date begins so long before it was first configured: spans were before.
    static let firstReach = Microseconds(30 * Microseconds.day.count)
    /// Asked for each time. With the hour it begins in it is no longer than a day, which is all that some tokens allow.
    static let recent = Microseconds(23 * Microseconds.hour.count)
    /// Asked for once a day, for revisions.
    static let revised = Microseconds(14 * Microseconds.day.count)
    static let forecastEvery = Microseconds(3 * Microseconds.hour.count)
    /// History in pieces of a few thousand figures, a few of them in a round.
    static let piece = Microseconds(10 * Microseconds.day.count)
    static let piecesAtOnce = 4
    /// The providers after the first are not asked for what the first may not have yet.
    static let patience = Microseconds(2 * Microseconds.hour.count)
    /// A claim outlives the longest question, whose requests are each tried several times.
    static let lease = Microseconds.seconds(600)
    /// A provider that wants to be left alone for longer is told of.
    static let quietSeconds = 3_600
    static let longestBackoff = Microseconds(6 * Microseconds.hour.count)
    private static let findingsKept = 20

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup { tasks in
                for chain in chains { tasks.addTask { await keep(chain) } }
            }
        }
    }

    private func keep(_ chain: GridChain) async {
        var isConfigured = false
        // Collectors that start together do not begin together.
        var wait = min(chain.every, .seconds(2)) * Double.random(in: 0...1)
        while !Task.isCancelled {
            do { try await Task.sleep(for: wait) } catch { return }
            do {
                if !isConfigured {
                    try await configure(chain)
                    isConfigured = true
                    wait = chain.every
                }
                wait = try await round(chain, spacing: wait * 0.5) * Double.random(in: 0.95...1.05)
            } catch {
                if Task.isCancelled { return }
                log.warning("the intensities of a zone wait", metadata: ["zone": "\(chain.zone)", "error": "\(error)"])
                wait = min(chain.every, .seconds(60))
            }
        }
    }

    /// Writes down what is asked of whom and which basis counts, as the configuration says it.
    func configure(_ chain: GridChain) async throws {
        let now = now()
        let first = (now - Self.firstReach).hour.start
        try await pool.withConnection { connection in
            try await GridProviderTable.put(
                chain.providers.map {
                    .init(
                        provider: $0.name,
                        source: $0.terms.source,
                        licence: $0.terms.licence,
                        mayBeRedistributed: $0.terms.mayBeRedistributed
                    )
                },
                connection
            )
            let names = chain.providers.map(\.name)
            try await GridFeedTable.configure(
                zone: chain.zone.key,
                providers: names,
                since: chain.since,
                first: first,
                connection
            )
            let before = try await ZoneBasisTable.state(
                chain.basis,
                providers: names,
                zone: chain.zone.key,
                from: chain.since,
                first: first,
                now: now,
                connection
            )
            if let before {
                log.notice(
                    "another basis counts in a zone",
                    metadata: ["zone": "\(chain.zone)", "before": "\(before)", "now": "\(chain.basis)"]
                )
            }
            try await GridFeedTable.forget(unaskedSince: now - Microseconds(7 * Microseconds.day.count), connection)
        }
    }

    /// Asks what there is to ask of a zone's providers now.
    ///
    /// - Parameter spacing: nothing is asked where another collector did so less long ago.
    /// - Returns: how long to wait until the next round.
    @discardableResult
    func round(_ chain: GridChain, spacing: Duration) async throws -> Duration {
        guard let lead = chain.providers.first?.name else { return .seconds(3_600) }
        let start = now()
        let zone = chain.zone.key
        let claim = start + Self.lease
        let isOurs = try await pool.withConnection {
            try await GridFeedTable.claim(
                provider: lead,
                zone: zone,
                until: claim,
                askedBefore: start - Self.microseconds(spacing),
                now: start,
                $0
            )
        }
        guard isOurs else { return chain.every }
        var round = GridRound(keeper: self, chain: chain, start: start, claim: claim)
        var fault: (any Error)?
        do {
            let feeds = try await pool.withConnection { try await GridFeedTable.read(zone: zone, $0) }
            for (index, provider) in chain.providers.enumerated() {
                guard let feed = feeds[provider.name] else { continue }
                try await round.ask(provider, at: index, feed)
            }
        } catch is GridRound.ClaimLost {
            return round.wait
        } catch {
            fault = error
        }
        let last = round.claim
        try await pool.withConnection {
            try await GridFeedTable.giveBack(provider: lead, zone: zone, claim: last, askedAt: fault == nil ? start : nil, $0)
        }
        if let fault { throw fault }
        return round.wait
    }

    static func microseconds(_ duration: Duration) -> Microseconds {
        Microseconds(duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000)
    }

    /// Longer with each failure in a row.
    static func backoff(_ every: Duration, failures: Int32) -> Microseconds {
        min(longestBackoff, Microseconds(max(1_000_000, microseconds(every).count) << Int64(min(10, max(0, failures - 1)))))
    }

    /// What a question came to.
    enum Outcome {
        case answered(FeedReading)
        case failed(FeedFault)
    }

    func ask(_ provider: any GridProvider, _ question: GridQuestion) async throws -> Outcome {
        metrics.gridQuestions.increment()
        do {
            return .answered(try await client.ask(provider, question))
        } catch let fault as FeedFault {
            metrics.gridQuestionsFailed.increment()
            return .failed(fault)
        }
    }

    /// Keeps figures, and how far their feed got.
    func store(_ figures: [GridFigure], _ feed: GridFeed, _ chain: GridChain) async throws {
        let rows = figures.filter {
            $0.value.zone == chain.zone.key && $0.value.basis == chain.basis && $0.value.provider == feed.provider && !$0.interval.isEmpty
        }.map { IntensityTable.Row(interval: $0.interval, value: $0.value, version: $0.edition) }
        let now = now()
        let added = try await pool.transaction { tx in
            try await GridFeedTable.note(feed, tx)
            return try await IntensityTable.add(rows, now: now, tx)
        }
        metrics.gridFigures.increment(by: added)
        if added > 0 {
            log.info("intensities came", metadata: ["zone": "\(feed.zone)", "provider": "\(feed.provider)", "new": "\(added)"])
        }
    }

    /// Of what was left out, a few; said in the log once.
    func findings(_ all: [String], _ feed: GridFeed) -> [String] {
        var kept: [String] = []
        for finding in all where !kept.contains(finding) && kept.count < Self.findingsKept { kept.append(finding) }
        if !kept.isEmpty, kept != feed.findings {
            log.warning(
                "some of what a grid provider said is left out",
                metadata: ["zone": "\(feed.zone)", "provider": "\(feed.provider)", "findings": "\(kept)"]
            )
        }
        return kept
    }
}
