import Glibc

/// Where metrics are served: `127.0.0.1:9480`, `[::1]:9480`, `localhost:9480`, or a port alone, which is the loopback's.
struct MetricsAddress: Hashable, Sendable, CustomStringConvertible {
    struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        let description: String
    }

    /// In digits.
    let host: String
    let port: UInt16
    let isIPv6: Bool

    /// Other machines can ask too: only where somebody wrote such an address.
    var isLoopback: Bool { isIPv6 ? host == "::1" : host.hasPrefix("127.") }

    /// - Throws: `Fault` for what is no address in digits with a port. Names are not looked up.
    init(parsing text: String) throws(Fault) {
        let colon = text.lastIndex(of: ":")
        var host = colon.map { String(text[..<$0]) } ?? ""
        let digits = colon.map { text[text.index(after: $0)...] } ?? text[...]
        if host.isEmpty || host == "localhost" { host = "127.0.0.1" }
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if isBracketed { host = String(host.dropFirst().dropLast()) }
        var bytes = in6_addr()
        let isAddress = inet_pton(isBracketed ? AF_INET6 : AF_INET, host, &bytes) == 1
        guard isAddress, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
            throw Fault(description: "expected an address such as 127.0.0.1:9480 or [::1]:9480, found '\(text)'")
        }
        self.host = host
        self.port = port
        isIPv6 = isBracketed
    }

    var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Calls the closure with the address as the socket functions want it.
    func withSocketAddress<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            _ = inet_pton(AF_INET6, host, &address.sin6_addr)
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in6>.size)) }
            }
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        _ = inet_pton(AF_INET, host, &address.sin_addr)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }
}
