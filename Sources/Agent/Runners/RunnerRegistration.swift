import FoundationEssentials

/// A CI runner that is registered on this machine: what a CI system calls it, so that its jobs are found on the right host.
public struct RunnerRegistration: Hashable, Sendable, Codable {
    public enum Kind: String, Hashable, Sendable, Codable {
        case github, gitlab, buildkite, gitea
    }

    public var name: String
    /// Where it is registered, without scheme, in lower case: `github.com`; empty where the registration does not tell.
    public var instance: String
    public var kind: Kind
    /// The organisation or repository that it takes jobs of; empty where the registration does not tell.
    public var scope = ""
    /// Jobs that it takes at a time; 0 where the registration does not tell.
    public var concurrent: UInt32 = 0

    /// The host and port of a URL, and its path without slashes at the ends.
    static func place(of url: String) -> (instance: String, path: String) {
        let rest = url.firstRange(of: "://").map { url[$0.upperBound...] } ?? url[...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        // What stands before an @ may be a secret.
        let authority = rest[..<end].split(separator: "@", omittingEmptySubsequences: false).last ?? ""
        let path = rest[end...].prefix { $0 != "?" && $0 != "#" }.split(separator: "/").joined(separator: "/")
        return (authority.lowercased(), path)
    }

    /// A list as `wattle-agent runners` writes it.
    public static func list(decoding bytes: [UInt8]) throws -> [RunnerRegistration] {
        try JSONDecoder().decode([RunnerRegistration].self, from: Data(bytes))
    }

    public static func encoded(_ list: [RunnerRegistration]) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        return Array(try encoder.encode(list)) + [0x0A]
    }
}
