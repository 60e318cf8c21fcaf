import Carbon
import Documents
import Energy
import GridFeeds
import Logging
import Postgres
import Store

/// One round of questions about a zone, of each of its providers in turn.
struct GridRound {
    let keeper: GridKeeper
    let chain: GridChain
    let start: Timestamp
    /// Until the next round.
    private(set) var wait: Duration
    /// Whether one of the providers so far gave a forecast, or had given one lately.
    private var hasForecast = false
    /// Whether all providers so far failed.
    private var allFailed = true
    /// Until when the zone is this collector's.
    private(set) var claim: Timestamp
    /// How far the history of all providers so far is filled, where it goes on being filled; later ones have what these lack.
    private var filledTo: Timestamp?

    private static let revisions = "revisions: "
    private static let forecast = "forecast: "
    private static let history = "history before "
    private static let lasting = [revisions, forecast, history]
    private static let silence = "silence: "

    /// Another collector took the zone: what is left to ask is its to ask.
    struct ClaimLost: Error {}

    init(keeper: GridKeeper, chain: GridChain, start: Timestamp, claim: Timestamp) {
        self.keeper = keeper
        self.chain = chain
        self.start = start
        self.claim = claim
        wait = chain.every
    }

    /// - Parameter index: of the provider in the chain; what those before it know is not asked for.
    mutating func ask(_ provider: any GridProvider, at index: Int, _ feed: GridFeed) async throws {
        guard feed.retryAt <= start else {
            again(in: feed.retryAt - start)
            return
        }
        var feed = feed
        feed.askedAt = start
        // What was refused stays said until it is asked for again.
        var findings = feed.findings.filter { finding in Self.lasting.contains { finding.hasPrefix($0) } }
        let before = chain.providers[..<index].map(\.name)
        let window = Interval(max(feed.since, start - GridKeeper.recent), start)
        guard try await askForRecent(window, provider, &feed, before, &findings) else { return }
        allFailed = false
        if start - (feed.revisedAt ?? feed.since) >= .day || feed.revisedAt == nil {
            try await askForRevisions(until: window.start, provider, &feed, before, &findings)
        }
        if chain.wantsForecast, !hasForecast { try await askForForecast(provider, &feed, &findings) }
        try await fill(until: window.start, provider, &feed, before, &findings)
        feed.findings = keeper.findings(findings, feed)
        try await keeper.store([], feed, chain)
    }

    /// What a slow provider takes long for must not make another collector ask, too: held for longer before each question.
    private mutating func hold() async throws {
        guard let lead = chain.providers.first?.name else { return }
        let (held, next) = (claim, keeper.now() + GridKeeper.lease)
        let isHeld = try await keeper.pool.withConnection {
            try await GridFeedTable.extend(provider: lead, zone: chain.zone.key, claim: held, until: next, $0)
        }
        guard isHeld else { throw ClaimLost() }
        claim = next
    }

    /// Leaves a provider alone as long as it wants; longer than an hour is told, since nothing comes from it until then.
    private mutating func leaveAlone(_ feed: inout GridFeed, seconds: Int, _ findings: inout [String]) {
        feed.retryAt = start + .seconds(Int64(seconds))
        again(in: .seconds(Int64(seconds)))
        guard seconds > GridKeeper.quietSeconds else { return }
        let longest = seconds >= FeedClient.longestSilenceSeconds ? ", or longer" : ""
        feed.failure = "wants to be left alone for \(seconds) s\(longest)"
        findings.insert("\(Self.silence)\(feed.failure ?? ""); asked again at \(RFC3339.format(feed.retryAt))", at: 0)
        keeper.log.warning(
            "a grid provider wants to be left alone for long",
            metadata: ["zone": "\(feed.zone)", "provider": "\(feed.provider)", "until": "\(RFC3339.format(feed.retryAt))"]
        )
    }

    private mutating func again(in wait: Microseconds) {
        self.wait = max(.seconds(1), min(self.wait, .microseconds(wait.count)))
    }

    /// The part of an interval that a provider has to be asked for: all of it of the first, of the others what those before lack.
    private func lacking(in interval: Interval, _ before: [String]) async throws -> Interval? {
        guard !interval.isEmpty else { return nil }
        guard !before.isEmpty else { return interval }
        let holes = try await keeper.pool.withConnection {
            try await GridFeedTable.holes(in: interval, zone: chain.zone.key, basis: chain.basis, providers: before, $0)
        }
        guard let first = holes.first, let last = holes.last else { return nil }
        return Interval(first.start, last.end)
    }

    /// Nil where there is no request for it: a provider without a history may know the present.
    private func question(_ interval: Interval, _ provider: any GridProvider) throws(FeedFault) -> GridQuestion? {
        let past = GridQuestion(.past(interval), of: chain.zone, now: start)
        if try !provider.requests(past).isEmpty { return past }
        guard start - interval.end < GridKeeper.patience else { return nil }
        return GridQuestion(.latest, of: chain.zone, now: start)
    }

    private mutating func answer(_ interval: Interval, _ provider: any GridProvider) async throws -> GridKeeper.Outcome {
        let question: GridQuestion?
        do {
            question = try self.question(interval, provider)
        } catch {
            return .failed(error)
        }
        guard let question else { return .answered(FeedReading()) }
        try await hold()
        return try await keeper.ask(provider, question)
    }

