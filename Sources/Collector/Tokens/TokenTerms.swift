import Documents
public import Energy
public import Store

/// What a token or a source is made for, read from an operator's words. Pure.
public enum TokenTerms {
    /// What was expected and what was found.
    public struct Fault: Error, Equatable, CustomStringConvertible {
        public let description: String
    }

    /// `ci`, or `read:ocaml/*` with the repositories that it sees.
    public static func scope(_ text: String) throws(Fault) -> (scope: TokenGrant.Scope, repositories: [String]?) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let known = TokenGrant.Scope.allCases.map(\.rawValue).joined(separator: ", ")
        guard let scope = TokenGrant.Scope(rawValue: parts[0]) else {
            throw Fault(description: "scope: expected one of \(known) or read:OWNER/*, found \(text)")
        }
        guard parts.count == 2 else { return (scope, nil) }
        guard scope == .read else { throw Fault(description: "scope: expected repositories after read: only, found \(text)") }
        let patterns = parts[1].split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        for pattern in patterns where !pattern.contains("/") || pattern.hasPrefix("/") || pattern.hasSuffix("/") || pattern.utf8.contains(0)
        {
            throw Fault(description: "scope: expected read:OWNER/* or read:FORGE/OWNER/NAME, found \(text)")
        }
        return (scope, patterns)
    }

    /// Patterns of repositories with their forge: `ocaml/*` is `github.com/ocaml/*` and the same at each other forge.
    ///
    /// A leading `*` would do, were it not that groups may lie within groups: `*/ocaml/*` is `gitlab.com/someone/ocaml/secret` too.
    public static func repositories(_ patterns: [String], forges: [String]) -> [String] {
        var seen: Set<String> = []
        return patterns.flatMap { pattern in
            let first = pattern.split(separator: "/", omittingEmptySubsequences: false).first ?? ""
            return first.contains(".") || first.contains("*") || first.contains(":") ? [pattern] : forges.map { "\($0)/\(pattern)" }
        }.filter { seen.insert($0).inserted }
    }

    /// The forges that sources speak of, GitHub first.
    public static func forges(_ sources: [SourceRow]) -> [String] {
        var seen: Set<String> = []
        return
            (["github.com"]
            + sources.filter { $0.revokedAt == nil }.flatMap { $0.claims.instances ?? [] }.map { instance in
                for scheme in ["https://", "http://"] where instance.hasPrefix(scheme) { return String(instance.dropFirst(scheme.count)) }
                return instance
            }.filter { !$0.contains("*") && $0.contains(".") }).filter { seen.insert($0).inserted }
    }

    /// `90d`, `12h`, `2026-12-31` or an RFC 3339 instant, after now.
    public static func expiry(_ text: String, now: Timestamp) throws(Fault) -> Timestamp {
        let expected = "expires: expected 90d, 12h, a day such as 2026-12-31 or an RFC 3339 time, later than now, found \(text)"
        if let length = length(text) { return now + length }
        guard let time = RFC3339.parse(text) ?? RFC3339.parse(text + "T00:00:00Z"), time > now else { throw Fault(description: expected) }
        return time
    }

    /// `7d`, `36h`, `30m`, `0d`; nil for anything else.
    public static func length(_ text: String) -> Microseconds? {
        guard let unit = text.last, let number = Int64(text.dropLast()), (0...100_000).contains(number) else { return nil }
        switch unit {
        case "m": return .seconds(number * 60)
        case "h": return .seconds(number * 3_600)
        case "d": return .seconds(number * 86_400)
        case "w": return .seconds(number * 604_800)
        default: return nil
        }
    }
}
