import Energy
import Meters
import Wire

extension Workloads {
    /// Reads each curve's cgroup.
    ///
    /// - Parameter flags: none for the periodic reading, once in `settings.readPeriod`: what has emptied is not read, what has not
    ///   moved for a while only now and then, because a count loses resolution by that and no time. With flags all are read, and the
    ///   readings are knots.
    mutating func read(at time: Timestamp, flags: KnotFlags = []) {
        takeEvents(at: time)
        if flags.isEmpty { period += 1 }
        for i in nodes.indices where nodes[i].isAlive && isRead(i) && (!flags.isEmpty || isDue(i)) {
            _ = readNode(i, at: time, flags: flags)
        }
        if flags.isEmpty {
            readingsLeft = settings.settlingReadings
            if period % settings.memoryStride == 0 { readMemory(at: time) }
            if period % settings.memoryStride == settings.memoryStride / 2 { lookForOwnProcesses() }
        }
        settleAll(at: time, isDue: true)
        if flags.isEmpty { recover(at: time) }
    }

    /// Whether its count is of interest by itself.
    func isRead(_ i: Int) -> Bool {
        nodes[i].depth > 0 && (nodes[i].children.isEmpty || nodes[i].isWhole) || !nodes[i].slots.isEmpty
    }

    private func isDue(_ i: Int) -> Bool {
        guard !nodes[i].isFinal else { return false }
        guard period - nodes[i].lastMove > settings.idleAfter else { return true }
        if nodes[i].slots.contains(where: { !slots[$0].key.isEmpty }) { return true }
        // Spread over the periods.
        return (period + i) % settings.idleStride == 0
    }

    /// The count now; nil where it cannot be read. A cgroup that is gone is ended.
    mutating func rawValue(_ i: Int, at time: Timestamp) -> Int64? {
        guard nodes[i].isAlive else { return nil }
        if nodes[i].source == nil {
            do throws(SensorFault) {
                nodes[i].source = try CgroupCPUTime(directory: nodes[i].directory, kind: nodes[i].kind)
            } catch {
                if error.isVanished {
                    kill(i, at: time)
                } else {
                    sayOnce("the CPU time of a cgroup cannot be read: \(error)")
                }
                return nil
            }
        }
        guard let source = nodes[i].source else { return nil }
        do throws(SensorFault) {
            return try source.read().count
        } catch {
            if !error.isVanished { sayOnce("the cgroup \(nodes[i].path) cannot be read any more: \(error)") }
            kill(i, at: time)
            return nil
        }
    }

    /// Reads the count and keeps it. Returns nil where it cannot be read.
    mutating func note(_ i: Int, at time: Timestamp) -> Int64? {
        guard let raw = rawValue(i, at: time) else { return nil }
        nodes[i].rawTime = time
        guard raw != nodes[i].raw else { return raw }
        let parent = nodes[i].parent
        if parent >= 0 { nodes[parent].childrenRaw += raw - nodes[i].raw }
        nodes[i].raw = raw
        nodes[i].lastMove = period
        nodes[i].isFinal = false
        return raw
    }

    /// Reads the count into the curves. Returns whether it could be read.
    mutating func readNode(_ i: Int, at time: Timestamp, flags: KnotFlags = []) -> Bool {
        let (before, beforeTime) = (nodes[i].raw, nodes[i].rawTime)
        guard let raw = note(i, at: time) else { return false }
        if nodes[i].slots.isEmpty {
            // What cgroups below it used that are gone is not its own.
            let own = nodes[i].wasParent && !nodes[i].isWhole ? max(before, nodes[i].base + nodes[i].childrenRaw) : before
            let isOwn = own == before || !nodes[i].children.isEmpty || CgroupDirectory.hasProcesses(nodes[i].directory)
            if raw > own, isOwn {
                openCurve(i, fromRaw: own, at: min(beforeTime, time), isPreferred: nodes[i].isWhole || !nodes[i].isResident)
            }
        }
        ownUse(i)
        for s in nodes[i].slots { slots[s].curve.read(raw: raw, at: time, flags: flags) }
        return true
    }

    /// What a cgroup without others below it has used is its own, and not that of cgroups to come.
    private mutating func ownUse(_ i: Int) {
        guard nodes[i].children.isEmpty, nodes[i].vanished.isEmpty, nodes[i].base + nodes[i].childrenRaw != nodes[i].raw else { return }
        // One that has had others below it: it may be that of one just made of which nothing was heard yet.
        guard !nodes[i].wasParent || CgroupDirectory.hasProcesses(nodes[i].directory) else { return }
        guard nodes[i].isPopulated != false else { return }
        nodes[i].childrenRaw = 0
        nodes[i].base = nodes[i].raw
    }

    /// Gives a cgroup a curve from a count on, where it may have one.
    mutating func openCurve(_ i: Int, fromRaw raw: Int64, at time: Timestamp, isPreferred: Bool) {
        guard nodes[i].depth > 0, nodes[i].isWhole || nodes[i].children.isEmpty && nodes[i].vanished.isEmpty, !hasTwin(i) else {
            return
        }
        // Those that are born, and those that are something, come before residents, and before what another curve counts as well.
        let room =
            isPreferred && (nodes[i].identity.isWhole || !isWithinAnother(i)) ? settings.maximumCurves : settings.maximumCurves / 4 * 3
        guard slots.count(where: { $0.died == nil && $0.key.isEmpty }) < room else {
            if !nodes[i].isUnfollowed { countUnfollowed("\(settings.maximumCurves) curves") }
            nodes[i].isUnfollowed = true
            return
        }
        open(i, key: "", fromRaw: raw, at: time)
    }

