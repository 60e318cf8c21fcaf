/// The known names that a name nobody has may have meant.
enum NearestNames {
    /// The best of `known`, best first; only such as are like it at all.
    ///
    /// Names of machines share beginnings (`linux-x86-3` and `linux-x86-30`) and differ by domain, case, separators and counters; so a
    /// shared prefix counts beside the edit distance, and both are taken over the bare name as well.
    static func of(_ name: String, among known: [String], limit: Int = 3) -> [String] {
        let wanted = Self.plain(name)
        guard !wanted.isEmpty else { return [] }
        return known.compactMap { candidate -> (name: String, score: Double)? in
            let found = Self.plain(candidate)
            let score = max(Self.likeness(wanted, found), Self.likeness(Self.label(wanted), Self.label(found)))
            return score >= 0.5 ? (candidate, score) : nil
        }
        .sorted { ($1.score, $0.name) < ($0.score, $1.name) }
        .prefix(limit).map(\.name)
    }

    /// 0...1: 1 for the same, near 0 for nothing in common.
    static func likeness(_ a: [UInt8], _ b: [UInt8]) -> Double {
        guard !a.isEmpty, !b.isEmpty else { return 0 }
        if a == b { return 1 }
        let longest = max(a.count, b.count)
        // One that holds the other whole: `builder-bremusa-2` and `bremusa`.
        let shorter = a.count < b.count ? a : b
        let held = shorter.count >= 4 && Self.contains(a.count < b.count ? b : a, shorter) ? 0.75 : 0
        // Nothing beyond half of the longer name counts, so the distance need not be found exactly there.
        let distance = Self.distance(a, b)
        let shared = zip(a, b).prefix { $0 == $1 }.count
        let edits = 1 - Double(distance) / Double(longest)
        let prefix = Double(shared) / Double(longest)
        return max(held, min(0.99, edits * 0.75 + prefix * 0.25))
    }

    /// Levenshtein's distance over bytes.
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var corner = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, corner + (x == y ? 0 : 1))
                corner = above
            }
        }
        return row[b.count]
    }

    /// In lower case, with one kind of separator; no longer than a name can sensibly be.
    private static func plain(_ name: String) -> [UInt8] {
        name.lowercased().utf8.prefix(128).map { [UInt8(ascii: "_"), UInt8(ascii: " ")].contains($0) ? UInt8(ascii: "-") : $0 }
    }

    private static func label(_ name: [UInt8]) -> [UInt8] { Array(name.prefix { $0 != UInt8(ascii: ".") }) }

    private static func contains(_ long: [UInt8], _ short: [UInt8]) -> Bool {
        guard long.count >= short.count else { return false }
        return (0...(long.count - short.count)).contains { long[$0...].starts(with: short) }
    }
}
