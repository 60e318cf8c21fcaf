import Energy
import Meters
import Wire

extension Workloads {
    /// Looks at what a client says about a span, before anything is read for it.
    ///
    /// - Throws: `SpanFault` where its key or its cgroup is not what it may be. A client must not make the agent read elsewhere than
    ///   in a cgroup mount.
    func admit(_ request: SpanRequest) throws(SpanFault) -> SpanEntry {
        guard !request.key.isEmpty, request.key.utf8.count <= SpanRequest.longestKey else {
            throw SpanFault(description: "expected a key of 1 to \(SpanRequest.longestKey) bytes, found \(request.key.utf8.count)")
        }
        let place = try place(of: request)
        guard request.phase == .start else { return SpanEntry(phase: .finish, key: request.key, place: place, source: nil) }
        guard spans.contains(request.key) || spans.count < settings.maximumSpans else {
            throw SpanFault(
                description: "expected at most \(settings.maximumSpans) spans at a time, found as many running; finish some first"
            )
        }
        var source: CgroupCPUTime?
        if let place, byDirectory[place.directory] == nil || living(request.key).map({ slots[$0].directory }) != place.directory {
            do throws(SensorFault) {
                source = try CgroupCPUTime(directory: place.directory, kind: place.kind)
            } catch {
                throw SpanFault(description: "expected a cgroup at \(place.directory), found none to read: \(error)")
            }
        }
        return SpanEntry(phase: .start, key: request.key, place: place, source: source)
    }

    /// A span begins. Its cgroup, where it has one, gets a curve of its own from here on.
    ///
    /// - Returns: the cgroup's count of CPU time, µs; nil where it has none or that is gone.
    mutating func start(_ entry: SpanEntry, at time: Timestamp) -> Int64? {
        takeEvents(at: time)
        spans.insert(entry.key)
        let earlier = living(entry.key)
        guard let place = entry.place, earlier.map({ slots[$0].directory }) != place.directory else {
            guard let earlier else { return nil }
            return readNode(slots[earlier].node, at: time, flags: .edge) ? slots[earlier].curve.raw : nil
        }
        // The key's earlier cgroup, if it is still open, ends here.
        if let earlier {
            let node = slots[earlier].node
            if readNode(node, at: time, flags: .edge), let earlier = living(entry.key) { end(earlier, .read, at: time) }
            spans.insert(entry.key)
        }
        // What the admission opened is the cgroup the client meant, whatever has become of one that was followed.
        if let known = byDirectory[place.directory] {
            _ = readNode(known, at: time, flags: nodes[known].slots.isEmpty ? [] : .edge)
        }
        let i = byDirectory[place.directory] ?? addDetached(place, entry.source, at: time)
        if nodes[i].slots.isEmpty, !readNode(i, at: time) {
            spans.remove(entry.key)
            return nil
        }
        for s in nodes[i].slots where slots[s].key.isEmpty { end(s, .read, at: time) }
        // Ending the last curve of a cgroup that only a client named forgets it.
        var node = i
        if !nodes[i].isAlive {
            node = addDetached(place, entry.source, at: time)
            guard readNode(node, at: time) else { return nil }
        }
        let s = open(node, key: entry.key, cgroup: place.cgroup, fromRaw: nodes[node].raw, at: time, flags: .edge)
        return slots[s].curve.raw
    }

    /// A span ends, and its curve with it.
    ///
    /// - Returns: the cgroup's count of CPU time, µs; nil where it has none or that is gone.
    mutating func finish(_ entry: SpanEntry, at time: Timestamp) -> Int64? {
        defer { spans.remove(entry.key) }
        if let s = living(entry.key) {
            let isThere = readNode(slots[s].node, at: time, flags: .edge)
            let raw = slots[s].curve.raw
            if isThere { end(s, .read, at: time) } else { settleAll(at: time, isDue: true) }
            return raw
        }
        guard let place = entry.place else { return nil }
        // Not registered: the agent was not there at its start. Its total is all that can be told, if it is still there.
        do throws(SensorFault) {
            return try CgroupCPUTime(directory: place.directory, kind: place.kind).read().count
        } catch {
            sayOnce("a span finished whose cgroup the agent did not know and cannot read: \(error)")
            return nil
        }
    }

    func living(_ key: String) -> Int? { slots.firstIndex { $0.died == nil && $0.key == key } }

