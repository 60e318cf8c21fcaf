import Energy
import Logging
import ServiceLifecycle
import Synchronization
import Wire

/// Seals what was sampled into batches and spools them: at a steady pace, and at once after a span's end.
///
/// Without a collector nothing is spooled; only the state is kept, so that the counts go on after a restart.
struct BatchSealer: Service {
    let sampling: SharedSampling
    /// Nil where no collector is configured.
    let spool: Spool?
    let stateFile: StateFile
    let pace: SealingPace
    let facts: WireHostFacts
    /// What container runtimes and Kubernetes keep about their cgroups.
    var identityFiles = IdentityFiles()
    let clockOffset: ClockOffset
    /// Rung when a batch should be sealed now.
    let sealNow: Doorbell
    /// Rung when there is a batch to send.
    let batchSpooled: Doorbell
    let log: Logger

    func run() async throws {
        let isStopping = Flag()
        var sealing = Sealing()
        // The first reading goes to the disk at once: whatever kills the agent from here on, the counts go on from it.
        sampling.withLock { _ = $0.sample(.all, at: .now()) }
        await seal(&sealing, isLast: false)
        await withTaskCancellationOrGracefulShutdownHandler {
            while !isStopping.isSet {
                let interval = sampling.withLock { $0.isSpanRunning } ? pace.intervalInSpan : pace.interval
                await sealNow.wait(atMost: .microseconds(interval.count * sealing.pressure.interval))
                await identifyWorkloads()
                await seal(&sealing, isLast: isStopping.isSet)
            }
        } onCancelOrGracefulShutdown: {
            isStopping.set()
            sealNow.ring()
        }
    }

    /// Looks up containers and pods on a thread of its own: it may have to read many files.
    private func identifyWorkloads() async {
        let questions = sampling.withLock { $0.workloads.unidentified() }
        guard !questions.isEmpty else { return }
        do {
            try await OwnThread.run("identities") { [sampling, identityFiles] in
                let answers = identityFiles.answers(to: questions)
                sampling.withLock { $0.identify(answers) }
            }
        } catch {
            log.warning("containers and pods cannot be looked up: \(error)")
        }
    }

    private struct Sealing {
        var pressure = SealingPace.Pressure.none
        /// Gathered, but not on the disk yet.
        var waiting: Sealable?
        var areFactsDue = true
        var isDiskFailing = false
        var lastAttempt: Timestamp?
    }

    private func seal(_ sealing: inout Sealing, isLast: Bool) async {
        let clock = ClockReading.now()
        let now: Timestamp = sampling.withLock { $0.timeBase.time(of: clock) }
        for line in sampling.withLock({ $0.takeNews() }) { log.warning("\(line)") }
        guard let spool else {
            keepState(sampling.withLock { $0.take() }.state)
            return
        }
        if sampling.takeAnnounceAgain() {
            sampling.withLock { $0.announceAll() }
            sealing.areFactsDue = true
        }
        await ease(&sealing, spool)
        var sealable = sealing.waiting
        let fresh = sampling.withLock { $0.take() }
        if sealable == nil { sealable = fresh } else { sealable?.append(fresh) }
        guard var sealable else { return }
        if sealing.pressure.isFull {
            thin(&sealable, sealing.pressure)
            sealing.waiting = sealable
            // The counts are safe on the disk though their knots wait in memory.
            keepState(sealable.state)
            return
        }
        if sealing.pressure != .none { thin(&sealable, sealing.pressure) }
        var batches = sealable.batches()
        for i in batches.indices {
            batches[i].wallUs = now.microseconds
            batches[i].boottimeUs = clock.boottime.count
            if let offset = clockOffset.best { batches[i].clockOffsetUs = offset.count }
        }
        if sealing.areFactsDue { batches[0].facts = facts }
        do {
            try await spool.append(batches, live: sealable.live, state: try sealable.state.encoded(), at: now)
            sealing.waiting = nil
            sealing.areFactsDue = false
            if sealing.isDiskFailing { log.notice("the spool can be written again") }
            sealing.isDiskFailing = false
            batchSpooled.ring()
        } catch {
            if !sealing.isDiskFailing { log.error("cannot spool a batch; it waits in memory, no energy is lost: \(error)") }
            sealing.isDiskFailing = true
            if sealable.knotCount > 20_000 { thin(&sealable, SealingPace.Pressure(interval: 1, coarseness: 64)) }
            sealing.waiting = sealable
        }
        if isLast { keepState(sealable.state) }
    }

    /// Slows down as the spool fills, and back.
    private func ease(_ sealing: inout Sealing, _ spool: Spool) async {
        let fill = await spool.fill
        let pressure = SealingPace.Pressure(fill: fill)
        guard pressure != sealing.pressure else { return }
        sealing.pressure = pressure
        sampling.withLock { $0.setCoarseness(pressure.coarseness) }
        let percent = Int64(saturating: fill * 100)
        if pressure == .none {
            log.notice("the spool has room again (\(percent) % full): curves are as fine as configured")
        } else {
            let place = pressure.isFull ? " and wait in memory" : ""
            log.warning("the spool is \(percent) % full: curves are \(pressure.coarseness) times coarser\(place); energy stays exact")
        }
    }

    private func thin(_ sealable: inout Sealable, _ pressure: SealingPace.Pressure) {
        let (energy, cpu, refs) = sampling.withLock {
            ($0.settings.energyEpsilon.microjoules, $0.settings.cpuEpsilon.count, $0.energyRefs)
        }
        sealable.thin(energyEpsilon: energy * pressure.coarseness, cpuEpsilon: cpu * pressure.coarseness, energyRefs: refs)
    }

    private func keepState(_ state: AgentState) {
        do {
            try stateFile.write(try state.encoded())
        } catch {
            log.error("cannot save the state; after a restart counts go on from the last that was saved: \(error)")
        }
    }
}

/// A flag that is set once.
final class Flag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
