import Energy
import Factors
import Glibc
import Meters
import Synchronization

/// The machine's own energy counters, where there are any that this user may read, and how busy it is.
///
/// Looking for sensors the whole way, table of processors included, would delay the command that is measured. So only counters
/// are opened at first, and the model is looked up by `LocalModel` while the command runs.
final class LocalMeters: Sendable {
    /// Counters wrap within minutes at full power: they are read at least this often.
    static let longestPause = Duration.seconds(60)

    private struct Counter {
        var meter: any Meter
        var unwrapping: CounterUnwrapping
        var total: Int64 = 0
    }

    private struct State {
        var counters: [Counter]
        var stat: ProcStatReader?
        var isPartial = false
    }

    private let state: Mutex<State>
    /// What the counters are called, for people: `package-0, dram`.
    let counterNames: [String]
    /// No counter covers the processor.
    let needsModel: Bool

    init(roots: HostRoots = HostRoots()) {
        var counters: [Counter] = []
        var needsModel = true
        do {
            if LocalMeters.hasCounters(roots) {
                let found = HostSensors.find(
                    on: try SensorHost(
                        roots: roots,
                        // A driver that takes seconds to wake must not hold up the command.
                        options: ["nvml.enabled": "no", "ipmi.enabled": "no"],
                        clock: LocalMeters.monotonicNow,
                        powerTable: try CPUPowerTable(csv: LocalMeters.firstRow(of: Factors.cpuPowerCSV))
                    )
                )
                for meter in found.meters where found.cover.contains(meter.place.name) && meter.place.quality != .modelled {
                    let modulus: Int64? = if case .hardware(let modulus) = meter.counting { modulus } else { nil }
                    counters.append(
                        Counter(
                            meter: meter,
                            unwrapping: CounterUnwrapping(modulus: modulus, maximumRate: meter.maximumPower.watts)
                        )
                    )
                }
                needsModel = found.meters.contains { found.cover.contains($0.place.name) && $0.place.quality == .modelled }
            }
        } catch {
            // Without counters there still is the model; why there are none is the agent's `detect` to say.
            counters = []
            needsModel = true
        }
        let reader: ProcStatReader?
        do throws(SensorFault) {
            reader = try ProcStatReader(roots: roots)
        } catch {
            reader = nil
        }
        counterNames = counters.map(\.meter.place.name)
        self.needsModel = needsModel
        state = Mutex(State(counters: counters, stat: reader))
    }

    var hasCounters: Bool { !counterNames.isEmpty }

    /// Reads everything now.
    func read() -> LocalReading {
        state.withLock { state in
            let time = Timestamp.systemNow()
            let monotonic = LocalMeters.monotonicNow()
            var counted: [Component: Energy] = [:]
            for index in state.counters.indices {
                do throws(SensorFault) {
                    let reading = try state.counters[index].meter.read(at: monotonic)
                    if reading.gap != nil { state.isPartial = true }
                    switch state.counters[index].unwrapping.read(raw: reading.count, at: reading.time ?? monotonic) {
                    case .first: break
                    case .exactly(let increase): state.counters[index].total += increase
                    case .between(let low, _, _):
                        state.counters[index].total += low
                        state.isPartial = true
                    }
                } catch {
                    state.isPartial = true
                }
                let component = state.counters[index].meter.place.zone.component
                counted[component, default: .zero] += Energy(microjoules: state.counters[index].total)
            }
            var stat: ProcStat?
            do throws(SensorFault) {
                stat = try state.stat?.read()
            } catch {
                state.stat = nil
            }
            return LocalReading(time: time, stat: stat, counted: counted, isPartial: state.isPartial)
        }
    }

    /// Reads now and then until it is cancelled, so that no counter wraps unseen.
    func keepReading() async {
        guard hasCounters else { return }
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: LocalMeters.longestPause)
            } catch {
                return
            }
            _ = await OwnThread.run { self.read() }
        }
    }

    /// Two snapshots of the machine from two readings of it.
    ///
    /// - Parameters:
    ///   - used: CPU time that is known to have been used in between: `/proc/stat` counts in ticks and misses short work.
    ///   - model: looked up only where it is needed.
    func snapshots(
        from start: LocalReading,
        to end: LocalReading,
        used: Microseconds,
        model: () -> Result<LocalModel, Unmeasurable>
    ) throws(Unmeasurable) -> (start: Snapshot, end: Snapshot) {
        let model = try model().get()
        let cpus = end.stat?.cpus ?? model.cpus
        var startComponents = start.counted
        var endComponents = end.counted
        var idle: [Component: UtilisationModel.Point] = [:]
        var quality: Quality = end.isPartial ? .partial : .measured
        var ratios: (low: Double, high: Double) = (1, 1)
        var basis = "counters \(counterNames.joined(separator: ", "))"
        if needsModel {
            guard let before = start.stat, let after = end.stat else {
                throw Unmeasurable(description: "no energy counter can be read here, nor how busy the machine is (/proc/stat)")
            }
            startComponents[.cpu] = .zero
            endComponents[.cpu] = Energy(
                rounding: model.power.microjoules(over: end.time - start.time, busy: max(used, after.busy - before.busy), cpus: cpus)
            )
            idle[.cpu] = model.power.idle
            ratios = model.power.boundRatios
            quality = max(quality, .modelled)
            basis = hasCounters ? "\(model.basis); \(basis)" : model.basis
        } else if endComponents[.cpu] != nil {
            idle[.cpu] = model.packagesIdle
        }
        guard !endComponents.isEmpty else { throw Unmeasurable(description: "no energy counter can be read here") }
        func snapshot(_ reading: LocalReading, _ components: [Component: Energy]) -> Snapshot {
            Snapshot(
                time: reading.time,
                components: components,
                busy: reading.stat?.busy,
                agentCPU: nil,
                cpus: cpus,
                quality: quality,
                basis: basis,
                boundRatios: ratios,
                idlePower: idle
            )
        }
        return (snapshot(start, startComponents), snapshot(end, endComponents))
    }

    /// Cheaper than to look for sensors where there are none, as on most virtual machines.
    private static func hasCounters(_ roots: HostRoots) -> Bool { access(roots.root + "/sys/class/powercap", R_OK) == 0 }

    /// A table of one processor: enough to find counters with.
    private static func firstRow(of csv: String) -> String { csv.split(separator: "\n", maxSplits: 2).prefix(2).map { $0 + "\n" }.joined() }

    private static func monotonicNow() -> Timestamp {
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        return Timestamp(microseconds: Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1_000)
    }
}
