import Energy
import Glibc
import Meters
import Wire

/// The cgroups of this host, with a curve of CPU time and one of memory each. Holds no clock and no thread: each operation is given
/// the time at which it reads.
///
/// Which cgroups have a curve: those that a span named; services, scopes, containers and pods; those that came to be while the agent
/// runs; and of those that were there before it every one that has no cgroup below it. The kernel counts with a cgroup what those below
/// it use: so does its curve, which theirs name as the one around them. A cgroup has it from the first time that it is seen to use CPU
/// time: one that never ran anything has none. A span's curve is a part of its cgroup's life; before and after the cgroup has another
/// one. Where the same path is in v2 and in v1 there is one curve: of the hierarchy in which the count moves, v2 first.
///
/// How a cgroup ends: see `settle`.
struct Workloads {
    let hierarchies: [CgroupHierarchy]
    /// Of v1's `memory` hierarchy.
    let memoryMount: String?
    let settings: WorkloadSettings
    let drawOrigin: @Sendable () -> UInt64
    /// CPUs that are online: what a cgroup can have used at most.
    var cpus: Int
    /// The next free number of a curve of this host. Meters' curves take theirs from here as well.
    var nextRef: UInt32
    var factor: Int64 = 1

    var nodes: [CgroupNode] = []
    var freeNodes: [Int] = []
    var byDirectory: [String: Int] = [:]
    var byWatch: [Int32: Int] = [:]
    var byPopulationWatch: [Int32: Int] = [:]
    /// Directories in the watched trees.
    var directoryCount = 0
    /// Curves: those that go on, and those that have ended and were not yet taken.
    var slots: [WorkloadCurve] = []
    /// Keys of the spans that run, with and without a cgroup.
    var spans: Set<String> = []

    private(set) var watch: CgroupWatch?
    private var isScanned = false
    /// Until when everything that happened has been heard of.
    var lastLook: Timestamp?
    var period = 0
    /// Parents with cgroups to settle.
    var unsettled: [Int] = []
    var readingsLeft: Int
    /// Where `recover` goes on.
    var recovered = 0
    private var events: [CgroupWatch.Event] = []
    /// A cgroup was born, filled, emptied or removed since this was asked: an edge of work.
    private(set) var isEdge = false
    /// Those of which nothing but their end was seen, since the last look, and curves that had ended before it.
    private var deathsAtOnce: Int64 = 0
    private var endedBefore = 0
    /// Curves that ended while the agent did not run.
    var closing: [CountedCurve] = []

    private var news: [String] = []
    private var said: Set<String> = []
    /// Cgroups beyond a limit, for the log.
    private(set) var unfollowed = 0

    /// - Parameters:
    ///   - hierarchies: in the order in which they are preferred.
    ///   - resumed: workloads of an earlier run.
    ///   - isSameBoot: whether that run was in this boot.
    ///   - nextRef: the first free number of a curve.
    ///   - drawOrigin: draws a random number that names a count.
    init(
        hierarchies: [CgroupHierarchy],
        memoryMount: String? = nil,
        settings: WorkloadSettings = WorkloadSettings(),
        cpus: Int,
        nextRef: UInt32 = 1,
        resumed: [AgentState.Workload] = [],
        isSameBoot: Bool = true,
        drawOrigin: @escaping @Sendable () -> UInt64 = { UInt64.random(in: 1 ... .max) }
    ) {
        self.hierarchies = hierarchies
        self.memoryMount = memoryMount
        var settings = settings
        // Each curve holds a descriptor; the rest of the agent needs some as well.
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < 1 << 20 {
            settings.maximumCurves = min(settings.maximumCurves, max(64, Int(limit.rlim_cur) - 192))
        }
        self.settings = settings
        self.cpus = max(1, cpus)
        self.nextRef = nextRef
        self.drawOrigin = drawOrigin
        readingsLeft = settings.settlingReadings
        if settings.isWatching, !hierarchies.isEmpty {
            do throws(SensorFault) {
                watch = try CgroupWatch()
            } catch {
                news.append("cgroups that no client names are not followed: \(error)")
            }
        }
        for state in resumed { resume(state, isSameBoot: isSameBoot) }
    }

