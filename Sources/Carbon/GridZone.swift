/// The name of a place on the electricity grid: ISO 3166-1 alpha-2 (`FR`), an Electricity Maps key (`US-CAL-CISO`), or `WORLD`.
public struct GridZone: Hashable, Sendable, CustomStringConvertible {
    public let key: String

    /// Nil unless the text has the form of a zone key: an upper-case code, its parts joined by `-`.
    public init?(_ text: String) {
        guard (2...32).contains(text.utf8.count),
            text.utf8.allSatisfy({ (65...90).contains($0) || (48...57).contains($0) || $0 == 45 }),
            text.utf8.first.map({ (65...90).contains($0) }) == true,
            text.utf8.last != 45
        else { return nil }
        self.key = text
    }

    /// The world average; used only where somebody chose it.
    public static let world = GridZone("WORLD")!

    public var description: String { key }
}
