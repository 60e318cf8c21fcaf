import CIHistory
import Testing

@Suite("The place of a history walk")
struct HistoryPlaceTests {
    @Test("a new walk starts at an empty place")
    func aNewWalkStartsEmpty() { #expect(HistoryPlace().fields.isEmpty) }
}
