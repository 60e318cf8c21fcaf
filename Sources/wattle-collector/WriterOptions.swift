import ArgumentParser
import Collector
import Documents
import Store

/// What a writer may claim, for a ci token or a source.
struct WriterOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A CI that it may speak of, such as https://gitlab.example.org; again for more.", valueName: "url"))
    var instance: [String] = []

    @Option(
        help: ArgumentHelp("A repository that it may speak of: github.com/ocaml/dune or github.com/ocaml/*.", valueName: "forge/owner/name")
    )
    var repository: [String] = []

    @Option(help: ArgumentHelp("A host that its jobs may run on; * stands for any run of characters.", valueName: "host"))
    var allowHost: [String] = []

    @Option(help: ArgumentHelp("A pool whose hosts its jobs may run on.", valueName: "pool"))
    var allowPool: [String] = []

    @Option(help: ArgumentHelp("The most visible that its jobs become (default: public).", valueName: "private|public"))
    var visibility: String?

    @Option(help: ArgumentHelp("Requests a second (default: 1000, and twice as many at once).", valueName: "n"))
    var rate: Double?

    mutating func validate() throws {
        if let visibility, Claims.Visibility(rawValue: visibility) == nil {
            throw ValidationError("--visibility: expected private or public, found \(visibility)")
        }
        if let rate, !(rate > 0 && rate <= 100_000) { throw ValidationError("--rate: expected above 0 to 100000 a second, found \(rate)") }
        for text in instance + repository + allowHost + allowPool where text.isEmpty || text.utf8.contains(0) || text.utf8.count > 500 {
            throw ValidationError("expected patterns of 1 to 500 bytes, found \"\(text.prefix(60))\"")
        }
        for name in repository where !name.contains("/") {
            throw ValidationError("--repository: expected FORGE/OWNER/NAME such as github.com/ocaml/*, found \(name)")
        }
    }

    var isGiven: Bool {
        !(instance.isEmpty && repository.isEmpty && allowHost.isEmpty && allowPool.isEmpty) || visibility != nil || rate != nil
    }

    /// What was given, over what was there.
    ///
    /// - Parameter forges: where a repository without its forge may be at home.
    func claims(over old: Claims = Claims(), forges: [String]) -> Claims {
        var claims = old
        if !instance.isEmpty { claims.instances = instance }
        if !repository.isEmpty { claims.repositories = TokenTerms.repositories(repository, forges: forges) }
        if !allowHost.isEmpty { claims.hosts = allowHost }
        if !allowPool.isEmpty { claims.pools = allowPool }
        if let visibility = visibility.flatMap(Claims.Visibility.init(rawValue:)) { claims.visibility = visibility }
        if let rate { claims.requestsPerSecond = rate }
        return claims
    }
}

extension Claims {
    /// For people: `repositories github.com/ocaml/*; hosts bremusa`.
    var described: String {
        var parts: [String] = []
        for (name, list) in [("instances", instances), ("repositories", repositories), ("hosts", hosts), ("pools", pools)] {
            if let list { parts.append("\(name) \(list.joined(separator: ","))") }
        }
        if visibility == .private { parts.append("private") }
        if let requestsPerSecond { parts.append("\(requestsPerSecond)/s") }
        return parts.isEmpty ? "anything" : parts.joined(separator: "; ")
    }
}
