/// A text with `*` for any run of characters, slashes too; everything else stands for itself, letters in either case.
public struct Pattern: Sendable, Hashable {
    private let parts: [[UInt8]]

    public init(_ text: String) {
        parts = text.lowercased().utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map(Array.init)
    }

    /// Linear in the text's length: after a `*` the earliest place is as good as any.
    public func matches(_ text: String) -> Bool {
        var rest = ArraySlice(Array(text.lowercased().utf8))
        guard let first = parts.first, rest.starts(with: first) else { return false }
        guard parts.count > 1, let last = parts.last else { return rest.count == first.count }
        rest = rest.dropFirst(first.count)
        for part in parts.dropFirst().dropLast() {
            guard let end = Self.end(of: part, in: rest) else { return false }
            rest = rest[end...]
        }
        return rest.count >= last.count && rest.suffix(last.count) == last[...]
    }

    private static func end(of part: [UInt8], in text: ArraySlice<UInt8>) -> Int? {
        if part.isEmpty { return text.startIndex }
        guard text.count >= part.count else { return nil }
        for start in text.startIndex...(text.endIndex - part.count) where text[start..<(start + part.count)] == part[...] {
            return start + part.count
        }
        return nil
    }
}
