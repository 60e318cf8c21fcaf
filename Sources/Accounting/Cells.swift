import Energy

/// A component's unclamped figures: what each span had in each piece, in order of spans, then of time.
struct Cells {
    struct One {
        /// Index into the timeline's spans.
        var span: Int
        var piece: Int
        /// Rows of the timeline.
        var from: Int
        var to: Int
        var figure: SpanFigure
    }

    private(set) var all: [One] = []

    init(_ sums: ComponentSums, _ timeline: Timeline) {
        all.reserveCapacity(timeline.spans.count)
        let pieceRows = timeline.pieceRows
        for index in timeline.spans.indices {
            let span = timeline.spans[index]
            var piece = 0
            if pieceRows.count > 2 {
                var high = pieceRows.count - 1
                while high - piece > 1 {
                    let middle = (piece + high) / 2
                    if pieceRows[middle] <= span.startRow { piece = middle } else { high = middle }
                }
            }
            var from = span.startRow
            while from < span.endRow, piece + 1 < pieceRows.count {
                let to = min(span.endRow, pieceRows[piece + 1])
                all.append(One(span: index, piece: piece, from: from, to: to, figure: sums.figure(of: index, from: from, to: to, timeline)))
                from = to
                piece += 1
            }
        }
    }
}

/// Makes what may be negative in a piece at least 0, without changing what an account has in the whole window unless that is negative too.
struct Clamping {
    /// What was added to accounts, µJ: over the window, and in each piece.
    private(set) var deficit = 0.0
    private(set) var pieceDeficits: [Double]

    init(pieces: Int) { pieceDeficits = Array(repeating: 0, count: pieces) }

    /// One account's parts, in order of pieces, from a piece on.
    mutating func clamp(_ parts: inout ArraySlice<Double>, fromPiece first: Int) {
        guard parts.contains(where: { $0 < 0 }) else { return }
        let sum = parts.reduce(0, +)
        let positive = parts.reduce(0) { $0 + max(0, $1) }
        deficit += max(0, -sum)
        // A piece gives back what another lacked.
        let scale = sum > 0 && positive > 0 ? sum / positive : 0
        for (offset, i) in parts.indices.enumerated() {
            let new = max(0, parts[i]) * scale
            pieceDeficits[first + offset] += new - parts[i]
            parts[i] = new
        }
    }

    /// Dynamic energy while nothing ran is the idle account's own: it lacks what that is below 0.
    mutating func takeIdle(_ parts: [Double]) {
        deficit += max(0, -parts.reduce(0, +))
        for (i, part) in parts.enumerated() { pieceDeficits[i] += max(0, -part) }
    }

    var isNoticeable: Bool { deficit >= 0.5 || pieceDeficits.contains { $0 >= 0.5 } }
}
