/// The parts of a URL that say which installation it belongs to.
enum WebAddress {
    /// `https://git.example.org:8443` of `https://git.example.org:8443/g/p`, in lower case and without a user; nil for what is
    /// no web address.
    static func origin(_ url: String) -> String? {
        guard url.utf8.count <= 2_000, let scheme = url.firstRange(of: "://") else { return nil }
        let name = url[..<scheme.lowerBound].lowercased()
        guard ["http", "https"].contains(name) else { return nil }
        let rest = url[scheme.upperBound...]
        var host = rest.prefix { !"/?#".contains($0) }
        if let at = host.lastIndex(of: "@") { host = host[host.index(after: at)...] }
        for port in [":443", ":80"] where host.hasSuffix(port) && (port == ":443") == (name == "https") { host = host.dropLast(port.count) }
        guard !host.isEmpty, host.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F }) else { return nil }
        return "\(name)://\(host.lowercased())"
    }

    /// What comes before a path: `https://example.org/gitlab` of `https://example.org/gitlab/g/p` and `g/p`.
    static func base(_ url: String, before path: String) -> String? {
        guard let origin = origin(url), url.utf8.reversed().starts(with: ("/" + path).utf8.reversed()) else { return nil }
        let front = String(decoding: url.utf8.dropLast(path.utf8.count + 1), as: UTF8.self)
        guard let scheme = front.firstRange(of: "://"), let slash = front[scheme.upperBound...].firstIndex(of: "/") else { return origin }
        return origin + front[slash...]
    }
}
