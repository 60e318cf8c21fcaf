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
    let facts: CurrentFacts
    /// What container runtimes and Kubernetes keep about their cgroups.
    var identityFiles = IdentityFiles()
    let clockOffset: ClockOffset
    /// Rung when a batch should be sealed now.
    let sealNow: Doorbell
    /// Rung when there is a batch to send.
    let batchSpooled: Doorbell
    let log: Logger
    /// Replaced in tests by the clocks of a board that boots in 1970.
    var clock: @Sendable () -> ClockReading = { .now() }

    func run() async throws {
        let isStopping = Flag()
        var sealing = Sealing()
        // The first reading goes to the disk at once: whatever kills the agent from here on, the counts go on from it.
        sampling.withLock { _ = $0.sample(.all, at: clock()) }
        await seal(&sealing, every: pace.interval, isLast: false)
        await withTaskCancellationOrGracefulShutdownHandler {
            while !isStopping.isSet {
                let interval = sampling.withLock { $0.isSpanRunning } ? pace.intervalInSpan : pace.interval
                await sealNow.wait(atMost: .microseconds(interval.count))
                await identifyWorkloads()
                await seal(&sealing, every: interval, isLast: isStopping.isSet)
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
        var buffer = SealingBuffer()
        /// As they were last spooled; nil where they are due whatever they are.
        var spooledFacts: WireHostFacts?
        var isDiskFailing = false
        /// Nothing is sealed until the time is known.
        var isHeld = false
        var lastAttempt: Timestamp?
    }

    /// - Parameter interval: between two batches; a filling spool makes it longer, but the state is kept at this pace all the same.
    private func seal(_ sealing: inout Sealing, every interval: Microseconds, isLast: Bool) async {
        let clock = self.clock()
        let now: Timestamp = sampling.withLock { $0.timeBase.time(of: clock) }
        for line in sampling.withLock({ $0.takeNews() }) { log.warning("\(line)") }
        guard let spool else {
            keepState(sampling.withLock { $0.take() }.state)
            return
        }
        if sampling.takeAnnounceAgain() {
            sampling.withLock { $0.announceAll() }
            sealing.spooledFacts = nil
        }
        await ease(&sealing, spool)
        sealing.buffer.add(sampling.withLock { $0.take() })
        if sealing.pressure != .none { thin(&sealing.buffer, sealing.pressure) }
        let offset = clockOffset(at: now, clock)
        let isHeld = now < .leastPlausible && offset == nil
        if isHeld != sealing.isHeld { log.notice("\(isHeld ? Self.holding : "the time is known: batches are sealed")") }
        sealing.isHeld = isHeld
        if isHeld, let waiting = sealing.buffer.waiting { thinIfLarge(&sealing.buffer, waiting) }
        let isDue =
            isLast || sealing.pressure.interval == 1
            || sealing.buffer.isDue(at: now, every: Microseconds(interval.count * sealing.pressure.interval))
        guard let sealable = sealing.buffer.waiting, isDue, !isHeld, !sealing.pressure.isFull else {
            // The counts are safe on the disk though their knots wait in memory.
            if let state = sealing.buffer.state { keepState(state) }
            return
        }
        var batches = sealable.batches()
        for i in batches.indices {
            batches[i].wallUs = now.microseconds
            batches[i].boottimeUs = clock.boottime.count
            if let offset { batches[i].clockOffsetUs = offset.count }
        }
        let facts = self.facts.now
        if sealing.spooledFacts != facts { batches[0].facts = facts }
        do {
            try await spool.append(batches, live: sealable.live, state: try sealable.state.encoded(), at: now)
            sealing.buffer.spooled(at: now)
            sealing.spooledFacts = facts
            if sealing.isDiskFailing { log.notice("the spool can be written again") }
            sealing.isDiskFailing = false
            batchSpooled.ring()
        } catch {
            let isNews = !sealing.isDiskFailing
            if isNews { log.error("cannot spool a batch; it waits in memory, no energy is lost: \(error)") }
            sealing.isDiskFailing = true
            thinIfLarge(&sealing.buffer, sealable)
            // A disk that is full for a batch may have room for the state.
            if let state = sealing.buffer.state { keepState(state, isFailureSaid: isNews || isLast) }
        }
        if isLast, !sealing.isDiskFailing { keepState(sealable.state) }
    }

    private static let holding =
        "this machine's clock says a time before 2020: batches wait in memory until it is set or the collector has told the time"

    /// What to add to the agent's times: as measured on exchanges with the collector, else, where they are those of a clock that was
    /// never set, by the host's own clock once it is. Nil where neither is known.
    ///
    /// The collector moves a whole boot by the offset of its first batch. So a boot in 1970 seals nothing without one, not even when the
    /// agent stops: its counts go on from the state, while a batch that is sent an hour late would put the whole boot an hour off.
    private func clockOffset(at now: Timestamp, _ clock: ClockReading) -> Microseconds? {
        if let measured = clockOffset.best { return measured }
        return now < .leastPlausible && clock.wall >= .leastPlausible ? clock.wall - now : nil
    }

    /// Keeps what waits for long in bounds.
    private func thinIfLarge(_ buffer: inout SealingBuffer, _ waiting: Sealable) {
        if waiting.knotCount > 20_000 { thin(&buffer, SealingPace.Pressure(interval: 1, coarseness: 64)) }
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

    private func thin(_ buffer: inout SealingBuffer, _ pressure: SealingPace.Pressure) {
        let (energy, cpu, refs) = sampling.withLock {
            ($0.settings.energyEpsilon.microjoules, $0.settings.cpuEpsilon.count, $0.energyRefs)
        }
        buffer.thin(energyEpsilon: energy * pressure.coarseness, cpuEpsilon: cpu * pressure.coarseness, energyRefs: refs)
    }

    private func keepState(_ state: AgentState, isFailureSaid: Bool = true) {
        do {
            try stateFile.write(try state.encoded())
        } catch {
            if isFailureSaid { log.error("cannot save the state; after a restart counts go on from the last that was saved: \(error)") }
        }
    }
}

/// A flag that is set once.
final class Flag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
