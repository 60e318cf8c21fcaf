/// What differs between two manifests' figures.
///
/// Name, description and tags do not count, and of `execution` only status and error do. Keys may come in any order. `*` on either side
/// stands for anything.
public enum ManifestDiff {
    public struct Difference: Hashable, Sendable {
        /// `tree.children.child.outputs[0].energy`.
        public let path: String
        /// Nil where the first manifest has nothing there.
        public let source: ModelValue?
        public let target: ModelValue?
        /// Of two numbers, the difference by the larger; nil for the rest.
        public let relative: Double?
    }

    private static let ignored: Set<String> = ["name", "description", "tags"]

    /// - Parameter tolerance: relative: numbers are the same that differ by no more than this part of the larger one.
    public static func differences(_ source: ModelValue, _ target: ModelValue, tolerance: Double = 0) -> [Difference] {
        var found: [Difference] = []
        compare(pruned(source), pruned(target), "", tolerance, &found)
        return found
    }

    private static func pruned(_ document: ModelValue) -> ModelValue {
        guard var map = document.map else { return document }
        for key in ignored { map[key] = nil }
        if let execution = map["execution"]?.map {
            var kept = ModelMap()
            for key in ["status", "error"] { kept[key] = execution[key] }
            map["execution"] = .map(kept)
        }
        return .map(map)
    }

    /// `2026-09-01T09:00:00.000Z` is `2026-09-01T09:00:00Z`.
    private static func sameInstant(_ a: ModelValue?, _ b: ModelValue?, _ path: String) -> Bool {
        guard path.hasSuffix(".timestamp"), let a = a.flatMap(ObservationTime.read), let b = b.flatMap(ObservationTime.read) else {
            return false
        }
        return a.instant == b.instant
    }

    private static func compare(_ a: ModelValue?, _ b: ModelValue?, _ path: String, _ tolerance: Double, _ found: inout [Difference]) {
        if a == .text("*") || b == .text("*") { return }
        switch (a, b) {
        case (.map(let a)?, .map(let b)?):
            for key in a.keys + b.keys.filter({ !a.contains($0) }) {
                compare(a[key], b[key], path.isEmpty ? key : "\(path).\(key)", tolerance, &found)
            }
        case (.list(let a)?, .list(let b)?):
            for index in 0..<max(a.count, b.count) {
                compare(index < a.count ? a[index] : nil, index < b.count ? b[index] : nil, "\(path)[\(index)]", tolerance, &found)
            }
        default:
            if a == b || sameInstant(a, b, path) { return }
            var relative: Double?
            if let a = a?.number, let b = b?.number {
                let part = abs(a - b) / max(abs(a), abs(b))
                if part <= tolerance { return }
                relative = part
            }
            found.append(Difference(path: path, source: a, target: b, relative: relative))
        }
    }
}
