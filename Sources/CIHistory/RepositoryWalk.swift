import FoundationEssentials

/// Which repositories of an owner are done, whatever appears or vanishes meanwhile.
///
/// A page of the list is asked for again once its repositories are done: those that moved up from later pages, because others were
/// deleted, are done then. Only a page that brings nothing new is left for the next.
struct RepositoryWalk: Codable, Sendable, Equatable {
    struct Repository: Codable, Sendable, Equatable {
        var id: Int64
        /// As the system names it: `ocaml/dune`.
        var name: String
        var isPrivate: Bool
    }

    var page = 1
    /// Of this page.
    private(set) var seen: [Int64] = []
    /// Still to be walked.
    private(set) var queue: [Repository] = []
    /// The owner is a user, not an organisation or group.
    var isUser = false
    private(set) var isDone = false

    mutating func take() -> Repository? { queue.isEmpty ? nil : queue.removeFirst() }

    /// - Parameter hasNext: the system says that another page follows.
    /// - Returns: those that were not on the page before.
    mutating func add(_ repositories: [Repository], hasNext: Bool) -> [Repository] {
        let new = repositories.filter { !seen.contains($0.id) }
        queue += new
        seen += new.map(\.id)
        guard new.isEmpty else { return new }
        if hasNext {
            page += 1
            seen = []
        } else {
            isDone = true
        }
        return new
    }
}

extension HistoryPlace {
    private static let field = "walk"

    init(walk: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        self.init([Self.field: String(decoding: try encoder.encode(walk), as: UTF8.self)])
    }

    /// Nil at a walk's beginning.
    func walk<Walk: Decodable>(_ type: Walk.Type) throws -> Walk? {
        guard let text = fields[Self.field] else { return nil }
        do {
            return try JSONDecoder().decode(type, from: Data(text.utf8))
        } catch {
            throw HistoryError(.unreadable, "the place of the walk cannot be read: it is of another version or system; begin the walk anew")
        }
    }
}
