import Energy
import TestSupport
import Testing

struct ContainmentTests {
    private func meter(
        _ name: String,
        _ zone: Zone,
        _ package: Int? = nil,
        die: Int? = nil,
        _ quality: Quality = .measured,
        inside: String? = nil
    ) -> MeterPlace { MeterPlace(name: name, zone: zone, package: package, die: die, quality: quality, inside: inside) }

    @Test func packagesAndMemoryAreCountedAndWholesStandBeside() {
        let graph = Containment([
            meter("bmc", .node, nil, .sampled), meter("psys", .psys), meter("p0", .package, 0), meter("p1", .package, 1),
            meter("d0", .dram, 0), meter("c0", .core, 0), meter("u0", .uncore, 0), meter("card", .gpu, die: 0),
        ])
        #expect(graph.cover == ["p0", "p1", "d0", "card"])
        #expect(graph.standing(of: "bmc") == .amount(around: ["card", "d0", "p0", "p1"]))
        #expect(graph.standing(of: "psys") == .amount(around: ["d0", "p0", "p1"]), "psys does not see a card")
        #expect(graph.standing(of: "c0") == .part(of: "p0"))
        #expect(graph.contains("bmc", "c0") && graph.contains("psys", "c0") && !graph.contains("p1", "c0"))
        #expect(graph.parent(of: "c0") == "p0" && graph.parent(of: "p0") == "psys" && graph.parent(of: "bmc") == nil)
    }

    @Test func aWholeCountsItselfWhereNoPackageInsideIsMeasured() {
        #expect(Cover.choose(among: [meter("psys", .psys), meter("d0", .dram, 0), meter("card", .gpu, die: 0)]) == ["psys", "card"])
        #expect(Cover.choose(among: [meter("bmc", .node), meter("card", .gpu, die: 0), meter("m", .package, nil, .modelled)]) == ["bmc"])
        #expect(Cover.choose(among: [meter("bmc", .node), meter("psys", .psys), meter("d0", .dram, 0)]) == ["psys"])
    }

    @Test func eachModuleIsJudgedByItself() {
        let graph = Containment([
            meter("bmc", .node), meter("m0", .module, 0), meter("m1", .module, 1), meter("p0", .package, 0), meter("io0", .io, 0),
            meter("io1", .io, 1), meter("g1", .gpu, 1, die: 0),
        ])
        #expect(graph.cover == ["p0", "io0", "m1"])
        #expect(graph.standing(of: "g1") == .part(of: "m1"))
        #expect(graph.standing(of: "m0") == .amount(around: ["io0", "p0"]))
    }

    @Test func inletsOfOneMachineAddUp() {
        #expect(Cover.choose(among: [meter("ps1", .node, die: 1), meter("ps2", .node, die: 2)]) == ["ps1", "ps2"])
        #expect(Cover.choose(among: [meter("ps1", .node, die: 1), meter("ps2", .node, die: 2), meter("all", .node)]) == ["all"])
    }

    @Test func diesAddUpUnlessTheirPackageIsThere() {
        let dies = [meter("d0", .package, 0, die: 0), meter("d1", .package, 0, die: 1), meter("c1", .core, 0, die: 1)]
        #expect(Cover.choose(among: dies) == ["d0", "d1"])
        #expect(Containment(dies).standing(of: "c1") == .part(of: "d1"))
        #expect(Cover.choose(among: dies + [meter("p0", .package, 0)]) == ["p0"])
    }

    @Test func ofTwinsTheBetterIsCountedElseTheFirst() {
        let graph = Containment([meter("a", .package, 0, .sampled), meter("b", .package, 0), meter("c", .package, 0)])
        #expect(graph.cover == ["b"])
        #expect(graph.standing(of: "a") == .twin(of: "b") && graph.standing(of: "c") == .twin(of: "b"))
        #expect(graph.explanation(of: "c") == "the same part as b, which is counted")
    }

