/// Which meter of a host is a part of which, and the one cover that counts every joule once.
///
/// A meter is inside another where the zones' order says so for its package and die (`Zone.holds`; a place without a package or die
/// is all of them), or where its sensor says so (`MeterPlace.inside`).
///
/// The cover is made of the outermost parts: packages, memory, GPUs, I/O. A whole (node, psys, module) fixes an *amount* whose
/// *shape* the parts inside give (section 2 of the accounting's design), so it stands beside the cover and only counts itself where
/// no meter of a package is inside: then it is all there is to say, and the parts inside stand beside it. A model stands in only
/// where no sensor is counted. Of two meters of the same part, the one of better quality is taken, else the one found first.
public struct Containment: Sendable {
    public let meters: [MeterPlace]
    /// The names of the meters whose sum is the host's energy.
    public let cover: Set<String>
    private let standings: [String: Standing]
    private let graph: Graph

    /// Where a meter stands to the cover, and because of which other ones.
    public enum Standing: Hashable, Sendable {
        case inCover
        /// The same part is counted by another meter.
        case twin(of: String)
        /// Inside a meter of the cover.
        case part(of: String)
        /// A whole around meters of the cover: it fixes the amount, they give the shape.
        case amount(around: [String])
        /// A model of what sensors of the cover measure.
        case standIn(unneededBecauseOf: [String])
        /// Shares a part with meters of the cover without holding them or being held.
        case overlap(with: [String])
    }

    public init(_ meters: [MeterPlace]) {
        let graph = Graph(meters)
        let chosen = graph.chooseCover()
        self.graph = graph
        self.meters = meters
        cover = Set(chosen.map { meters[$0].name })
        var standings: [String: Standing] = [:]
        for i in meters.indices { standings[meters[i].name] = graph.standing(of: i, in: chosen) }
        self.standings = standings
    }

    /// Nil for a meter that is not there.
    public func standing(of name: String) -> Standing? { standings[name] }

    /// Whether one meter measures all that another one does, and more.
    public func contains(_ outer: String, _ inner: String) -> Bool {
        guard let a = graph.index[outer], let b = graph.index[inner] else { return false }
        return graph.contains(a, b)
    }

    /// The smallest meter that one is a part of; nil for an outermost one. The first by name where several are as small.
    public func parent(of name: String) -> String? {
        guard let i = graph.index[name] else { return nil }
        let around = meters.indices.filter { graph.contains($0, i) }
        return around.filter { a in !around.contains { graph.contains(a, $0) } }.map { meters[$0].name }.min()
    }

    /// Why a meter is in the cover or is not, for people, without its name: `a part of powercap/intel-rapl:0, which is counted`.
    public func explanation(of name: String) -> String {
        guard let standing = standings[name], let i = graph.index[name] else { return "not a meter of this host" }
        return switch standing {
        case .inCover:
            switch (meters[i].zone, meters[i].quality) {
            case (.core, _), (.uncore, _): "counted for want of its package: there is more to it than is measured"
            case (_, .modelled): "counted, for want of a sensor"
            default: meters[i].zone.isWhole ? "counted as a whole: no package inside is measured by itself" : "counted"
            }
        case .twin(let other): "the same part as \(other), which is counted"
        case .part(let outer): "a part of \(outer), which is counted"
        case .amount(let inner):
            inner.count == 1
                ? "contains \(inner[0]), counted by itself; recorded beside it, not added"
                : "contains \(Self.list(inner)), counted by themselves; recorded beside them, not added"
        case .standIn(let sensors): "a model, not needed: \(Self.list(sensors)) \(sensors.count == 1 ? "is" : "are") counted"
        case .overlap(let others): "shares a part with \(Self.list(others)), which \(others.count == 1 ? "is" : "are") counted"
        }
    }

    private static func list(_ names: [String]) -> String {
        guard names.count > 4 else { return names.joined(separator: ", ") }
        return "\(names.prefix(3).joined(separator: ", ")) and \(names.count - 3) more"
    }
}

extension MeterPlace {
    /// Whether both name one and the same part of the machine.
    public func isSamePart(as other: MeterPlace) -> Bool { zone == other.zone && package == other.package && die == other.die }

    /// Packages and dies of this place are all of the other one's, or more.
    fileprivate func spans(_ other: MeterPlace) -> Bool {
        (package == nil || package == other.package) && (die == nil || die == other.die)
    }

    /// Some package and die may be of both places.
    fileprivate func meets(_ other: MeterPlace) -> Bool {
        (package == nil || other.package == nil || package == other.package) && (die == nil || other.die == nil || die == other.die)
    }

    /// By the order of the zones alone. Each inlet of a machine that has several (nodes with numbers) is around all the rest.
    fileprivate func holds(_ other: MeterPlace) -> Bool {
        if zone == other.zone { return !isSamePart(as: other) && spans(other) }
        return zone.holds(other.zone) && (zone == .node || spans(other))
    }

