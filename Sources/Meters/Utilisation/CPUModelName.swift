/// The form of a processor's name in which the machine's and the table's are compared; `config/factors/README.md` has the rule.
enum CPUModelName {
    static func normalised(_ name: String) -> String {
        var text = name.lowercased()
        for mark in ["(r)", "(tm)"] { text = text.split(separator: mark, omittingEmptySubsequences: false).joined() }
        var words = text.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)

        // "@ 2.20ghz" or "@2.20ghz".
        if let at = words.firstIndex(where: { $0.hasPrefix("@") }) {
            let end = words[at] == "@" && at + 1 < words.count && words[at + 1].hasSuffix("ghz") ? at + 1 : at
            words.removeSubrange(at...end)
        }
        words.removeAll { $0 == "cpu" || $0 == "processor" || isCoreCount($0) }
        if words.count >= 2, words[1] == "gen", isOrdinal(words[0]) { words.removeFirst(2) }
        if let end = words.firstIndex(where: { $0 == "with" || $0 == "w/" }), end > 0 { words.removeSubrange(end...) }
        if words.count > 2, words[words.count - 2] == "rev", words[words.count - 1].allSatisfy({ $0.isNumber || $0 == "." }) {
            words.removeLast(2)
        }
        return words.joined(separator: " ")
    }

    private static func isCoreCount(_ word: String) -> Bool {
        let parts = word.split(separator: "-", omittingEmptySubsequences: false)
        return parts.count == 2 && !parts[0].isEmpty && parts[0].allSatisfy(\.isNumber) && (parts[1] == "core" || parts[1] == "cores")
    }

    private static func isOrdinal(_ word: String) -> Bool {
        word.count > 2 && ["st", "nd", "rd", "th"].contains(word.suffix(2)) && word.dropLast(2).allSatisfy(\.isNumber)
    }
}
