import Energy

/// One or two sentences on what a host's energy is made of, and what is not in it.
struct CoverSummary {
    private let counted: [MeterPlace]
    private let beside: [MeterPlace]

    init(_ places: [MeterPlace], cover: Set<String>) {
        counted = places.filter { cover.contains($0.name) }
        beside = places.filter { !cover.contains($0.name) && $0.quality != .modelled }
    }

    var text: String {
        guard !counted.isEmpty else { return "The host's energy is not known: there is nothing to count." }
        var sentences = ["The host's energy is \(Self.list(parts))."]
        if let whole = wholes.first {
            let what = Self.wholeNames[whole.zone] ?? "more than that"
            let who =
                wholes.count == 1
                ? "\(whole.name) measures \(what)" : "\(wholes.map(\.name).joined(separator: " and ")) measure \(what) each"
            sentences.append("\(who): recorded beside these parts, not yet used to correct their sum.")
        }
        if !missing.isEmpty {
            sentences.append("Not in it: \(Self.list(missing)).")
            if !wholes.contains(where: { $0.zone == .node }) {
                sentences.append("The machine's BMC (sensor ipmi), a plug or a PDU (sensor exec) would measure all of it.")
            }
        }
        return sentences.joined(separator: " ")
    }

    /// `2 packages (measured)`, from the largest part to the smallest.
    private var parts: [String] {
        struct Group {
            var zone: Zone
            var quality: Quality
            var hasDies: Bool
            /// One meter for the packages of all sockets.
            var isAll: Bool
            var count = 1
        }
        var groups: [Group] = []
        for place in counted {
            if let i = groups.firstIndex(where: { $0.zone == place.zone && $0.quality == place.quality }) {
                groups[i].count += 1
            } else {
                groups.append(
                    Group(
                        zone: place.zone,
                        quality: place.quality,
                        hasDies: place.zone == .package && place.die != nil,
                        isAll: place.zone == .package && place.package == nil
                    )
                )
            }
        }
        return groups.map { group in
            let (one, many) = group.hasDies ? ("one die", "dies") : Self.names[group.zone] ?? (group.zone.rawValue, group.zone.rawValue)
            return "\(group.isAll ? "all \(many)" : group.count == 1 ? one : "\(group.count) \(many)") (\(group.quality.rawValue))"
        }
    }

    /// The wholes that stand beside the parts, of the outermost kind there is.
    private var wholes: [MeterPlace] {
        for zone in [Zone.node, .psys, .module] where beside.contains(where: { $0.zone == zone }) {
            return beside.filter { $0.zone == zone }
        }
        return []
    }

    private var missing: [String] {
        let zones = Set(counted.map(\.zone))
        guard !zones.contains(.node) else { return [] }
        var missing: [String] = []
        if zones.isDisjoint(with: [.package, .psys, .module]) { missing.append("the processors' other parts") }
        if zones.isDisjoint(with: [.dram, .psys, .module]) { missing.append("memory") }
        if zones.isDisjoint(with: [.gpu, .module]) { missing.append("GPUs (if there are any)") }
        return missing + ["disks", "network cards", "fans", "what the power supplies lose"]
    }

    private static let names: [Zone: (String, String)] = [
        .node: ("the whole machine", "inlets of the machine"),
        .psys: ("the platform", "platforms"),
        .module: ("one module", "modules"),
        .package: ("one package", "packages"),
        .core: ("the cores of one package", "packages' cores"),
        .uncore: ("the uncore of one package", "packages' uncores"),
        .dram: ("one package's memory", "parts of memory"),
        .gpu: ("one GPU", "GPUs"),
        .io: ("one part of the I/O", "parts of the I/O"),
    ]

    private static let wholeNames: [Zone: String] = [
        .node: "the whole machine", .psys: "the platform", .module: "a module with all that is on it",
    ]

    private static func list(_ items: [String]) -> String {
        guard let last = items.last, items.count > 1 else { return items.first ?? "" }
        return "\(items.dropLast().joined(separator: ", ")) and \(last)"
    }
}
