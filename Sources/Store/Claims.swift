public import Documents

/// What a source, a ci token or an OIDC owner may say: where it comes from, whose jobs, on which machines, how visible, how often.
public struct Claims: Sendable, Hashable {
    public enum Visibility: String, Sendable, Comparable {
        case `private`, `public`

        public static func < (a: Visibility, b: Visibility) -> Bool { a == .private && b == .public }
    }

    /// Patterns with `*`; nil allows everything, an empty list nothing.
    public var instances: [String]?
    /// Of normalised names: `github.com/ocaml/*`.
    public var repositories: [String]?
    public var hosts: [String]?
    public var pools: [String]?
    /// The most visible that anything it says becomes.
    public var visibility: Visibility = .public
    /// Requests a second; nil for no limit of its own.
    public var requestsPerSecond: Double?

    public init() {}

    public init(json: JSONValue) {
        func list(_ name: String) -> [String]? { json.object?[name]?.array?.compactMap(\.string) }
        instances = list("instances")
        repositories = list("repositories")
        hosts = list("hosts")
        pools = list("pools")
        visibility = json.object?["visibility"]?.string.flatMap(Visibility.init(rawValue:)) ?? .public
        requestsPerSecond = json.object?["rate_per_s"]?.double
    }

    public var json: JSONValue {
        var fields: [String: JSONValue] = [:]
        for (name, list) in [("instances", instances), ("repositories", repositories), ("hosts", hosts), ("pools", pools)] {
            if let list { fields[name] = .array(list.map { .string($0) }) }
        }
        if visibility == .private { fields["visibility"] = .string("private") }
        if let requestsPerSecond { fields["rate_per_s"] = .number(requestsPerSecond) }
        return .object(fields)
    }

    /// The claim that goes too far: which field, what was allowed, what was found. Nil where all is within.
    public struct Excess: Error, Hashable, CustomStringConvertible {
        public let field: String
        public let found: String
        public let allowed: [String]

        public init(field: String, found: String, allowed: [String]) {
            self.field = field
            self.found = found
            self.allowed = allowed
        }

        public var description: String {
            "field \(field): expected \(allowed.isEmpty ? "nothing" : allowed.joined(separator: " or ")), found \(found)"
        }
    }

    /// Whether nothing is restricted but perhaps the visibility and the rate.
    public var allowsEverything: Bool { instances == nil && repositories == nil && hosts == nil && pools == nil }

    /// Whether what a span says is within; pure.
    ///
    /// - Parameters: what a span says; nil for a field that it leaves out. A list of instances or repositories wants the field to be there.
    ///   A host is allowed by its name; where pools are listed as well, whoever places the span asks for its pool.
    public func excess(instance: String?, repository: String?, hosts names: [String], pool: String?) -> Excess? {
        if let excess = Self.check("instance", instance.map(Self.withoutScheme), instances?.map(Self.withoutScheme))
            ?? Self.check("repository", repository, repositories)
        {
            return excess
        }
        if pools == nil { for name in names { if let excess = Self.check("host", name, hosts) { return excess } } }
        if let pool, let excess = Self.check("pool", pool, pools) { return excess }
        return nil
    }

    /// Whether a span may lie on a host.
    public func allows(host: String, pool: String?) -> Bool {
        if hosts == nil && pools == nil { return true }
        return Self.matches(host, hosts) || (pool.map { Self.matches($0, pools) } ?? false)
    }

    private static func check(_ field: String, _ found: String?, _ allowed: [String]?) -> Excess? {
        guard let allowed else { return nil }
        if let found, !found.isEmpty, matches(found, allowed) { return nil }
        return Excess(field: field, found: found ?? "nothing", allowed: allowed)
    }

    private static func matches(_ text: String, _ patterns: [String]?) -> Bool {
        patterns?.contains { Pattern($0).matches(text) } ?? false
    }

    /// `github.com` and `https://github.com` are one instance.
    static func withoutScheme(_ text: String) -> String {
        for scheme in ["https://", "http://"] where text.lowercased().hasPrefix(scheme) { return String(text.dropFirst(scheme.count)) }
        return text
    }
}
