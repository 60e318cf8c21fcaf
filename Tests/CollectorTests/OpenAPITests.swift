import Documents
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import Postgres
import Testing
@testable import Collector

/// The description of the routes and the routes are the same thing said twice.
@Suite struct OpenAPITests {
    private static func site() -> Site {
        var log = Logger(label: "test")
        log.logLevel = .critical
        // Nothing is asked of it.
        let pool = PostgresPool(
            connectionString: "postgresql://nobody@127.0.0.1:1/none",
            maximumConnections: 1,
            waitLimit: .seconds(1),
            applicationName: "test",
            logger: log
        )
        return Site(pool: pool, metrics: CollectorMetrics(), now: { Farm.start }, baseURL: "https://wattle.example.org")
    }

    private static func document() throws -> OpenAPIDocument { try OpenAPIDocument(baseURL: "https://wattle.example.org") }

    @Test func everyRouteIsDescribedAndEveryDescriptionIsOfARoute() async throws {
        let site = Self.site()
        let routes = try CollectorServices.router(site).routes.map { "\($0.method.rawValue) \($0.path)" }
        let described = try Self.document().operations.flatMap { path, methods in methods.keys.map { "\($0) \(path)" } }
        #expect(Set(routes).subtracting(described).sorted() == [], "routes that openapi.yaml does not describe")
        #expect(Set(described).subtracting(routes).sorted() == [], "descriptions of no route")
        #expect(routes.count == Set(routes).count)
        await site.pool.shutDown()
    }

    @Test func everyTypeOfProblemIsInTheList() throws {
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Sources/Collector")
        var said: Set<String> = []
        let calls = try Regex(#"(?:(?:badRequest|unprocessable|forbidden)\(|type:)\s*"([a-z][a-z-]+)",\s*"?[a-zA-Z]"#)
        for case let file as String in FileManager.default.enumerator(atPath: source.path) ?? .init() where file.hasSuffix(".swift") {
            let text = try String(contentsOf: source.appendingPathComponent(file), encoding: .utf8)
            for match in text.matches(of: calls) { said.insert("urn:wattle:problem:" + (match.output[1].substring ?? "")) }
        }
        let schemas = try Self.document().json.object?["components"]?.object?["schemas"]?.object
        let listed = schemas?["Problem"]?.object?["properties"]?.object?["type"]?.object?["enum"]?.array?.compactMap(\.string)
        #expect(said.count > 20)
        #expect(said.subtracting(listed ?? []).sorted() == [], "types that openapi.yaml does not list")
        #expect(Set(listed ?? []).subtracting(said).sorted() == [], "types that nothing answers")
    }

    @Test func everyOperationHasItsNameItsAnswersAndSomethingToSay() throws {
        let paths = try #require(try Self.document().json.object?["paths"]?.object)
        var names: Set<String> = []
        for (path, item) in paths {
            for (method, operation) in item.object ?? [:] where method != "parameters" {
                let fields = try #require(operation.object)
                let name = try #require(fields["operationId"]?.string, "\(method) \(path)")
                #expect(names.insert(name).inserted, "\(name) is there twice")
                #expect(fields["summary"]?.string?.isEmpty == false, "\(name)")
                #expect(fields["security"] != nil, "\(name) says not who may")
                let answers = fields["responses"]?.object ?? [:]
                #expect(answers.keys.contains { $0.hasPrefix("2") || $0.hasPrefix("3") }, "\(name)")
                // What needs a token says what comes without one.
                if let needed = fields["security"]?.array, !needed.isEmpty { #expect(answers["401"] != nil, "\(name)") }
            }
        }
    }

    @Test func itSaysWhereItIs() throws {
        let document = try Self.document().json.object
        #expect(document?["openapi"] == .string("3.1.0"))
        #expect(document?["servers"] == .array([.object(["url": .string("https://wattle.example.org")])]))
    }

    @Test func aParameterThatIsMisspeltOrThereTwiceIsRefused() throws {
        let known = try #require(try Self.document().operations["/v1/jobs"]?["GET"]).queryParameters
        try KnownParameters.check(["service", "from"], known: known)
        let misspelt = #expect(throws: Problem.self) { try KnownParameters.check(["repo"], known: known) }
        #expect(misspelt?.type == "unknown-parameter")
        #expect(misspelt?.detail.contains("repository") == true)
        let twice = #expect(throws: Problem.self) { try KnownParameters.check(["service", "service"], known: known) }
        #expect(twice?.type == "bad-parameter")
    }

    @Test func aPathThatIsThereForOtherMethodsNamesThem() async throws {
        let site = Self.site()
        let gate = MethodNotAllowed(try CollectorServices.router(site).routes)
        #expect(gate.methods(at: "/v1/jobs") == ["GET", "HEAD"])
        #expect(gate.methods(at: "/v1/spans") == ["POST"])
        #expect(gate.methods(at: "/v1/spans/x") == ["DELETE"])
        #expect(gate.methods(at: "/") == ["GET", "HEAD"])
        #expect(gate.methods(at: "/v1/nothing") == [])
        #expect(gate.methods(at: "/v1/jobs/x/y") == [])
        await site.pool.shutDown()
    }
}
