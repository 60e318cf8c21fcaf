import HTTPClient
import Testing

@Suite(.enabled(if: Certificates.isPossible, "openssl is needed to make certificates")) struct TrustTests {
    private let certificates: Certificates

    init() throws { certificates = try Certificates() }

    private func failure(_ connection: HTTPClient.Connection, _ port: Int) async -> HTTPError? {
        await #expect(throws: HTTPError.self) {
            try await HTTPClient(connection: connection).send(HTTPRequest(url: "https://127.0.0.1:\(port)/", timeout: .seconds(10)))
        }
    }

    private func body(_ connection: HTTPClient.Connection, _ port: Int) async throws -> String {
        let response = try await HTTPClient(connection: connection).send(HTTPRequest(url: "https://127.0.0.1:\(port)/"))
        #expect(response.status == 200)
        return String(decoding: response.body, as: UTF8.self)
    }

    @Test func `a server of an unknown authority is refused, and the error names the way out`() async throws {
        let server = try Peer(["tls", certificates.certificate("server"), certificates.key("server")])
        let unknown = await failure(.init(proxy: ""), server.port)
        #expect(unknown?.kind == .tls)
        #expect(unknown?.message.contains("ca_file") == true, "\(unknown?.message ?? "")")
        let other = await failure(.init(caFile: certificates.strangeAuthority, proxy: ""), server.port)
        #expect(other?.kind == .tls)
        #expect(other?.message.contains(certificates.strangeAuthority) == true, "\(other?.message ?? "")")
    }

    @Test func `a server of the given authority is trusted`() async throws {
        let server = try Peer(["tls", certificates.certificate("server"), certificates.key("server")])
        #expect(try await body(.init(caFile: certificates.authority, proxy: ""), server.port) == "client without a certificate")
    }

    @Test func `a trusted certificate for another name is refused`() async throws {
        let server = try Peer(["tls", certificates.certificate("elsewhere"), certificates.key("elsewhere")])
        let error = await failure(.init(caFile: certificates.authority, proxy: ""), server.port)
        #expect(error?.kind == .tls)
        #expect(error?.message.contains("another name") == true, "\(error?.message ?? "")")
    }

    @Test(arguments: ["nothing-there.pem", "server.key"])
    func `a file that holds no authority is named`(file: String) async throws {
        let server = try Peer(["tls", certificates.certificate("server"), certificates.key("server")])
        let error = await failure(.init(caFile: "\(certificates.directory)/\(file)", proxy: ""), server.port)
        #expect(error?.kind == .tls)
        #expect(error?.message.contains("\(file) to hold certificates in PEM; check ca_file") == true, "\(error?.message ?? "")")
    }

    @Test func `a server that asks for a client's certificate gets it`() async throws {
        let server = try Peer(["tls", certificates.certificate("server"), certificates.key("server"), certificates.authority])
        let worker = HTTPClient.Connection(
            caFile: certificates.authority,
            certificateFile: certificates.certificate("worker"),
            keyFile: certificates.key("worker"),
            proxy: ""
        )
        #expect(try await body(worker, server.port) == "client worker")
    }

    @Test func `without the right client certificate such a server is not reached, and the error says why`() async throws {
        let server = try Peer(["tls", certificates.certificate("server"), certificates.key("server"), certificates.authority])
        let none = await failure(.init(caFile: certificates.authority, proxy: ""), server.port)
        #expect(none?.kind == .tls, "\(none?.message ?? "")")
        #expect(none?.message.contains("client_certificate") == true, "\(none?.message ?? "")")
        let stranger = HTTPClient.Connection(
            caFile: certificates.authority,
            certificateFile: certificates.certificate("stranger"),
            keyFile: certificates.key("stranger"),
            proxy: ""
        )
        let refused = await failure(stranger, server.port)
        #expect(refused?.kind == .tls, "\(refused?.message ?? "")")
        #expect(refused?.message.contains(certificates.certificate("stranger")) == true, "\(refused?.message ?? "")")
    }

    @Test(arguments: ["stranger.key", "locked.key", "nothing-there.key"])
    func `a key that is another's, locked or missing is said, and nobody is asked for a passphrase`(key: String) async throws {
        let server = try Peer(["tls", certificates.certificate("server"), certificates.key("server"), certificates.authority])
        let connection = HTTPClient.Connection(
            caFile: certificates.authority,
            certificateFile: certificates.certificate("worker"),
            keyFile: "\(certificates.directory)/\(key)",
            proxy: ""
        )
        let began = ContinuousClock.now
        let error = await failure(connection, server.port)
        #expect(error?.kind == .tls)
        #expect(error?.message.contains("client_key (\(certificates.directory)/\(key))") == true, "\(error?.message ?? "")")
        #expect(ContinuousClock.now - began < .seconds(5))
    }
}
