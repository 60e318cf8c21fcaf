public import Energy

/// Which spans of a host run within which: what an inner one is charged is taken from the outer one.
///
/// A span says itself what it runs within; else, since a runner takes one job of a run at a time, a span that lies within another of the
/// same repository, run and runner is a part of it (`wattle run` within a webhook's job). Cgroups tell their nesting themselves.
public enum SpanNesting {
    /// For each span that runs within another, that one; both by `spanID`.
    ///
    /// - Parameter spans: with their edges as they are accounted. All that overlap an hour: an outer one is there whenever an inner one is.
    public static func parents(of spans: [(span: SpanRow, edges: Interval)]) -> [Int64: Int64] {
        let byJob = Dictionary(spans.map { ($0.span.jobID, $0) }) { first, _ in first }
        var parents: [Int64: Int64] = [:]
        for (_, group) in Dictionary(grouping: spans.filter { $0.span.parentJobID == nil && Run($0.span) != nil }, by: { Run($0.span) }) {
            // Outer ones first. One that ends before a later one does holds nothing that the later one does not hold too.
            let outermostFirst = group.sorted { a, b in
                (a.edges.start, b.edges.end, a.span.jobID) < (b.edges.start, a.edges.end, b.span.jobID)
            }
            var around: [(span: SpanRow, edges: Interval)] = []
            for one in outermostFirst {
                while let last = around.last, last.edges.end < one.edges.end { around.removeLast() }
                if let outer = around.last { parents[one.span.spanID] = outer.span.spanID }
                around.append(one)
            }
        }
        for (span, _) in spans {
            guard let said = span.parentJobID, let outer = byJob[said], outer.span.spanID != span.spanID else { continue }
            parents[span.spanID] = outer.span.spanID
        }
        for child in inCircles(parents) { parents[child] = nil }
        return parents
    }

    /// Those that, one by the other, say they run within themselves.
    private static func inCircles(_ parents: [Int64: Int64]) -> Set<Int64> {
        var done: Set<Int64> = []
        var circles: Set<Int64> = []
        for start in parents.keys where !done.contains(start) {
            var path: [Int64] = []
            var places: [Int64: Int] = [:]
            var next: Int64? = start
            while let one = next, !done.contains(one) {
                if let place = places[one] {
                    circles.formUnion(path[place...])
                    break
                }
                places[one] = path.count
                path.append(one)
                next = parents[one]
            }
            done.formUnion(path)
        }
        return circles
    }

    private struct Run: Hashable {
        let repository: String
        let id: String
        let runner: String

        init?(_ span: SpanRow) {
            guard let repository = span.repository, let id = span.runID, let runner = span.runner else { return nil }
            self.repository = repository
            self.id = id
            self.runner = runner
        }
    }
}