    fileprivate func overlaps(_ other: MeterPlace) -> Bool {
        if zone == other.zone { return meets(other) }
        return (zone.holds(other.zone) || other.zone.holds(zone)) && (zone == .node || other.zone == .node || meets(other))
    }
}

/// The meters by number, with what is inside what.
private struct Graph: Sendable {
    let meters: [MeterPlace]
    /// The first meter of each name.
    let index: [String: Int]
    /// Of each meter, all those it is inside of, however far out.
    private let around: [Set<Int>]

    init(_ meters: [MeterPlace]) {
        var index: [String: Int] = [:]
        for (i, meter) in meters.enumerated() where index[meter.name] == nil { index[meter.name] = i }
        self.meters = meters
        self.index = index
        around = meters.indices.map { Graph.around($0, meters, index) }
    }

    func contains(_ outer: Int, _ inner: Int) -> Bool { around[inner].contains(outer) }

    private func overlap(_ a: Int, _ b: Int) -> Bool {
        a == b || meters[a].overlaps(meters[b]) || contains(a, b) || contains(b, a)
    }

    /// Follows both kinds of containment outwards. Ends on any input: no meter is followed twice, so that a sensor whose meters
    /// claim to be inside each other does no harm.
    private static func around(_ start: Int, _ meters: [MeterPlace], _ index: [String: Int]) -> Set<Int> {
        var found: Set<Int> = []
        var open = [start]
        while let inner = open.popLast() {
            var outer = meters.indices.filter { meters[$0].holds(meters[inner]) }
            if let name = meters[inner].inside, let said = index[name] {
                // What is inside a meter is inside its twins.
                outer += meters.indices.filter { $0 == said || meters[$0].isSamePart(as: meters[said]) }
            }
            for next in outer where next != start && found.insert(next).inserted { open.append(next) }
        }
        return found
    }

    // MARK: The cover

    func chooseCover() -> [Int] {
        let single = meters.indices.filter { betterTwin(of: $0) == nil }
        let sensors = single.filter { meters[$0].quality != .modelled }
        let models = single.filter { meters[$0].quality == .modelled }
        var chosen: [Int] = []
        add(sensors.filter(isPart), to: &chosen)
        // From the inside out: a module that counts itself gives the psys around it a shape.
        for zone in [Zone.module, .psys, .node] {
            for whole in outermostFirst(sensors.filter { meters[$0].zone == zone }) {
                let inside = chosen.filter { overlap($0, whole) }
                guard !inside.contains(where: { meters[$0].zone == .package || meters[$0].zone.isWhole }) else { continue }
                chosen.removeAll(where: inside.contains)
                chosen.append(whole)
            }
        }
        // A part whose larger neighbour gave way to a whole may be free now.
        add(sensors.filter(isPart), to: &chosen)
        add(models.filter(isPart), to: &chosen)
        add(models.filter { meters[$0].zone.isWhole }, to: &chosen)
        // Cores never stand for a package of which anything else is known.
        add(sensors.filter(isPiece), to: &chosen)
        add(models.filter(isPiece), to: &chosen)
        return chosen
    }

    /// Adds what overlaps nothing that is chosen, the outermost first.
    private func add(_ candidates: [Int], to chosen: inout [Int]) {
        for candidate in outermostFirst(candidates) where !chosen.contains(where: { overlap($0, candidate) }) { chosen.append(candidate) }
    }

    private func outermostFirst(_ some: [Int]) -> [Int] { some.sorted { (around[$0].count, $0) < (around[$1].count, $1) } }

    private func isPart(_ i: Int) -> Bool { [.package, .dram, .gpu, .io].contains(meters[i].zone) }

    private func isPiece(_ i: Int) -> Bool { [.core, .uncore].contains(meters[i].zone) }

    /// The meter of the same part that is taken instead: of better quality, else found before.
    private func betterTwin(of i: Int) -> Int? {
        meters.indices.filter { meters[$0].isSamePart(as: meters[i]) }.min { (meters[$0].quality, $0) < (meters[$1].quality, $1) }
            .flatMap { $0 == i ? nil : $0 }
    }

    func standing(of i: Int, in chosen: [Int]) -> Containment.Standing {
        if chosen.contains(i) { return .inCover }
        let names = { (some: [Int]) in some.map { meters[$0].name }.sorted() }
        if let twin = betterTwin(of: i), chosen.contains(twin) { return .twin(of: meters[twin].name) }
        let rivals = chosen.filter { overlap($0, i) }
        if meters[i].quality == .modelled {
            let sensors = rivals.filter { meters[$0].quality != .modelled }
            if !sensors.isEmpty { return .standIn(unneededBecauseOf: names(sensors)) }
        }
        if let outer = rivals.first(where: { contains($0, i) }) { return .part(of: meters[outer].name) }
        return meters[i].zone.isWhole ? .amount(around: names(rivals)) : .overlap(with: names(rivals))
    }
}