    /// Becomes readable when cgroups came, went, filled or emptied: `takeEvents` is due. Nil where nothing is watched.
    var descriptor: Int32? { watch?.descriptor }
    /// Whether a span runs, with or without a cgroup.
    var isSpanRunning: Bool { !spans.isEmpty || slots.contains { !$0.key.isEmpty && $0.died == nil } }
    /// Directories that are watched, and curves that go on.
    var counts: (directories: Int, curves: Int) { (directoryCount, slots.count { !$0.isEnded }) }

    mutating func number() -> UInt32 {
        defer { nextRef += 1 }
        return nextRef
    }

    /// Whether an edge of work was heard of since the last call.
    mutating func takeEdge() -> Bool {
        defer { isEdge = false }
        return isEdge
    }

    mutating func say(_ text: String) { news.append(text) }

    mutating func sayOnce(_ text: String) {
        guard said.count < 256, said.insert(text).inserted else { return }
        news.append(text)
    }

    /// What happened that an operator should know, since the last call.
    mutating func takeNews() -> [String] {
        defer { news = [] }
        return news
    }

    mutating func countUnfollowed(_ limit: String) {
        unfollowed += 1
        sayOnce("there are more cgroups than are followed one by one (\(limit)); their CPU time is not lost, but is not theirs")
    }

    // MARK: Coming and going

    /// Hears of what happened to cgroups until now, and reads what has to be read at once: those that were born or have emptied, and
    /// where some have died their parent and siblings.
    mutating func takeEvents(at time: Timestamp) {
        guard let watch else { return }
        guard isScanned else {
            isScanned = true
            for h in hierarchies.indices { scanMount(h, at: time) }
            lastLook = time
            return
        }
        deathsAtOnce = 0
        endedBefore = slots.count { $0.died != nil }
        var events = events
        self.events = []
        while true {
            events.removeAll(keepingCapacity: true)
            let isAll = watch.takeEvents { events.append($0) }
            for event in events { handle(event, at: time) }
            if isAll || events.isEmpty { break }
        }
        self.events = events
        settleAll(at: time, isDue: false)
        lastLook = time
    }

    private mutating func handle(_ event: CgroupWatch.Event, at time: Timestamp) {
        switch event {
        case .born(let watch, let name):
            guard let parent = byWatch[watch], nodes[parent].isAlive else { return }
            // Found by looking into a directory just made.
            guard byDirectory[directory(name, in: parent)].map({ nodes[$0].parent == parent }) != true else { return }
            isEdge = true
            follow(name, in: parent, at: time, .born)
        case .died(let watch, let name):
            guard let parent = byWatch[watch], let i = byDirectory[directory(name, in: parent)], nodes[i].isAlive else { return }
            switch CgroupDirectory.identity(of: nodes[i].directory) {
            case .some(let now) where now.inode == nodes[i].inode:
                // It is of an earlier one of this name, that came and went before it was ever seen.
                vanishUnseen(name, in: parent, at: time)
            default:
                isEdge = true
                kill(i, at: time)
            }
        case .populationChanged(let watch):
            guard let i = byPopulationWatch[watch], nodes[i].isAlive else { return }
            nodes[i].isPopulated = CgroupDirectory.isPopulated(nodes[i].directory)
            // Even where nothing runs there any more: it changed.
            nodes[i].wasPopulated = true
            nodes[i].lastMove = period
            isEdge = true
            if nodes[i].isPopulated == false {
                // Nothing runs there any more, so this is the last value unless something moves in again.
                if isRead(i), readNode(i, at: time) { nodes[i].isFinal = true }
            } else {
                nodes[i].isFinal = false
            }
        case .overflow:
            sayOnce("the kernel dropped events of cgroups; all were looked at anew")
            rescan(at: time)
        }
    }

