/// `Link: <https://...>; rel="next", ...` (RFC 8288).
enum LinkHeader {
    /// The target of the relation `next`.
    static func next(in header: String?) -> String? {
        // A comma may stand in a target, but not "<" or ">".
        for part in (header ?? "").split(separator: "<").map({ $0.split(separator: ">", maxSplits: 1) }) where part.count == 2 {
            let relations = part[1].split { $0 == ";" || $0 == "," }.map { $0.filter { !$0.isWhitespace && $0 != "\"" } }
            if relations.contains("rel=next") { return String(part[0]) }
        }
        return nil
    }
}
