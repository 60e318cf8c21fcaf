import Energy
import Meters
import Wire

extension Workloads {
    /// Takes what was gathered since the last call, the state included; workloads that have ended are let go.
    mutating func take(into sealable: inout Sealable) {
        for i in closing.indices { sealable.take(&closing[i], isClosed: true) }
        closing = []
        for s in slots.indices {
            let isEnded = slots[s].isEnded
            // Nothing ever ran there, and nobody asked: not worth a curve.
            if isEnded, slots[s].key.isEmpty, !slots[s].curve.isAnnounced, slots[s].ending != .last, (slots[s].curve.tail?.value ?? 0) == 0
            {
                continue
            }
            let isDue = isTailDue(s)
            if sealable.take(&slots[s].curve, isClosed: isEnded, mustHaveTail: isDue, completeUntil: emptySince(s)),
                let tail = slots[s].curve.tail
            {
                slots[s].tailSent = (tail.time, tail.value, tail.value != slots[s].tailSent?.value)
            }
            if slots[s].memory != nil { takeMemory(s, isEnded: isEnded, mustHaveTail: isDue, into: &sealable) }
            if slots[s].isChanged, slots[s].curve.tail != nil {
                slots[s].parent = parentRef(s)
                sealable.workloads.append(slots[s].change)
                slots[s].toldMaximum = slots[s].memory?.maximum ?? 0
                slots[s].isChanged = false
            }
            if let state = slots[s].state { sealable.state.workloads.append(state) }
        }
        sealable.state.nextRef = nextRef
        dropEnded()
    }

    private mutating func takeMemory(_ s: Int, isEnded: Bool, mustHaveTail: Bool, into sealable: inout Sealable) {
        guard var memory = slots[s].memory else { return }
        // Not copied: the curve's knots are taken from it.
        slots[s].memory = nil
        sealable.take(&memory.curve, isClosed: isEnded, mustHaveTail: mustHaveTail)
        slots[s].memory = memory
    }

    /// Until when a cgroup in which nothing runs is known to have used nothing more: it is not read, and a job that was in it must not
    /// wait for a reading. Nil where something runs.
    private func emptySince(_ s: Int) -> Timestamp? {
        let node = slots[s].node
        return node >= 0 && nodes[node].isFinal ? lastLook : nil
    }

    /// A curve that stands still and belongs to no span needs a new tail only now and then; one more follows its last move, so that
    /// the collector need not wait for what will not come.
    private func isTailDue(_ s: Int) -> Bool {
        guard slots[s].key.isEmpty, let sent = slots[s].tailSent, let tail = slots[s].curve.tail else { return true }
        return tail.value != sent.value || sent.hadMoved || tail.time - sent.time >= settings.idleTailEvery
    }

    /// The curve of the nearest cgroup around it that has one; of the first span on the same cgroup where there are several.
    func parentRef(_ s: Int) -> UInt32 {
        var node = slots[s].node
        guard node >= 0 else { return slots[s].parent }
        if let first = nodes[node].slots.first, first != s, !slots[s].key.isEmpty { return slots[first].curve.announcement.ref }
        while true {
            node = nodes[node].parent
            guard node >= 0 else { return 0 }
            if let around = nodes[node].slots.first ?? twinSlot(node) { return slots[around].curve.announcement.ref }
        }
    }

    /// The curve of the same path in another hierarchy.
    private func twinSlot(_ i: Int) -> Int? {
        guard hierarchies.count > 1, nodes[i].depth > 0 else { return nil }
        for (h, hierarchy) in hierarchies.enumerated() where h != nodes[i].hierarchy {
            if let twin = byDirectory[hierarchy.directory(of: nodes[i].path)], let s = nodes[twin].slots.first { return s }
        }
        return nil
    }

    private mutating func dropEnded() {
        guard slots.contains(where: \.isEnded) else { return }
        slots.removeAll(where: \.isEnded)
        for s in slots.indices where slots[s].node >= 0 { nodes[slots[s].node].slots = [] }
        for s in slots.indices where slots[s].node >= 0 { nodes[slots[s].node].slots.append(s) }
    }

    /// Makes every curve's latest sample a knot: the agent is about to stop.
    mutating func forceTails() {
        for s in slots.indices {
            slots[s].curve.force()
            slots[s].memory?.curve.force()
        }
    }

    /// Announce every curve again with the next batch.
    mutating func announceAll() {
        for s in slots.indices {
            slots[s].curve.isAnnounced = false
            slots[s].memory?.curve.isAnnounced = false
            slots[s].isChanged = true
            slots[s].tailSent = nil
        }
    }

    /// Coarser curves while the spool is short of room: every ε is multiplied by `factor`.
    mutating func setCoarseness(_ factor: Int64) {
        guard factor != self.factor else { return }
        self.factor = factor
        for s in slots.indices {
            slots[s].curve.setCoarseness(factor, of: settings.cpuEpsilon.count)
            slots[s].memory?.curve.setCoarseness(factor, of: settings.memoryEpsilonByteSeconds)
        }
    }

    // MARK: Identity

    /// Containers and pods of which more may be known than their path tells. To be looked up elsewhere than on the sampler's thread,
    /// with `IdentityFiles`.
    func unidentified() -> [IdentityQuestion] {
        slots.filter { !$0.isIdentified }.map {
            IdentityQuestion(ref: $0.curve.announcement.ref, containerID: $0.identity.containerID, podUID: $0.identity.podUID)
        }
    }

    /// Takes what was found. Each is asked for once.
    mutating func identify(_ answers: [IdentityAnswer]) {
        for answer in answers {
            guard let s = slots.firstIndex(where: { $0.curve.announcement.ref == answer.ref }) else { continue }
            slots[s].isIdentified = true
            guard !answer.labels.isEmpty || !answer.pod.isEmpty else { continue }
            slots[s].labels = answer.labels
            slots[s].pod = answer.pod
            slots[s].isChanged = true
        }
    }
}
