import Foundation
import HTTPClient
import Testing

struct ProxyTests {
    /// A proxy that notes what it is asked.
    private final class LoggingProxy {
        let peer: Peer
        let log = FileManager.default.temporaryDirectory.path + "/wattle-proxy-\(UInt64.random(in: 0 ... .max))"

        init(credentials: String? = nil) throws {
            try Data().write(to: URL(filePath: log))
            peer = try Peer(["proxy", log] + (credentials.map { [$0] } ?? []))
        }

        deinit {
            do { try FileManager.default.removeItem(atPath: log) } catch { print("left behind: \(log): \(error)") }
        }

        func requests() throws -> [String] {
            String(decoding: try Data(contentsOf: URL(filePath: log)), as: UTF8.self).split(separator: "\n").map(String.init)
        }
    }

    private func body(_ client: HTTPClient, _ url: String) async throws -> String {
        let response = try await client.send(HTTPRequest(url: url, timeout: .seconds(10)))
        #expect(response.status == 200)
        return String(decoding: response.body, as: UTF8.self)
    }

    @Test func `a plain request goes through the proxy by its whole URL`() async throws {
        let (origin, proxy) = (try Peer(["plain"]), try LoggingProxy())
        let client = HTTPClient(connection: .init(proxy: "http://127.0.0.1:\(proxy.peer.port)"))
        let seen = try await body(client, "http://127.0.0.1:\(origin.port)/v1")
        #expect(seen.contains("Via: 1.1 peer"))
        #expect(try proxy.requests() == ["GET http://127.0.0.1:\(origin.port)/v1 HTTP/1.1"])
    }

    @Test(.enabled(if: Certificates.isPossible, "openssl is needed to make certificates"))
    func `an encrypted request goes through a tunnel, and the proxy sees no more than where to`() async throws {
        let certificates = try Certificates()
        let origin = try Peer(["tls", certificates.certificate("server"), certificates.key("server")])
        let proxy = try LoggingProxy()
        let client = HTTPClient(connection: .init(caFile: certificates.authority, proxy: "127.0.0.1:\(proxy.peer.port)"))
        #expect(try await body(client, "https://127.0.0.1:\(origin.port)/secret") == "client without a certificate")
        #expect(try proxy.requests() == ["CONNECT 127.0.0.1:\(origin.port) HTTP/1.1"])
    }

    @Test func `a proxy that wants a name and a password gets them, and no error repeats them`() async throws {
        let (origin, proxy) = (try Peer(["plain"]), try LoggingProxy(credentials: "agent:pass"))
        let known = HTTPClient(connection: .init(proxy: "http://agent:pass@127.0.0.1:\(proxy.peer.port)"))
        #expect(try await body(known, "http://127.0.0.1:\(origin.port)/").contains("Via"))
        let unknown = HTTPClient(connection: .init(proxy: "http://agent:wrong@127.0.0.1:\(proxy.peer.port)"))
        #expect(try await unknown.send(HTTPRequest(url: "http://127.0.0.1:\(origin.port)/")).status == 407)
        let error = await #expect(throws: HTTPError.self) {
            try await unknown.send(HTTPRequest(url: "https://127.0.0.1:\(origin.port)/"))
        }
        #expect(error?.message.contains("407") == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("check proxy") == true, "\(error?.message ?? "")")
        #expect(error?.description.contains("wrong") == false)
    }

    @Test func `a proxy that is away is an error, not a reason to go around it`() async throws {
        let origin = try Peer(["plain"])
        let client = HTTPClient(connection: .init(proxy: "http://127.0.0.1:1"))
        let away = await #expect(throws: HTTPError.self) { try await client.send(HTTPRequest(url: "http://127.0.0.1:\(origin.port)/")) }
        #expect(away?.kind == .connect)
        let nameless = HTTPClient(connection: .init(proxy: "http://proxy.invalid:8080"))
        let unknown = await #expect(throws: HTTPError.self) { try await nameless.send(HTTPRequest(url: "http://127.0.0.1:1/")) }
        #expect(unknown?.kind == .resolve)
        #expect(unknown?.message.contains("the proxy's name") == true, "\(unknown?.message ?? "")")
    }

    // The environment belongs to the whole process: these change that of a process of their own.

    @Test func `without a setting the environment's proxy is used, and its exceptions hold`() async throws {
        let (origin, proxy) = (try Peer(["plain"]), try LoggingProxy())
        let (url, proxyURL) = ("http://127.0.0.1:\(origin.port)/", "http://127.0.0.1:\(proxy.peer.port)")
        await #expect(processExitsWith: .success) { [url = url as String, proxyURL = proxyURL as String] in
            setenv("http_proxy", proxyURL, 1)
            let through = try await HTTPClient().send(HTTPRequest(url: url))
            #expect(String(decoding: through.body, as: UTF8.self).contains("Via"))
            setenv("no_proxy", "127.0.0.1", 1)
            let direct = try await HTTPClient().send(HTTPRequest(url: url))
            #expect(!String(decoding: direct.body, as: UTF8.self).contains("Via"))
        }
        #expect(try proxy.requests().count == 1)
    }

    @Test func `a setting wins over the environment, also that there is no proxy`() async throws {
        let (origin, proxy) = (try Peer(["plain"]), try LoggingProxy())
        let (url, proxyURL) = ("http://127.0.0.1:\(origin.port)/", "http://127.0.0.1:\(proxy.peer.port)")
        await #expect(processExitsWith: .success) { [url = url as String, proxyURL = proxyURL as String] in
            setenv("http_proxy", "http://127.0.0.1:1", 1)
            setenv("no_proxy", "*", 1)
            let through = try await HTTPClient(connection: .init(proxy: proxyURL)).send(HTTPRequest(url: url))
            #expect(String(decoding: through.body, as: UTF8.self).contains("Via"))
            unsetenv("no_proxy")
            #expect(try await HTTPClient(connection: .init(proxy: "")).send(HTTPRequest(url: url)).status == 200)
        }
        #expect(try proxy.requests().count == 1)
    }

    @Test func `a client that sends nothing loads no libcurl`() async throws {
        let origin = try Peer(["plain"])
        let url = "http://127.0.0.1:\(origin.port)/"
        await #expect(processExitsWith: .success) { [url = url as String] in
            func maps() throws -> String {
                String(decoding: try FileHandle(forReadingFrom: URL(filePath: "/proc/self/maps")).readToEnd() ?? Data(), as: UTF8.self)
            }
            let client = HTTPClient(connection: .init(caFile: "/etc/hostname", proxy: ""))
            #expect(try !maps().contains("libcurl"))
            _ = try await client.send(HTTPRequest(url: url))
            #expect(try maps().contains("libcurl"))
        }
    }
}