    /// - Returns: whether the provider answered, or need not be asked.
    private mutating func askForRecent(
        _ window: Interval,
        _ provider: any GridProvider,
        _ feed: inout GridFeed,
        _ before: [String],
        _ findings: inout [String]
    ) async throws -> Bool {
        let end = before.isEmpty || allFailed ? window.end : max(window.start, window.end - GridKeeper.patience)
        guard let interval = try await lacking(in: Interval(window.start, end), before) else {
            feed.failures = 0
            feed.failure = nil
            return true
        }
        switch try await answer(interval, provider) {
        case .answered(let reading):
            if feed.failures > 0 {
                keeper.log.notice("a grid provider answers again", metadata: ["zone": "\(feed.zone)", "provider": "\(feed.provider)"])
            }
            feed.failures = 0
            feed.failure = nil
            findings += reading.findings
            try await keeper.store(reading.figures, feed, chain)
            return true
        case .failed(.later(let seconds)):
            leaveAlone(&feed, seconds: seconds, &findings)
            feed.findings = keeper.findings(findings, feed)
        case .failed(let fault):
            feed.failures += 1
            // Said once, until it answers again.
            if feed.failures == 1 {
                keeper.log.warning(
                    "a grid provider fails",
                    metadata: ["zone": "\(feed.zone)", "provider": "\(feed.provider)", "error": "\(fault)"]
                )
            }
            feed.failure = fault.description
            let backoff = GridKeeper.backoff(chain.every, failures: feed.failures)
            feed.retryAt = start + backoff
            again(in: backoff)
        }
        try await keeper.store([], feed, chain)
        return false
    }

    /// What lies further back may be refused to some; what is recent comes in all the same.
    private mutating func askForRevisions(
        until end: Timestamp,
        _ provider: any GridProvider,
        _ feed: inout GridFeed,
        _ before: [String],
        _ findings: inout [String]
    ) async throws {
        feed.revisedAt = start
        let past = Interval(max(feed.since, start - GridKeeper.revised), max(feed.since, end))
        findings.removeAll { $0.hasPrefix(Self.revisions) }
        guard let interval = try await lacking(in: past, before) else { return }
        switch try await answer(interval, provider) {
        case .answered(let reading):
            findings += reading.findings
            try await keeper.store(reading.figures, feed, chain)
        case .failed(.later(let seconds)):
            feed.revisedAt = nil
            leaveAlone(&feed, seconds: seconds, &findings)
        case .failed(let fault): findings.append(Self.revisions + fault.description)
        }
    }

    private mutating func askForForecast(_ provider: any GridProvider, _ feed: inout GridFeed, _ findings: inout [String]) async throws {
        if let last = feed.forecastAt, start - last < GridKeeper.forecastEvery {
            hasForecast = true
            return
        }
        findings.removeAll { $0.hasPrefix(Self.forecast) }
        try await hold()
        switch try await keeper.ask(provider, GridQuestion(.forecast, of: chain.zone, now: start)) {
        case .answered(let reading):
            findings += reading.findings
            // One who makes none has nothing to ask for.
            guard !reading.figures.isEmpty else { return }
            feed.forecastAt = start
            hasForecast = true
            try await keeper.store(reading.figures, feed, chain)
        case .failed(.later(let seconds)): leaveAlone(&feed, seconds: seconds, &findings)
        case .failed(let fault):
            // It may be what a token does not allow: the next one is tried, and this one in three hours.
            feed.forecastAt = start
            findings.append(Self.forecast + fault.description)
        }
    }

    /// History from where it stopped, a few pieces of it.
    private mutating func fill(
        until end: Timestamp,
        _ provider: any GridProvider,
        _ feed: inout GridFeed,
        _ before: [String],
        _ findings: inout [String]
    ) async throws {
        // What those before will still be asked for is not asked for here.
        let target = min(end, filledTo ?? end)
        var pieces = 0
        var from = feed.filledTo ?? feed.since
        while from < target, feed.refillAt <= start, feed.retryAt <= start {
            guard pieces < GridKeeper.piecesAtOnce else {
                again(in: .seconds(10))
                break
            }
            pieces += 1
            findings.removeAll { $0.hasPrefix(Self.history) }
            let piece = Interval(from, min(from + GridKeeper.piece, target))
            var figures: [GridFigure] = []
            if let interval = try await lacking(in: piece, before) {
                switch try await answer(interval, provider) {
                case .answered(let reading):
                    figures = reading.figures
                    findings += reading.findings
                case .failed(.later(let seconds)):
                    leaveAlone(&feed, seconds: seconds, &findings)
                    continue
                case .failed(.refused(let status, let words)):
                    feed.refillAt = start + .day
                    findings.append("\(Self.history)\(RFC3339.format(piece.end)): answered \(status): \(words)")
                    continue
                case .failed(let fault):
                    feed.refillAt = start + .hour
                    findings.append("\(Self.history)\(RFC3339.format(piece.end)): \(fault)")
                    continue
                }
            }
            feed.filledTo = piece.end
            from = piece.end
            try await keeper.store(figures, feed, chain)
        }
        if from >= end {
            // The recent past was asked for as well.
            feed.filledTo = start
        } else if feed.refillAt <= start {
            filledTo = min(filledTo ?? from, from)
        }
    }
}
