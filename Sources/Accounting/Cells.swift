import Energy

/// A span's part of a piece of the window: what a slice is made for.
struct Cell {
    /// Index into the timeline's spans.
    var span: Int32
    var piece: Int32
    /// Rows of the timeline.
    var from: Int32
    var to: Int32

    /// In order of spans, then of time.
    static func all(of timeline: Timeline) -> [Cell] {
        let pieceRows = timeline.pieceRows
        var cells: [Cell] = []
        cells.reserveCapacity(timeline.spans.count)
        for index in timeline.spans.indices {
            let (start, end) = (Int(timeline.spans[index].startRow), Int(timeline.spans[index].endRow))
            var piece = 0
            if pieceRows.count > 2 {
                var high = pieceRows.count - 1
                while high - piece > 1 {
                    let middle = (piece + high) / 2
                    if pieceRows[middle] <= start { piece = middle } else { high = middle }
                }
            }
            var from = start
            while from < end, piece + 1 < pieceRows.count {
                let to = min(end, pieceRows[piece + 1])
                cells.append(
                    Cell(
                        span: Int32(truncatingIfNeeded: index),
                        piece: Int32(truncatingIfNeeded: piece),
                        from: Int32(truncatingIfNeeded: from),
                        to: Int32(truncatingIfNeeded: to)
                    )
                )
                from = to
                piece += 1
            }
        }
        return cells
    }
}

extension ComponentSums {
    func figure(of cell: Cell, _ timeline: Timeline) -> SpanFigure {
        figure(of: Int(cell.span), from: Int(cell.from), to: Int(cell.to), timeline)
    }

    /// The cells' dynamic energy alone.
    func dynamics(of cells: [Cell], _ timeline: Timeline) -> [Double] {
        let spans = timeline.spans
        let isByCPU = channels.isEmpty
        return cells.map { cell in
            let index = Int(cell.span)
            guard isByCPU, spans[index].tracked < 0 else { return figure(of: cell, timeline).dynamic }
            let d = dynamicRows.between(Int(cell.from), Int(cell.to))
            return spans[index].weight * d.x + spans[index].equalWeight * d.y
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
