/// Of which architecture a processor is, by the name that the kernel or an inventory shows for it.
public struct CPUModelFamilies: Sendable {
    private let models: [[Substring]: String]
    private let longest: Int

    /// - Parameter rows: the columns of `cpu_model_families.csv`.
    public init(_ rows: FactorRows) throws(FactorRows.Fault) {
        var models: [[Substring]: String] = [:]
        for row in try rows.needing(["model", "architecture"]) {
            let words = Self.words(try row.required("model"))
            models[words] = try row.required("architecture")
        }
        self.models = models
        longest = models.keys.map(\.count).max() ?? 0
    }

    /// The architecture of the longest model name that stands in the description as whole words; nil where none does.
    ///
    /// `E5-2650` is not found in `E5-2650 v4`, which is another processor: a revision that follows a name belongs to it.
    public func architecture(of description: String) -> String? {
        let words = Self.words(description)
        for count in stride(from: min(longest, words.count), through: 1, by: -1) {
            for start in 0...(words.count - count) {
                let end = start + count
                if end < words.count, Self.isRevision(words[end]) { continue }
                if let architecture = models[Array(words[start..<end])] { return Self.plain(architecture) }
            }
        }
        return nil
    }

    /// Lower case, without trademarks, `CPU`, `@ 2.20GHz` and what a family is called by: `Xeon` stands in some names and not in others.
    private static func words(_ text: String) -> [Substring] {
        let plain = text.lowercased().replacing("(r)", with: " ").replacing("(tm)", with: " ").replacing(",", with: " ")
        let beforeClock = plain.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)[0]
        return beforeClock.split(separator: " ").filter { !["cpu", "processor", "intel", "amd", "xeon", "core"].contains($0) }
    }

    private static func isRevision(_ word: Substring) -> Bool {
        word.count == 2 && word.first == "v" && word.last?.isNumber == true
    }

    /// The tables of servers do not tell server and client parts of an architecture apart.
    private static func plain(_ architecture: String) -> String {
        String(architecture.split(separator: "(", maxSplits: 1)[0].trimmingSuffix(while: { $0 == " " }))
    }
}

extension Substring {
    fileprivate func trimmingSuffix(while holds: (Character) -> Bool) -> Substring {
        var rest = self
        while let last = rest.last, holds(last) { rest.removeLast() }
        return rest
    }
}