    func directory(_ name: String, in parent: Int) -> String { "\(nodes[parent].directory)/\(name)" }

    private mutating func scanMount(_ h: Int, at time: Timestamp) {
        let hierarchy = hierarchies[h]
        guard byDirectory[hierarchy.mount] == nil, let identity = CgroupDirectory.identity(of: hierarchy.mount) else { return }
        var node = CgroupNode()
        node.hierarchy = h
        node.kind = hierarchy.kind
        node.path = "/"
        node.directory = hierarchy.mount
        node.inode = identity.inode
        node.born = time
        node.bornAfter = time
        let i = insert(node)
        addWatches(i)
        look(into: i, at: time, .standing)
    }

    /// Looks at every directory anew: what was missed is found, what is gone is ended.
    private mutating func rescan(at time: Timestamp) {
        for i in nodes.indices where nodes[i].isAlive && nodes[i].parent >= 0 {
            let now = CgroupDirectory.identity(of: nodes[i].directory)
            if now?.inode != nodes[i].inode { kill(i, at: time) }
        }
        for i in nodes.indices where nodes[i].isAlive && nodes[i].watch != nil {
            look(into: i, at: time, .born)
            guard nodes[i].populationWatch != nil else { continue }
            nodes[i].isPopulated = CgroupDirectory.isPopulated(nodes[i].directory)
            if nodes[i].isPopulated == true { nodes[i].wasPopulated = true }
            // It may have been filled and emptied unheard.
            if nodes[i].wasPopulated == false { nodes[i].wasPopulated = nil }
            nodes[i].isFinal = false
        }
    }

    /// How a cgroup was found.
    enum Sighting {
        /// It was there when the agent looked for the first time.
        case standing
        /// It came to be since then, but before the last look.
        case late
        /// It came to be since the last look, so that all it has used was used since.
        case born
    }

    /// Follows the cgroups below one that are not followed yet.
    private mutating func look(into i: Int, at time: Timestamp, _ sighting: Sighting) {
        let names: [String]
        do throws(SensorFault) { names = try CgroupDirectory.children(of: nodes[i].directory) } catch {
            // It went meanwhile; the event of that is on its way.
            if !error.isVanished { sayOnce("cgroups below \(nodes[i].directory) are not followed: \(error)") }
            return
        }
        let isFirst = nodes[i].children.isEmpty && sighting != .born
        for name in names where byDirectory[directory(name, in: i)].map({ nodes[$0].parent == i }) != true {
            follow(name, in: i, at: time, sighting)
        }
        // What the parent has used until now is nobody's that may vanish.
        if isFirst, !nodes[i].children.isEmpty { rebase(i, at: time) }
    }

    mutating func follow(_ name: String, in parent: Int, at time: Timestamp, _ sighting: Sighting) {
        let isBorn = sighting == .born
        let directory = directory(name, in: parent)
        guard let identity = CgroupDirectory.identity(of: directory) else {
            if isBorn { vanishUnseen(name, in: parent, at: time) }
            return
        }
        guard nodes[parent].depth < settings.maximumDepth else {
            nodes[parent].hasStrangers = true
            return countUnfollowed("\(settings.maximumDepth) directories deep")
        }
        guard directoryCount < settings.maximumDirectories else {
            nodes[parent].hasStrangers = true
            return countUnfollowed("\(settings.maximumDirectories) directories")
        }
        becomeInner(parent, at: time)
        let i: Int
        if let known = byDirectory[directory] {
            // A client named it before it was found.
            i = known
            nodes[i].isResident = true
        } else {
            var node = CgroupNode()
            node.directory = directory
            node.path = nodes[parent].path == "/" ? "/\(name)" : "\(nodes[parent].path)/\(name)"
            node.identity = WorkloadIdentity(cgroup: node.path)
            node.bornAfter = isBorn ? min(lastLook ?? time, time) : time
            node.born = time
            node.isResident = !isBorn
            i = insert(node)
        }
        nodes[i].isDetached = false
        nodes[i].isStanding = sighting == .standing && !nodes[i].slots.contains { slots[$0].key.isEmpty }
        nodes[i].parent = parent
        nodes[i].hierarchy = nodes[parent].hierarchy
        nodes[i].kind = nodes[parent].kind
        nodes[i].depth = nodes[parent].depth + 1
        nodes[i].inode = identity.inode
        nodes[i].lastMove = period
        nodes[parent].children.append(i)
        nodes[parent].childrenRaw += nodes[i].raw
        directoryCount += 1
        addWatches(i)
        notePopulation(i, sighting)
        // Only now: what was made below it before the watch was set is found by looking.
        if CgroupDirectory.identity(of: directory)?.mayHaveChildren ?? false { look(into: i, at: time, sighting) }
        firstReading(i, at: time)
    }