    /// Where a client's cgroup is, if it is within a cgroup mount.
    private func place(of request: SpanRequest) throws(SpanFault) -> SpanEntry.Place? {
        if let directory = request.directory {
            guard CgroupHierarchy.isPlain(directory), let hierarchy = hierarchies.first(where: { $0.contains(directory: directory) }) else {
                let mounts = hierarchies.map(\.mount).joined(separator: ", ")
                throw SpanFault(
                    description: "expected cgroup_dir below a cgroup mount (\(mounts.isEmpty ? "none here" : mounts)), found '\(directory)'"
                )
            }
            let below = String(directory.dropFirst(hierarchy.mount.count))
            let cgroup = request.cgroup ?? (below.isEmpty ? "/" : below)
            guard CgroupHierarchy.isPlain(cgroup) else {
                throw SpanFault(description: "expected a cgroup path such as /wattle/run-1, found '\(cgroup)'")
            }
            return SpanEntry.Place(cgroup: cgroup, directory: directory, kind: hierarchy.kind)
        }
        guard let cgroup = request.cgroup else { return nil }
        guard CgroupHierarchy.isPlain(cgroup) else {
            throw SpanFault(description: "expected a cgroup path such as /wattle/run-1, found '\(cgroup)'")
        }
        guard let hierarchy = hierarchies.first else {
            throw SpanFault(description: "expected a mounted cgroup hierarchy for '\(cgroup)', found none on this host")
        }
        return SpanEntry.Place(cgroup: cgroup, directory: hierarchy.directory(of: cgroup), kind: hierarchy.kind)
    }

    // MARK: Restarts

    /// Goes on with a workload of an earlier run; one that is gone ends at its last reading.
    mutating func resume(_ state: AgentState.Workload, isSameBoot: Bool) {
        let kind: CgroupHierarchy.Kind = state.isUnified ? .unified : .cpuacct
        let place = SpanEntry.Place(cgroup: state.cgroup, directory: state.directory, kind: kind)
        let ended = Timestamp(microseconds: state.curve.time)
        var source: CgroupCPUTime?
        var raw: Int64?
        if isSameBoot {
            do throws(SensorFault) {
                source = try CgroupCPUTime(directory: state.directory, kind: kind)
                raw = try source?.read().count
            } catch {
                let name = state.key.isEmpty ? state.cgroup : "of span \(state.key)"
                say("the cgroup \(name) went while the agent did not run; its CPU time ends at its last reading")
            }
        }
        // One that has used less is a later one of the same name.
        let isThere = raw.map { $0 >= state.curve.raw ?? 0 } ?? false
        var announcement = WorkloadCurve.announcement(
            .workloadCpu,
            cgroup: state.cgroup,
            born: Timestamp(microseconds: state.born),
            epsilon: settings.cpuEpsilon.count,
            period: settings.readPeriod
        )
        announcement.name = state.curve.name
        announcement.ref = isSameBoot ? state.curve.ref : number()
        nextRef = max(nextRef, announcement.ref + 1)
        var curve = CountedCurve(announcement: announcement, modulus: nil, maximumRate: Double(cpus), absence: .counted)
        curve.resume(state.curve, isSameBoot: isSameBoot)
        let identity = WorkloadIdentity(cgroup: state.cgroup)
        var workload = WorkloadCurve(
            curve: curve,
            cgroup: state.cgroup,
            directory: state.directory,
            hierarchy: hierarchies.firstIndex { $0.kind == kind && $0.contains(directory: state.directory) } ?? -1,
            kind: kind,
            key: state.key,
            born: Timestamp(microseconds: state.born),
            identity: identity,
            node: -1,
            isIdentified: identity.containerID.isEmpty && identity.podUID.isEmpty
        )
        if isThere {
            let i = byDirectory[state.directory] ?? addDetached(place, source, at: ended)
            nodes[i].raw = state.curve.raw ?? 0
            nodes[i].rawTime = ended
            workload.node = i
            nodes[i].slots.append(slots.count)
            if !state.key.isEmpty { spans.insert(state.key) }
            if let memory = state.memory, let source = memorySource(kind: kind, directory: state.directory, cgroup: state.cgroup) {
                var announcement = memoryAnnouncement(cgroup: state.cgroup, born: workload.born)
                announcement.name = memory.name
                announcement.ref = isSameBoot ? memory.ref : number()
                nextRef = max(nextRef, announcement.ref + 1)
                workload.memory = MemoryCurve(announcement: announcement, source: source, resuming: memory)
            }
        } else {
            workload.died = ended
            workload.ending = .last
            if let memory = state.memory { closing.append(closed(memory, workload, isSameBoot: isSameBoot)) }
        }
        slots.append(workload)
    }

    /// The memory curve of a workload that went while the agent did not run.
    private mutating func closed(_ state: AgentState.Curve, _ workload: WorkloadCurve, isSameBoot: Bool) -> CountedCurve {
        var announcement = memoryAnnouncement(cgroup: workload.cgroup, born: workload.born)
        announcement.name = state.name
        announcement.ref = isSameBoot ? state.ref : number()
        nextRef = max(nextRef, announcement.ref + 1)
        var curve = CountedCurve(announcement: announcement, modulus: nil, maximumRate: 0, absence: .counted)
        curve.resume(state, isSameBoot: isSameBoot)
        return curve
    }
}
