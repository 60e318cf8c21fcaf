import Energy
import Foundation
import HTTPClient
import Logging
import ServiceLifecycle
import Synchronization
import Telemetry

/// Asks targets for their series, each at its own pace.
struct Scraper: Service {
    let targets: [ScrapeTarget]
    let intake: TelemetryIntake
    let metrics: CollectorMetrics
    let log: Logger
    let now: @Sendable () -> Timestamp
    let http: HTTPClient
    /// Of several collectors that scrape the same targets one counts at a time.
    let source: String
    private let failing = ToldTargets()
    private let answered = ToldTargets()

    /// Answers at a time, whatever the number of targets; a longer one than this is no exporter's.
    static let atOnce = 8
    static let answerBytes = 16 << 20

    init(
        targets: [ScrapeTarget],
        intake: TelemetryIntake,
        metrics: CollectorMetrics,
        log: Logger,
        now: @escaping @Sendable () -> Timestamp
    ) {
        self.targets = targets
        self.intake = intake
        self.metrics = metrics
        self.log = log
        self.now = now
        http = HTTPClient(maximumBodyBytes: Self.answerBytes, maximumConnections: Self.atOnce, userAgent: "wattle")
        source = "scrape \(UInt32.random(in: .min ... .max))"
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup { tasks in
                for target in targets { tasks.addTask { await scrape(target, again: true) } }
            }
        }
    }

    /// Targets do not all answer at the same instant: each begins somewhere in its period, and keeps to it.
    private func scrape(_ target: ScrapeTarget, again: Bool) async {
        let clock = ContinuousClock()
        var next = clock.now + target.every * Double.random(in: 0..<1)
        while !Task.isCancelled {
            do { try await Task.sleep(until: next, clock: clock) } catch { return }
            await scrapeOnce(target)
            next += target.every
            // What was missed while an answer took long is not made up for.
            if next < clock.now { next = clock.now + target.every * Double.random(in: 0.9...1) }
        }
    }

    func scrapeOnce(_ target: ScrapeTarget) async {
        do {
            try await ask(target)
            metrics.scrapes.increment()
            // Once after a start too: what is stored may be of a run before.
            if answered.note(target.url) { intake.tallies.note(mended: target.url) }
            if failing.mend(target.url) { log.notice("a scrape target answers again", metadata: ["url": "\(target.url)"]) }
        } catch {
            if Task.isCancelled { return }
            metrics.scrapesFailed.increment()
            _ = answered.mend(target.url)
            intake.tallies.note(failed: target.url, "\(error)")
            // Said once, until it answers again.
            if failing.note(target.url) {
                log.warning("a scrape target does not answer", metadata: ["url": "\(target.url)", "error": "\(error)"])
            }
        }
    }

    struct Refused: Error, CustomStringConvertible {
        let description: String
    }

    private func ask(_ target: ScrapeTarget) async throws {
        var headers = [("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")]
        if let file = target.tokenFile {
            let token = try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
            headers.append(("Authorization", "Bearer \(token)"))
        }
        let asked = now()
        let answer = try await http.send(HTTPRequest(url: target.url, headers: headers, timeout: target.timeout))
        guard answer.status == 200 else {
            let reason =
                target.isRelayed && (answer.status == 400 || answer.status == 404)
                ? "the scheduler has no such pool or worker, or it is not connected" : "expected 200"
            throw Refused(description: "\(reason), found \(answer.status)")
        }
        // Read somewhere between question and answer.
        let at = asked + Microseconds((now() - asked).count / 2)
        let type = answer.header("Content-Type")?.lowercased() ?? ""
        let format: Exposition.Format = type.hasPrefix("application/openmetrics-text") ? .openMetrics : .text
        var series = try Exposition(answer.body, format: format, scrapedAt: at).series
        for i in series.indices { series[i].labels.merge(target.labels) { _, given in given } }
        _ = try await intake.take(series, from: source, grant: nil)
    }
}

/// Targets of which something was said, so that it is said once.
private final class ToldTargets: Sendable {
    private let urls = Mutex<Set<String>>([])

    /// Whether it is news.
    func note(_ url: String) -> Bool { urls.withLock { $0.insert(url).inserted } }
    func mend(_ url: String) -> Bool { urls.withLock { $0.remove(url) != nil } }
}