    /// Whether a cgroup around it has a curve or may have one.
    private func isWithinAnother(_ i: Int) -> Bool {
        var around = nodes[i].parent
        while around >= 0, nodes[around].depth > 0 {
            if nodes[around].isWhole || !nodes[around].slots.isEmpty { return true }
            around = nodes[around].parent
        }
        return false
    }

    /// Curves below it were told another that is around them.
    private mutating func tellThoseBelow(_ i: Int) {
        for child in nodes[i].children {
            if nodes[child].slots.isEmpty { tellThoseBelow(child) }
            for s in nodes[child].slots { slots[s].isChanged = true }
        }
    }

    /// Whether the same path has a curve in another hierarchy.
    private func hasTwin(_ i: Int) -> Bool {
        guard hierarchies.count > 1 else { return false }
        for (h, hierarchy) in hierarchies.enumerated() where h != nodes[i].hierarchy {
            if let twin = byDirectory[hierarchy.directory(of: nodes[i].path)] {
                if !nodes[twin].slots.isEmpty { return true }
            } else if slots.contains(where: {
                $0.hierarchy == h && $0.died.map { $0 > nodes[i].bornAfter } ?? false && $0.cgroup == nodes[i].path
            }) {
                return true
            }
        }
        return false
    }

    /// The curve begins at 0 at a count.
    @discardableResult
    mutating func open(
        _ i: Int,
        key: String,
        cgroup: String? = nil,
        fromRaw raw: Int64,
        at time: Timestamp,
        flags: KnotFlags = []
    ) -> Int {
        let cgroup = cgroup ?? nodes[i].path
        var announcement = WorkloadCurve.announcement(
            .workloadCpu,
            cgroup: cgroup,
            born: time,
            epsilon: settings.cpuEpsilon.count * factor,
            period: settings.readPeriod
        )
        announcement.ref = number()
        announcement.origin = drawOrigin()
        var curve = CountedCurve(announcement: announcement, modulus: nil, maximumRate: Double(cpus), absence: .counted)
        curve.read(raw: raw, at: time, flags: flags)
        let s = slots.count
        slots.append(
            WorkloadCurve(
                curve: curve,
                cgroup: cgroup,
                directory: nodes[i].directory,
                hierarchy: nodes[i].hierarchy,
                kind: nodes[i].kind,
                key: key,
                born: time,
                identity: nodes[i].identity,
                node: i,
                died: nodes[i].died,
                isIdentified: nodes[i].identity.containerID.isEmpty && nodes[i].identity.podUID.isEmpty
            )
        )
        nodes[i].slots.append(s)
        slots[s].parent = parentRef(s)
        tellThoseBelow(i)
        if nodes[i].died == nil { openMemory(s, at: time) }
        return s
    }

    private mutating func openMemory(_ s: Int, at time: Timestamp) {
        guard let source = memorySource(kind: slots[s].kind, directory: slots[s].directory, cgroup: slots[s].cgroup) else { return }
        var announcement = memoryAnnouncement(cgroup: slots[s].cgroup, born: time)
        announcement.ref = number()
        announcement.origin = drawOrigin()
        slots[s].memory = MemoryCurve(announcement: announcement, source: source, at: time)
    }

    func memorySource(kind: CgroupHierarchy.Kind, directory: String, cgroup: String) -> CgroupMemory? {
        CgroupMemory(
            directory: kind == .unified ? directory : nil,
            inMemoryHierarchy: cgroup == "/" ? nil : memoryMount.map { $0 + cgroup }
        )
    }

    func memoryAnnouncement(cgroup: String, born: Timestamp) -> WireCurveAnnouncement {
        WorkloadCurve.announcement(
            .workloadMemory,
            cgroup: cgroup,
            born: born,
            epsilon: settings.memoryEpsilonByteSeconds * factor,
            period: Microseconds(settings.readPeriod.count * Int64(settings.memoryStride))
        )
    }

    private mutating func readMemory(at time: Timestamp) {
        for s in slots.indices where slots[s].died == nil {
            slots[s].memory?.read(at: time)
            // Told when it has grown by an eighth, and at the end.
            if let maximum = slots[s].memory?.maximum, maximum > slots[s].toldMaximum + slots[s].toldMaximum / 8 {
                slots[s].isChanged = true
            }
        }
    }

    /// Ends a curve with the reading that it has.
    mutating func end(_ s: Int, _ ending: WorkloadCurve.Ending, at time: Timestamp) {
        guard !slots[s].isEnded else { return }
        let last = slots[s].curve.tail?.time ?? time
        slots[s].died = last
        slots[s].ending = ending
        slots[s].isChanged = true
        slots[s].memory?.end(at: last)
        if !slots[s].key.isEmpty { spans.remove(slots[s].key) }
        let i = slots[s].node
        slots[s].parent = parentRef(s)
        slots[s].node = -1
        guard i >= 0 else { return }
        nodes[i].slots.removeAll { $0 == s }
        if nodes[i].isAlive, nodes[i].isDetached, nodes[i].slots.isEmpty { free(i) }
    }
}