    /// Once the watch is set.
    mutating func notePopulation(_ i: Int, _ sighting: Sighting) {
        guard nodes[i].populationWatch != nil else { return }
        nodes[i].isPopulated = CgroupDirectory.isPopulated(nodes[i].directory)
        // What is empty now may have run something before the watch was set: only one just made did not, unless its count tells.
        if nodes[i].isPopulated == true || sighting == .born { nodes[i].wasPopulated = nodes[i].isPopulated }
    }

    private mutating func firstReading(_ i: Int, at time: Timestamp) {
        guard nodes[i].slots.isEmpty else {
            _ = readNode(i, at: time)
            return
        }
        guard let raw = note(i, at: time) else { return }
        guard !nodes[i].isResident else {
            if nodes[i].children.isEmpty { nodes[i].base = raw }
            return
        }
        // It ran for at least this long.
        let least = Microseconds((raw + Int64(cpus) - 1) / Int64(cpus) + 1)
        nodes[i].born = max(nodes[i].bornAfter, time - least)
        if raw > 0, nodes[i].born < time { openCurve(i, fromRaw: 0, at: nodes[i].born, isPreferred: true) }
        for s in nodes[i].slots { slots[s].curve.read(raw: raw, at: time) }
    }

    /// Sets the watches that it has not yet.
    @discardableResult
    mutating func addWatches(_ i: Int) -> Bool {
        guard let watch else { return true }
        do throws(SensorFault) {
            let number = try watch.watchDirectory(nodes[i].directory)
            nodes[i].watch = number
            byWatch[number] = i
            guard nodes[i].kind == .unified, nodes[i].parent >= 0 else { return true }
            let population = try watch.watchPopulation(of: nodes[i].directory)
            nodes[i].populationWatch = population
            byPopulationWatch[population] = i
            return true
        } catch {
            guard !error.isVanished else { return true }
            nodes[i].hasStrangers = true
            let remedy = error.number == ENOSPC ? "; raise fs.inotify.max_user_watches" : ""
            sayOnce("cgroups cannot all be watched: \(error)\(remedy)")
            return false
        }
    }

    /// It came and went between two looks: all that is known of it is that it was, and what its parent counted.
    private mutating func vanishUnseen(_ name: String, in parent: Int, at time: Timestamp) {
        guard endedBefore + Int(deathsAtOnce) < settings.maximumCurves else {
            nodes[parent].isBaseStale = true
            return countUnfollowed("\(settings.maximumCurves) that have ended and were not sent yet")
        }
        becomeInner(parent, at: time)
        deathsAtOnce += 1
        var node = CgroupNode()
        node.directory = directory(name, in: parent)
        node.path = nodes[parent].path == "/" ? "/\(name)" : "\(nodes[parent].path)/\(name)"
        node.identity = WorkloadIdentity(cgroup: node.path)
        node.isResident = false
        node.isStanding = false
        node.parent = parent
        node.hierarchy = nodes[parent].hierarchy
        node.kind = nodes[parent].kind
        node.depth = nodes[parent].depth + 1
        // Names must differ where several of one name came and went.
        let after = min(lastLook ?? time, time)
        node.bornAfter = after
        node.born = min(after + Microseconds(deathsAtOnce), time)
        node.rawTime = node.born
        node.died = time
        let i = insert(node, isNamed: false)
        nodes[parent].vanished.append(i)
        if !unsettled.contains(parent) { unsettled.append(parent) }
    }

