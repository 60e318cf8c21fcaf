public import Energy

/// A machine's embodied mass spread over its life: `TE * dt/lifetime`, with lifetimes that may be revised, each from a date on.
///
/// A revision never changes what was charged before it: what is left then is spread evenly to the new end. So the whole life is
/// charged the whole mass, once, however often the end is moved. After its end a machine has been charged all and costs nothing.
public struct EmbodiedSchedule: Hashable, Sendable {
    /// Where the mass comes from, best first.
    public enum Source: String, Hashable, Sendable, CaseIterable {
        /// The maker's or an own life cycle assessment of this machine.
        case ownLCA = "own-lca"
        /// `ServerEmbodied` from its parts.
        case parts
        /// Tables of a cloud's machines.
        case cloudTable = "cloud-table"
    }

    /// From when on the machine is expected to serve until when.
    public struct Revision: Hashable, Sendable {
        public var from: Timestamp
        public var end: Timestamp
        /// What the whole machine is known to be from then on, where that is another figure than before.
        public var total: CO2eRange?

        public init(from: Timestamp, end: Timestamp, total: CO2eRange? = nil) {
            self.from = from
            self.end = end
            self.total = total
        }
    }

    public enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
        case noRevision
        /// An end that is not after its start.
        case endNotAfter(Revision)
        /// Revisions that are not in the order of their dates.
        case outOfOrder(Revision)
        /// A lifetime in years that no machine has.
        case lifetime(years: Double)

        public var description: String {
            switch self {
            case .lifetime(let years): "lifetime: expected years above 0 and at most 100, found \(years)"
            case .noRevision: "lifetime: expected at least one, with the time from which the machine serves, found none"
            case .endNotAfter(let revision):
                "lifetime: expected an end after its start, found \(revision.from.microseconds) to \(revision.end.microseconds) µs"
            case .outOfOrder(let revision):
                "lifetime: expected revisions in the order of their dates, each once, found \(revision.from.microseconds) µs out of order"
            }
        }
    }

    private struct Piece: Hashable {
        var interval: Interval
        var mass: CO2eRange
    }

    /// As it was last known.
    public let total: CO2eRange
    public let source: Source
    private let pieces: [Piece]

    /// - Parameters:
    ///   - total: as it is known at first.
    ///   - revisions: the first from when the machine serves; in the order of their dates.
    public init(total: CO2eRange, source: Source, revisions: [Revision]) throws(Fault) {
        guard !revisions.isEmpty else { throw .noRevision }
        for revision in revisions where revision.end <= revision.from { throw .endNotAfter(revision) }
        for (before, after) in zip(revisions, revisions.dropFirst()) where after.from <= before.from { throw .outOfOrder(after) }
        var pieces: [Piece] = []
        var whole = total
        var charged = CO2eRange.zero
        for (index, revision) in revisions.enumerated() {
            whole = revision.total ?? whole
            let until = index + 1 < revisions.count ? min(revisions[index + 1].from, revision.end) : revision.end
            let part = (until - revision.from).seconds / (revision.end - revision.from).seconds
            // What was charged stays charged, also where less is left than that.
            let left = CO2eRange(
                low: max(.zero, whole.low - charged.low),
                best: max(.zero, whole.best - charged.best),
                high: max(.zero, whole.high - charged.high)
            )
            let mass = until == revision.end ? left : left * part
            pieces.append(Piece(interval: Interval(revision.from, until), mass: mass))
            charged = charged + mass
        }
        self.total = whole
        self.source = source
        self.pieces = pieces
    }

    /// One lifetime that was never revised.
    public init(total: CO2eRange, source: Source, from: Timestamp, lifetimeYears: Double) throws(Fault) {
        guard lifetimeYears > 0, lifetimeYears <= 100 else { throw .lifetime(years: lifetimeYears) }
        let length = Microseconds(Int64(saturating: (lifetimeYears * CCFModel.hoursPerYear * 3.6e9).rounded()))
        try self.init(total: total, source: source, revisions: [Revision(from: from, end: from + length)])
    }

    /// Where the rate at which the mass is charged changes.
    public var edges: [Timestamp] { pieces.map(\.interval.start) + (pieces.last.map { [$0.interval.end] } ?? []) }

    /// The part of the mass that falls into an interval.
    public func mass(in interval: Interval) -> CO2eRange {
        var mass = CO2eRange.zero
        for piece in pieces {
            guard let common = piece.interval.intersection(interval) else { continue }
            mass = mass + piece.mass * (common.duration.seconds / piece.interval.duration.seconds)
        }
        return mass
    }

    /// Whether the machine still serves after all of its mass was charged.
    public func isWrittenOff(at time: Timestamp) -> Bool { pieces.last.map { time >= $0.interval.end } ?? true }

    /// Splits an interval's mass over those who reserved the machine in it, and what is left for its idle account.
    ///
    /// Each has `rho/max(1, sum of rho)` of it; see `SCI.reservedShare`. The parts and the rest sum to the whole.
    public static func split(_ mass: CO2eRange, over reservations: [Double]) -> (parts: [CO2eRange], idle: CO2eRange) {
        let sum = reservations.reduce(0) { $0 + max(0, $1) }
        let shares = reservations.map { SCI.reservedShare($0, of: sum) }
        return (shares.map { mass * $0 }, mass * max(0, 1 - shares.reduce(0, +)))
    }
}