    @Test func aModelStandsInOnlyWhereNoSensorIsCounted() {
        let model = meter("model", .package, nil, .modelled)
        #expect(Cover.choose(among: [model]) == ["model"])
        #expect(Cover.choose(among: [model, meter("d0", .dram, 0), meter("card", .gpu, die: 0)]) == ["model", "d0", "card"])
        let graph = Containment([model, meter("p1", .package, 1)])
        #expect(graph.cover == ["p1"])
        #expect(graph.standing(of: "model") == .standIn(unneededBecauseOf: ["p1"]))
        #expect(graph.explanation(of: "model") == "a model, not needed: p1 is counted")
    }

    @Test func coresNeverStandForAPackageOfWhichAnythingElseIsKnown() {
        #expect(Cover.choose(among: [meter("c", .core, 0), meter("m", .package, nil, .modelled)]) == ["m"])
        #expect(Cover.choose(among: [meter("c", .core, 0), meter("u", .uncore, 0)]) == ["c", "u"])
    }

    @Test func whatASensorSaysOfItsOwnMetersIsBelieved() {
        let graph = Containment([
            meter("p0", .package, 0), meter("again", .package, 0), meter("apu", .gpu, die: 0, inside: "again"), meter("card", .gpu, die: 1),
            meter("lost", .gpu, die: 2, inside: "nobody"),
        ])
        #expect(graph.cover == ["p0", "card", "lost"])
        #expect(graph.standing(of: "apu") == .part(of: "p0"), "inside a meter is inside its twins")
    }

    @Test func metersThatClaimToBeInsideEachOtherAreNotCountedTwice() {
        #expect(Cover.choose(among: [meter("a", .gpu, die: 0, inside: "b"), meter("b", .gpu, die: 1, inside: "a")]).count == 1)
        #expect(Cover.choose(among: [meter("a", .dram, 0, inside: "a")]) == ["a"])
        #expect(Cover.choose(among: []).isEmpty)
    }

    @Test func everyMeterIsExplained() {
        let graph = Containment([meter("bmc", .node), meter("p", .package, 0), meter("c", .core, 0), meter("m", .package, nil, .modelled)])
        #expect(graph.explanation(of: "p") == "counted")
        #expect(graph.explanation(of: "c") == "a part of p, which is counted")
        #expect(graph.explanation(of: "bmc") == "contains p, counted by itself; recorded beside it, not added")
        let two = Containment([meter("bmc", .node), meter("p", .package, 0), meter("q", .package, 1)])
        #expect(two.explanation(of: "bmc") == "contains p, q, counted by themselves; recorded beside them, not added")
        #expect(graph.explanation(of: "x") == "not a meter of this host")
        #expect(Containment([meter("bmc", .node)]).explanation(of: "bmc").contains("no package inside"))
    }

    // MARK: No joule has two owners

    /// A machine as physics has it: pieces that use energy, and meters that are sets of pieces.
    private struct Machine {
        var meters: [MeterPlace] = []
        var leaves: [String: Set<Int>] = [:]

        mutating func add(_ place: MeterPlace, _ leaves: Set<Int>) {
            meters.append(place)
            self.leaves[place.name] = leaves
        }