    /// A cgroup that was there before the agent and gets others below it has no curve of its own any more, unless it is something whole.
    private mutating func becomeInner(_ i: Int, at time: Timestamp) {
        guard !nodes[i].wasParent else { return }
        nodes[i].wasParent = true
        // Until now it was its own.
        if !nodes[i].slots.isEmpty { nodes[i].base = nodes[i].raw }
        guard !nodes[i].isWhole, nodes[i].slots.contains(where: { slots[$0].key.isEmpty }) else { return }
        for s in nodes[i].slots where slots[s].key.isEmpty { end(s, .read, at: nodes[i].rawTime) }
    }

    // MARK: Nodes

    private mutating func insert(_ node: CgroupNode, isNamed: Bool = true) -> Int {
        var node = node
        node.isUsed = true
        let i: Int
        if let free = freeNodes.popLast() {
            nodes[free] = node
            i = free
        } else {
            i = nodes.count
            nodes.append(node)
        }
        if isNamed { byDirectory[node.directory] = i }
        return i
    }

    mutating func addDetached(_ place: SpanEntry.Place, _ source: CgroupCPUTime?, at time: Timestamp) -> Int {
        var node = CgroupNode()
        node.kind = place.kind
        node.hierarchy = hierarchies.firstIndex { $0.contains(directory: place.directory) } ?? -1
        node.path = place.cgroup
        node.directory = place.directory
        node.identity = WorkloadIdentity(cgroup: place.cgroup)
        node.inode = CgroupDirectory.identity(of: place.directory)?.inode ?? 0
        node.born = time
        node.bornAfter = time
        node.lastMove = period
        node.source = source
        node.isDetached = true
        return insert(node)
    }

    /// Forgets a cgroup all whose curves have ended.
    mutating func free(_ i: Int) {
        if byDirectory[nodes[i].directory] == i { byDirectory[nodes[i].directory] = nil }
        dropWatches(i)
        nodes[i] = CgroupNode()
        freeNodes.append(i)
    }

    private mutating func dropWatches(_ i: Int) {
        if let number = nodes[i].watch {
            if byWatch[number] == i { byWatch[number] = nil }
            watch?.remove(number)
        }
        if let number = nodes[i].populationWatch {
            if byPopulationWatch[number] == i { byPopulationWatch[number] = nil }
            watch?.remove(number)
        }
        nodes[i].watch = nil
        nodes[i].populationWatch = nil
    }

    /// It is gone, with all below it. What it has used since its last reading is settled by its parent.
    mutating func kill(_ i: Int, at time: Timestamp) {
        guard nodes[i].isAlive else { return }
        for child in nodes[i].children { kill(child, at: time) }
        nodes[i].died = time
        nodes[i].source = nil
        if byDirectory[nodes[i].directory] == i { byDirectory[nodes[i].directory] = nil }
        dropWatches(i)
        for s in nodes[i].slots {
            slots[s].died = time
            if !slots[s].key.isEmpty { spans.remove(slots[s].key) }
        }
        let parent = nodes[i].parent
        guard parent >= 0 else { return finish(i, share: 0, nodes[i].isFinal ? .read : .last, mayHaveRun: false, at: time) }
        directoryCount -= 1
        if let place = nodes[parent].children.firstIndex(of: i) {
            nodes[parent].children.swapAt(place, nodes[parent].children.count - 1)
            nodes[parent].children.removeLast()
        }
        nodes[parent].vanished.append(i)
        if !unsettled.contains(parent) { unsettled.append(parent) }
    }
}
