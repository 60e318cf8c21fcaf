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

    @Test func nobodyIsLeftAloneForEver() async throws {
        for (said, seconds) in [
            ("9223372036854775807", 21_600), ("99999999999999999999999", 21_600), ("21601", 21_600), ("0", 1), ("3600", 3_600),
        ] {
            let server = try RecordedProvider([.init(path: "/intensity", body: "", status: 503, headers: ["Retry-After": said])])
            await #expect(throws: FeedFault.later(seconds: seconds), "\(said)") {
                try await client().ask(GreatBritain(base: server.url), latest)
            }
        }
        for said in [nil, "", "-5", "Sun, 22 Nov 2026 01:00:00 GMT"] { #expect(FeedClient.silence(said) == nil) }
    }

    /// What a key is sent as, and what an echo of it may look like.
    @Test func aKeyThatComesBackInARefusalIsNotTold() async throws {
        let zone = try #require(GridZone("US-CAL-CISO"))
        func refusal(_ provider: (String) throws -> any GridProvider, _ zone: GridZone, _ answers: [RecordedProvider.Answer]) async throws
            -> String
        {
            let server = try RecordedProvider(answers)
            do {
                _ = try await client().ask(try provider(server.url), GridQuestion(.latest, of: zone, now: clock.now))
            } catch let fault as FeedFault {
                return fault.description
            }
            Issue.record("expected a refusal")
            return ""
        }
        let key = "k/y +\"1=é"
        let encoded = "k%2Fy%20%2B%221%3D%C3%A9"
        let echo = "token \(key), \(encoded), \(encoded.lowercased()), k\\/y +\\\"1=é is unknown"
        let header = try await refusal({ ElectricityMaps(token: key, base: $0) }, gb, [.init(path: "/v3", body: echo, status: 401)])
        #expect(header == "answered 401: token (secret), (secret), (secret), (secret) is unknown")
        let parameter = try await refusal(
            { EntsoE(token: key, domains: [gb: "10YGB----------A"], factors: [:], isLifecycle: true, edition: "x", base: $0) },
            gb,
            [.init(path: "/", body: echo, status: 400)]
        )
        #expect(parameter == "answered 400: token (secret), (secret), (secret), (secret) is unknown")
        let login: (String) -> any GridProvider = {
            WattTime(user: "u", password: "p:pass", signal: .marginal, regions: [zone: "CAISO_NORTH"], base: $0)
        }
        // u:p:pass
        let basic = "dTpwOnBhc3M="
        #expect(
            try await refusal(login, zone, [.init(path: "/login", body: "no \(basic), nor p:pass", status: 403)])
                == "answered 403: the login: no (secret), nor (secret)"
        )
        #expect(
            try await refusal(
                login,
                zone,
                [
                    .init(path: "/login", body: #"{"token": "abc.def"}"#),
                    .init(path: "/v3", body: "Bearer abc.def of \(basic) has no leave", status: 403),
                ]
            ) == "answered 403: Bearer (secret) of (secret) has no leave"
        )
        // In an answer that is no refusal, too, and where it is cut.
        let long = String(repeating: "abcdefgh", count: 20)
        let units = try await refusal({ ElectricityMaps(token: long, base: $0) }, gb, [.init(path: "/v3", body: #"{"zone": "\#(long)"}"#)])
        #expect(!units.contains("abcdefgh"), "\(units)")
        let cut = String(repeating: "x", count: 290) + long
        let late = try await refusal({ ElectricityMaps(token: long, base: $0) }, gb, [.init(path: "/v3", body: cut, status: 400)])
        #expect(late.hasSuffix("xx(secret)"), "\(late)")
        // A login in the address of a file of one's own.
        let terms = FeedTerms(licence: "own", source: "own", mayBeRedistributed: true)
        let basis = try #require(Intensity.Basis("direct/average/production"))
        let own = try await refusal(
            { OwnSeries(name: "own", address: $0.replacing("://", with: "://me:hush@"), basis: basis, terms: terms) },
            gb,
            [.init(path: "/", body: "me:hush may not, hush", status: 403)]
        )
        #expect(own == "answered 403: (secret) may not, (secret)")
    }

    @Test func eachLoginHasItsOwnTokenAndAnswers() async throws {
        let zone = try #require(GridZone("US-CAL-CISO"))
        func server(_ token: String, _ basic: String) -> [RecordedProvider.Answer] {
            [
                .init(path: "/login", body: #"{"token": "\#(token)"}"#, times: 1, with: ["Authorization": "Basic \(basic)"]),
                .init(
                    path: "/v3/historical",
                    file: "watttime-historical.json",
                    headers: ["Cache-Control": "max-age=600"],
                    times: 1,
                    with: ["Authorization": "Bearer \(token)"]
                ),
            ]
        }
        // u:p and v:p, at one address; u:p at another one.
        let one = try RecordedProvider(server("first", "dTpw") + server("second", "djpw"))
        let other = try RecordedProvider(server("third", "dTpw"))
        let client = client()
        for (user, url) in [("u", one.url), ("v", one.url), ("u", other.url), ("u", one.url)] {
            let provider = WattTime(user: user, password: "p", signal: .marginal, regions: [zone: "CAISO_NORTH"], base: url)
            #expect(try await client.ask(provider, GridQuestion(.latest, of: zone, now: clock.now)).figures.count == 1)
        }
        #expect(try await one.requests().count == 4)
        #expect(try await other.requests().count == 2)
    }

    @Test func whatCannotHaveComeIsLeftOut() async throws {
        let rows = """
            zone,from,to,g_per_kwh,kind
            GB,2026-03-14T13:00Z,2026-03-14T14:00Z,100,actual
            GB,2026-03-14T13:41Z,2026-03-14T15:00Z,110,actual
            GB,2026-03-14T14:00Z,2026-03-14T15:00Z,120,estimated
            GB,2026-03-14T14:00Z,2026-03-14T15:00Z,130,
            GB,2026-01-01T00:00Z,2026-02-01T00:00Z,140,actual
            GB,2026-01-01T00:00Z,2026-02-01T00:01Z,150,
            GB,2026-01-01T00:00Z,2027-01-01T00:00Z,160,yearly
            GB,2026-04-01T00:00Z,2026-06-01T00:00Z,170,forecast
            """
        let server = try RecordedProvider([.init(path: "/", body: rows)])
        let terms = FeedTerms(licence: "own", source: "own", mayBeRedistributed: true)
        let basis = try #require(Intensity.Basis("direct/average/production"))
        let reading = try await client().ask(OwnSeries(name: "own", address: server.url, basis: basis, terms: terms), latest)
        let kept = reading.figures.map { "\(Int($0.value.gramsPerKilowattHour)) \($0.value.kind.rawValue)" }
        #expect(Set(kept) == ["100 actual", "130 forecast", "140 actual", "160 yearly"])
        #expect(
            reading.findings == [
                "2026-03-14T13:41:00Z: expected a forecast of what is to come, found an actual figure",
                "2026-03-14T14:00:00Z: expected a forecast of what is to come, found an estimated figure",
                "2026-01-01T00:00:00Z: expected a figure of at most 31 days, or a yearly one, found one that ends 2026-02-01T00:01:00Z",
                "2026-04-01T00:00:00Z: expected a figure of at most 31 days, or a yearly one, found one that ends 2026-06-01T00:00:00Z",
            ]
        )
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