        init(_ random: inout RandomSource) {
            var next = 0
            func leaf() -> Int {
                next += 1
                return next
            }
            // Leaves by package and die.
            let packages = Int.random(in: 1...3, using: &random)
            let dies = random.chance(0.3) ? 2 : 1
            let hasModules = random.chance(0.3)
            var node: Set<Int> = [leaf()]
            var platform: Set<Int> = [leaf()]
            var wholePackages: Set<Int> = []
            let isPresent = Double.random(in: 0.1...1, using: &random)
            func quality() -> Quality { [.measured, .measured, .sampled].randomElement(using: &random) ?? .measured }
            var places: [(MeterPlace, Set<Int>)] = []
            func put(_ zone: Zone, _ package: Int?, die: Int? = nil, _ leaves: Set<Int>, inside: String? = nil, often: Double = 1) {
                for twin in 0..<(random.chance(0.15) ? 2 : 1) where random.chance(isPresent * often) {
                    let name = "\(zone)-\(package.map(String.init) ?? "all")-\(die.map(String.init) ?? "all")-\(twin)"
                    places.append(
                        (MeterPlace(name: name, zone: zone, package: package, die: die, quality: quality(), inside: inside), leaves)
                    )
                }
            }
            for package in 0..<packages {
                var whole: Set<Int> = []
                for die in 0..<dies {
                    let core: Set = [leaf()]
                    let uncore: Set = [leaf()]
                    let both = core.union(uncore).union([leaf()])
                    let number = dies > 1 ? die : nil
                    put(.core, package, die: number, core)
                    put(.uncore, package, die: number, uncore)
                    if dies > 1 { put(.package, package, die: die, both) }
                    whole.formUnion(both)
                }
                put(.package, package, whole, often: dies > 1 ? 0.3 : 1)
                if random.chance(0.2), let part = whole.max() {
                    // Graphics inside the package, known only because the sensor says so.
                    put(.gpu, package, die: 90 + package, [part], inside: "package-\(package)-all-0")
                    if !places.contains(where: { $0.0.name == "package-\(package)-all-0" }) {
                        places.removeAll { $0.0.die == 90 + package }
                    }
                }
                wholePackages.formUnion(whole)
                let dram: Set = [leaf()]
                let io: Set = [leaf()]
                put(.dram, package, dram)
                put(.io, package, io, often: 0.3)
                var module = whole.union(dram).union(io).union([leaf()])
                platform.formUnion(module)
                if hasModules {
                    let gpu: Set = [leaf()]
                    put(.gpu, package, die: package, gpu)
                    module.formUnion(gpu)
                    node.formUnion(gpu)
                    put(.module, package, module)
                }
            }
            if random.chance(0.1) { put(.package, nil, wholePackages) }
            if !hasModules {
                for card in 0..<Int.random(in: 0...3, using: &random) {
                    let gpu: Set = [leaf()]
                    put(.gpu, nil, die: card, gpu)
                    node.formUnion(gpu)
                }
                put(.psys, nil, platform, often: 0.5)
            }
            put(.node, nil, node.union(platform), often: 0.5)
            if random.chance(0.5) {
                places.append((MeterPlace(name: "model", zone: .package, package: nil, quality: .modelled), wholePackages))
            }
            places.shuffle(using: &random)
            for (place, leaves) in places { add(place, leaves) }
        }
    }

    @Test func noJouleHasTwoOwnersAndNoneIsLeftOutThatCouldBeCountedOnce() {
        for seed in 0..<UInt64(LongRun.rounds(short: 4_000, long: 100_000)) {
            var random = RandomSource(seed: seed)
            let machine = Machine(&random)
            let graph = Containment(machine.meters)
            var counted: Set<Int> = []
            for name in graph.cover.sorted() {
                let leaves = machine.leaves[name] ?? []
                if !counted.isDisjoint(with: leaves) { Issue.record("seed \(seed): \(name) counts again what \(graph.cover.sorted()) has") }
                counted.formUnion(leaves)
            }
            for meter in machine.meters where meter.quality != .modelled && !graph.cover.contains(meter.name) {
                let leaves = machine.leaves[meter.name] ?? []
                if leaves.isDisjoint(with: counted) { Issue.record("seed \(seed): \(meter.name) is left out of \(graph.cover.sorted())") }
            }
            // The relation is the one of the sets: whatever is said to be inside is.
            for outer in machine.meters {
                for inner in machine.meters where graph.contains(outer.name, inner.name) {
                    let (a, b) = (machine.leaves[outer.name] ?? [], machine.leaves[inner.name] ?? [])
                    if !b.isSubset(of: a) { Issue.record("seed \(seed): \(inner.name) is not inside \(outer.name)") }
                }
                if graph.standing(of: outer.name) == .overlap(with: []) || graph.standing(of: outer.name) == .amount(around: []) {
                    Issue.record("seed \(seed): \(outer.name) is left out for no reason")
                }
            }
            // The order in which sensors were found does not change what is counted, twins of one quality aside.
            let again = Containment(machine.meters.reversed())
            let parts = { (graph: Containment) in
                Set(graph.meters.filter { graph.cover.contains($0.name) }.map { "\($0.zone) \($0.package ?? -1) \($0.die ?? -1)" })
            }
            if parts(graph) != parts(again) { Issue.record("seed \(seed): the order of the meters matters") }
        }
    }
}
