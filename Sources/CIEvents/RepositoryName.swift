/// A repository's name as all sources share it: `github.com/ocaml/dune`, without scheme, user, port 443, `.git` or a slash at the end.
public enum RepositoryName {
    /// - Parameters:
    ///   - text: `ocaml/dune`, `https://github.com/ocaml/dune.git`, `git@github.com:ocaml/dune.git`, `github.com/ocaml/dune`.
    ///   - forge: where a name without a host is at home, `https://github.com`; nil where that is not known.
    public static func normalised(_ text: String, forge: String?) -> String {
        var rest = Substring(text)
        var isURL = false
        if let scheme = rest.firstRange(of: "://") {
            rest = rest[scheme.upperBound...]
            isURL = true
        }
        let firstSlash = rest.firstIndex(of: "/") ?? rest.endIndex
        if let at = rest[..<firstSlash].lastIndex(of: "@") {
            rest = rest[rest.index(after: at)...]
            // git@github.com:ocaml/dune
            if !isURL, let colon = rest.firstIndex(of: ":") {
                rest = Substring(rest[..<colon] + "/" + rest[rest.index(after: colon)...])
            }
            isURL = true
        }
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        if rest.hasSuffix(".git") { rest = rest.dropLast(4) }
        var parts = rest.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let startsWithHost = isURL || (parts.count >= 3 && parts[0].contains("."))
        if startsWithHost, let host = parts.first {
            parts[0] = host.lowercased()
            for port in [":443", ":80", ":22"] where parts[0].hasSuffix(port) { parts[0].removeLast(port.count) }
        } else if let forge, !forge.isEmpty {
            return normalised(forge, forge: nil) + "/" + parts.joined(separator: "/")
        }
        return parts.joined(separator: "/")
    }
}
