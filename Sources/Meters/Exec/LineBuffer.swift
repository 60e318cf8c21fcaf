/// Lines of what comes in pieces, of a bounded length.
struct LineBuffer {
    static let longest = 64 << 10

    private var rest: [UInt8] = []

    /// Adds a piece and gives its whole lines, without their ends; empty ones are left out. False where a line is too long.
    mutating func add(_ piece: some Collection<UInt8>, _ give: (ArraySlice<UInt8>) -> Void) -> Bool {
        rest += piece
        var start = rest.startIndex
        while let end = rest[start...].firstIndex(of: 0x0A) {
            guard end - start <= LineBuffer.longest else { return false }
            if end > start { give(rest[start..<end]) }
            start = end + 1
        }
        rest.removeSubrange(..<start)
        return rest.count <= LineBuffer.longest
    }

    /// The last line, where it has no end.
    mutating func takeRest(_ give: (ArraySlice<UInt8>) -> Void) {
        if !rest.isEmpty { give(rest[...]) }
        rest = []
    }
}
