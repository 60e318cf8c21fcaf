import Carbon
import Energy
import HTTPClient
import Synchronization
import Testing

@testable import GridFeeds

/// How providers are asked: caching, patience, keys.
struct FeedClientTests {
    private final class Clock: Sendable {
        private let state = Mutex(FeedDocument.time("2026-03-14T13:40Z") ?? Timestamp(microseconds: 0))
        private let pauses = Mutex<[Duration]>([])
        var now: Timestamp { state.withLock { $0 } }
        var paused: [Duration] { pauses.withLock { $0 } }
        func advance(_ seconds: Int64) { state.withLock { $0 = $0 + .seconds(seconds) } }
        func pause(_ duration: Duration) { pauses.withLock { $0.append(duration) } }
    }

    private let clock = Clock()
    private let gb: GridZone

    init() throws { gb = try #require(GridZone("GB")) }

    private func client() -> FeedClient {
        FeedClient(http: HTTPClient(), now: { [clock] in clock.now }, pause: { [clock] in clock.pause($0) })
    }

    private var latest: GridQuestion { GridQuestion(.latest, of: gb, now: clock.now) }

    @Test func anAnswerIsKeptAsLongAsItSaysAndComparedByItsETagThen() async throws {
        let server = try RecordedProvider([
            .init(path: "/intensity", file: "gb-national.json", headers: ["ETag": "\"a\"", "Cache-Control": "public, max-age=60"])
        ])
        let client = client()
        let provider = GreatBritain(base: server.url)
        let question = latest
        for _ in 0..<3 { #expect(try await client.ask(provider, question).figures.count == 3) }
        #expect(try await server.requests().count == 1)
        clock.advance(61)
        #expect(try await client.ask(provider, question).figures.count == 3)
        let requests = try await server.requests()
        #expect(requests.count == 2)
        #expect(requests.last?.headers["if-none-match"] == "\"a\"")
    }

    @Test func whatMayPassIsTriedAgainEachTimeLater() async throws {
        let server = try RecordedProvider([
            .init(path: "/intensity", body: "busy", status: 502, times: 2), .init(path: "/intensity", file: "gb-national.json"),
        ])
        #expect(try await client().ask(GreatBritain(base: server.url), latest).figures.count == 3)
        #expect(clock.paused == [.seconds(1), .seconds(2)])
        let broken = try RecordedProvider([.init(path: "/intensity", body: "", status: 500)])
        await #expect(throws: FeedFault.unreachable("gb-carbon-intensity answered 500, 4 times over")) {
            try await client().ask(GreatBritain(base: broken.url), latest)
        }
    }

    @Test func whoWantsToBeLeftAloneIsLeftAlone() async throws {
        let server = try RecordedProvider([.init(path: "/intensity", body: "", status: 429, headers: ["Retry-After": "30"])])
        await #expect(throws: FeedFault.later(seconds: 30)) { try await client().ask(GreatBritain(base: server.url), latest) }
        #expect(try await server.requests().count == 1)
    }

    @Test func aRefusalIsToldInTheProvidersWordsAndWithoutTheKey() async throws {
        let server = try RecordedProvider([.init(path: "/v3", body: "{\"message\":\n\"unknown zone\"}", status: 404)])
        let provider = ElectricityMaps(token: "very-secret", base: server.url)
        do {
            _ = try await client().ask(provider, latest)
            Issue.record("expected a refusal")
        } catch let fault as FeedFault {
            #expect(fault == .refused(status: 404, "{\"message\": \"unknown zone\"}"))
        }
        #expect(try await server.requests().first?.headers["auth-token"] == "very-secret")
    }

    @Test func aLoginIsMadeOnceAndAgainWhenItsTokenIsNotTaken() async throws {
        let zone = try #require(GridZone("US-CAL-CISO"))
        let server = try RecordedProvider([
            .init(path: "/login", body: "{\"token\": \"old\"}", times: 1, with: ["Authorization": "Basic dTpwOnA="]),
            .init(path: "/login", body: "{\"token\": \"new\"}"),
            .init(path: "/v3/historical", file: "watttime-historical.json", times: 2, with: ["Authorization": "Bearer old"]),
            .init(path: "/v3/historical", file: "watttime-historical.json", with: ["Authorization": "Bearer new"]),
        ])
        let client = client()
        let provider = WattTime(user: "u", password: "p:p", signal: .marginal, regions: [zone: "CAISO_NORTH"], base: server.url)
        for _ in 0..<3 {
            #expect(try await client.ask(provider, GridQuestion(.latest, of: zone, now: clock.now)).figures.count == 1)
            clock.advance(300)
        }
        #expect(
            try await server.requests().map { String($0.path.prefix(6)) } == ["/login", "/v3/hi", "/v3/hi", "/v3/hi", "/login", "/v3/hi"]
        )
    }

    @Test func nobodyIsAskedMoreOftenThanAllowed() async throws {
        struct Slow: GridProvider {
            let inner: GreatBritain
            let name = "slow"
            let pace = FeedPace(requests: 2, perSeconds: 60)
            var basis: Intensity.Basis { inner.basis }
            var terms: FeedTerms { inner.terms }
            func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] { try inner.requests(question) }
            func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
                try inner.read(body, to: request, question)
            }
        }
        let server = try RecordedProvider([.init(path: "/intensity", file: "gb-national.json")])
        let client = client()
        let provider = Slow(inner: GreatBritain(base: server.url))
        for _ in 0..<2 { _ = try await client.ask(provider, latest) }
        clock.advance(10)
        await #expect(throws: FeedFault.later(seconds: 50)) { try await client.ask(provider, latest) }
        clock.advance(50)
        _ = try await client.ask(provider, latest)
        #expect(try await server.requests().count == 3)
    }

    @Test func whereNobodyAnswersThatIsSaidAfterSomeTries() async throws {
        do {
            _ = try await client().ask(GreatBritain(base: "http://127.0.0.1:9"), latest)
            Issue.record("expected nobody to answer")
        } catch let fault as FeedFault {
            guard case .unreachable = fault else { Issue.record("\(fault)"); return }
        }
        #expect(clock.paused.count == 3)
    }

    @Test func aFileIsReadAsItIs() async throws {
        let path = URLFree.answers + "/own.csv"
        let terms = FeedTerms(licence: "CC0-1.0", source: "test", mayBeRedistributed: true)
        let basis = try #require(Intensity.Basis("direct/average/production"))
        let lab = try #require(GridZone("XX-LAB"))
        let reading = try await client().ask(
            OwnSeries(name: "own", address: path, basis: basis, terms: terms),
            GridQuestion(.latest, of: lab, now: clock.now)
        )
        #expect(reading.figures.count == 2)
        await #expect(throws: FeedFault.self) {
            try await client().ask(OwnSeries(name: "own", address: "/nowhere", basis: basis, terms: terms), latest)
        }
    }

    private enum URLFree {
        static var answers: String { "\(#filePath)".split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/Answers" }
    }

    @Test func howLongAnAnswerIsFresh() {
        #expect(FeedClient.maximumAge("public, max-age=60") == 60)
        #expect(FeedClient.maximumAge("max-age=1000000") == 3_600)
        for header in [nil, "", "no-store, max-age=60", "no-cache", "max-age=-5", "max-age=x"] {
            #expect(FeedClient.maximumAge(header) == 0)
        }
    }
}
