import Crypto
import Documents
import Energy
import Store

/// A span's fields, each a register in which the largest writer wins: so the order in which messages arrive does not matter.
///
/// Writers are ordered by (rank, revision, event time, digest of the value). A deletion is a tombstone: it wins over everything.
struct SpanRegisters: Sendable, Equatable {
    struct Register: Sendable, Equatable, Comparable {
        var value: JSONValue
        var rank: Int64
        var revision: Int64
        var eventTime: Int64
        var digest: String
        /// Written by one who may speak of some repositories only.
        var isLimited = false

        static func < (a: Register, b: Register) -> Bool {
            (a.rank, a.revision, a.eventTime, a.digest) < (b.rank, b.revision, b.eventTime, b.digest)
        }
    }

    private(set) var registers: [String: Register] = [:]

    static let tombstone = "deleted"
    private static let tombstoneRank: Int64 = 9

    init() {}

    init(_ write: SpanWrite) throws {
        for (name, value) in write.fields where name != Self.tombstone {
            registers[name] = Register(
                value: value,
                rank: write.rank.rawValue,
                revision: write.revision,
                eventTime: write.eventTime.microseconds,
                digest: try Self.digest(value),
                isLimited: write.isLimited
            )
        }
    }

    static func deletion(at time: Timestamp) throws -> SpanRegisters {
        var result = SpanRegisters()
        result.registers[tombstone] = Register(
            value: .bool(true),
            rank: tombstoneRank,
            revision: 0,
            eventTime: time.microseconds,
            digest: try digest(.bool(true))
        )
        return result
    }

    /// Takes another writer's registers; commutative, associative and idempotent.
    mutating func merge(_ other: SpanRegisters) {
        registers.merge(other.registers) { max($0, $1) }
    }

    /// Takes what a writer says of a span that may be there already.
    ///
    /// Where several may write under one source's name, each for repositories of its own, nobody changes another's span: a limited writer is
    /// refused where the span is of a repository beyond its claims, and what it said is dropped once one who knows says otherwise. So what a
    /// limited writer says of another's job never counts, whoever comes first.
    mutating func take(_ other: SpanRegisters, claims: Claims) throws(Claims.Excess) {
        if claims.repositories != nil, let excess = ClaimCheck.excess(ofStored: fields, claims) { throw excess }
        if let stored = repository, let said = other.repository, stored.isLimited, stored.value != said.value {
            if said.isLimited { throw Claims.Excess(field: "repository", found: "another than the span has", allowed: []) }
            self = unlimited
        }
        merge(other)
    }

    var isDeleted: Bool { registers[Self.tombstone]?.rank == Self.tombstoneRank }

    /// The winning values.
    var fields: [String: JSONValue] { registers.mapValues(\.value) }

    private static func digest(_ value: JSONValue) throws -> String {
        SHA256.hash(data: Array(try value.text.utf8)).prefix(8).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    /// Without what writers said who may speak of some repositories only.
    var unlimited: SpanRegisters {
        var result = self
        result.registers = registers.filter { !$0.value.isLimited }
        return result
    }

    /// Who said which repository this is of.
    var repository: Register? { registers["repository"] }

    /// These fields only.
    func only(_ names: Set<String>) -> SpanRegisters {
        var result = self
        result.registers = registers.filter { names.contains($0.key) }
        return result
    }

    // MARK: As stored

    var stored: JSONValue {
        .object(
            registers.mapValues { register in
                var parts: [String: JSONValue] = [
                    "v": register.value, "r": .integer(register.rank), "n": .integer(register.revision), "t": .integer(register.eventTime),
                    "d": .string(register.digest),
                ]
                if register.isLimited { parts["l"] = .bool(true) }
                return .object(parts)
            }
        )
    }

    init(stored: JSONValue) {
        for (name, value) in stored.object ?? [:] {
            guard let parts = value.object else { continue }
            registers[name] = Register(
                value: parts["v"] ?? .null,
                rank: parts["r"]?.integer ?? 0,
                revision: parts["n"]?.integer ?? 0,
                eventTime: parts["t"]?.integer ?? 0,
                digest: parts["d"]?.string ?? "",
                isLimited: parts["l"]?.bool ?? false
            )
        }
    }
}
