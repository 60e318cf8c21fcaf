public import Energy
import Glibc
public import Meters

/// Whether the sensors of this machine move, and agree with one another.
///
/// They are read for a while at rest, then under load on all CPUs. A meter that does not move is broken or not connected (a virtual
/// machine's counters that stand at 0); one that shows less than its own parts, or more than what contains it, is wrong.
public struct SelfTest: Sendable {
    public struct MeterResult: Hashable, Sendable {
        public var place: MeterPlace
        public var restWatts: Double?
        public var loadWatts: Double?
        public var readings: Int
        /// What is wrong; nil where nothing is.
        public var complaint: String?
    }

    public struct Agreement: Hashable, Sendable {
        public var text: String
        public var holds: Bool
    }

    public var meters: [MeterResult]
    public var agreements: [Agreement]

    public var passed: Bool { !meters.isEmpty && meters.allSatisfy { $0.complaint == nil } && agreements.allSatisfy(\.holds) }

    /// How much more the parts may show than the whole: meters have their own clocks and errors.
    static let tolerance = 1.10

    /// Reads the meters for the two times. Blocks for as long.
    ///
    /// - Parameters:
    ///   - pause: between readings.
    ///   - load: keeps all CPUs busy until it is told to stop; replaced in tests.
    public static func run(
        _ sensors: consuming HostSensors,
        rest: Duration = .seconds(4),
        load: Duration = .seconds(6),
        pause: Duration = .milliseconds(100),
        clock: @escaping () -> Timestamp,
        withLoad: (() -> Void) -> Void = SelfTest.withAllCPUsBusy
    ) -> SelfTest {
        var probes = sensors.meters.map(Probe.init)
        func read(for duration: Duration, _ phase: Probe.Phase) {
            let end = ContinuousClock.now + duration
            while true {
                for i in probes.indices { probes[i].read(at: clock(), phase) }
                guard ContinuousClock.now < end else { return }
                usleep(UInt32(clamping: Int64(pause / .microseconds(1))))
            }
        }
        read(for: rest, .rest)
        withLoad { read(for: load, .load) }
        let results = probes.map(\.result)
        return SelfTest(meters: results, agreements: agreements(among: results))
    }

    private struct Probe {
        enum Phase { case rest, load }

        private var meter: any Meter
        private var unwrapping: CounterUnwrapping
        private var joules = (rest: 0.0, load: 0.0)
        private var seconds = (rest: 0.0, load: 0.0)
        private var readings = 0
        private var fault: SensorFault?
        private var last: Timestamp?
        private var hasJumped = false

        init(_ meter: any Meter) {
            self.meter = meter
            let modulus: Int64? = if case .hardware(let modulus) = meter.counting { modulus } else { nil }
            unwrapping = CounterUnwrapping(modulus: modulus, maximumRate: meter.maximumPower.watts)
        }

        mutating func read(at now: Timestamp, _ phase: Phase) {
            do throws(SensorFault) {
                let reading = try meter.read(at: now)
                let time = reading.time ?? now
                guard last.map({ $0 < time }) ?? true else { return }
                let elapsed = last.map { (time - $0).seconds } ?? 0
                last = time
                let step = unwrapping.read(raw: reading.count, at: time)
                guard reading.gap == nil else { return }
                if case .between(_, _, .reset) = step { hasJumped = true }
                guard case .exactly(let increase) = step else { return }
                readings += 1
                switch phase {
                case .rest:
                    joules.rest += Double(increase) / 1e6
                    seconds.rest += elapsed
                case .load:
                    joules.load += Double(increase) / 1e6
                    seconds.load += elapsed
                }
            } catch {
                fault = error
            }
        }

        var result: MeterResult {
            var complaint: String?
            let rest = seconds.rest > 0 ? joules.rest / seconds.rest : nil
            let load = seconds.load > 0 ? joules.load / seconds.load : nil
            if let fault {
                complaint = "cannot be read: \(fault)\(fault.remedy.map { "; \($0)" } ?? "")"
            } else if hasJumped {
                let most = FixedDecimal.text(meter.maximumPower.watts, digits: 0)
                complaint = "jumped further than its limit of \(most) W explains: its driver was loaded anew, or it says nonsense"
            } else if readings == 0 {
                complaint = "gave no two readings to compare: it is slower than the test, or silent; try a longer --load"
            } else if joules.rest + joules.load == 0 {
                complaint = "does not move: the counter is there but nothing feeds it, as in many virtual machines"
            } else if let load, load > meter.maximumPower.watts * tolerance {
                complaint = "shows more than its limit of \(FixedDecimal.text(meter.maximumPower.watts, digits: 0)) W"
            } else if meter.place.zone == .package, meter.place.quality == .measured, let rest, let load, load < rest * 0.95 {
                complaint = "falls under load: it may not be this machine's package"
            } else if [.package, .psys, .module, .node].contains(meter.place.zone), meter.place.quality != .modelled, let rest, let load,
                load < rest * 1.01
            {
                complaint = "does not respond to load: the same power with all CPUs busy as at rest"
            }
            return MeterResult(place: meter.place, restWatts: rest, loadWatts: load, readings: readings, complaint: complaint)
        }
    }

    private static func agreements(among meters: [MeterResult]) -> [Agreement] {
        let sensed = meters.filter { $0.place.quality != .modelled && $0.complaint == nil && $0.loadWatts != nil }
        func watts(_ zones: [Zone], package: Int?) -> (sum: Double, names: [String]) {
            let chosen = sensed.filter { zones.contains($0.place.zone) && (package == nil || $0.place.package == package) }
            return (chosen.reduce(0) { $0 + ($1.loadWatts ?? 0) }, chosen.map(\.place.name))
        }
        var agreements: [Agreement] = []
        func compare(_ whole: MeterResult, with parts: (sum: Double, names: [String])) {
            guard let total = whole.loadWatts, !parts.names.isEmpty else { return }
            let figures = "\(FixedDecimal.text(total, digits: 1)) W against \(FixedDecimal.text(parts.sum, digits: 1)) W"
            agreements.append(
                Agreement(
                    text: "\(whole.place.name) contains \(parts.names.joined(separator: ", ")): \(figures)",
                    holds: parts.sum <= total * tolerance
                )
            )
        }
        for whole in sensed {
            switch whole.place.zone {
            case .package: compare(whole, with: watts([.core, .uncore], package: whole.place.package))
            case .psys: compare(whole, with: watts([.package], package: nil))
            case .module: compare(whole, with: watts([.package, .io], package: whole.place.package))
            case .node: compare(whole, with: watts([.package, .dram, .gpu], package: nil))
            case .core, .uncore, .dram, .gpu, .io: break
            }
        }
        return agreements
    }

    /// Keeps every CPU busy while something is done.
    public static func withAllCPUsBusy(_ body: () -> Void) {
        let stop = Flag()
        let cpus = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let threads = (0..<cpus).compactMap { _ in BusyThread(until: stop) }
        body()
        stop.set()
        for thread in threads { thread.join() }
    }

    public var table: String {
        func watts(_ value: Double?) -> String { value.map { FixedDecimal.text($0, digits: 1) } ?? "-" }
        let rows = meters.map { meter in
            [
                meter.complaint == nil ? "ok" : "FAIL", meter.place.name, meter.place.zone.rawValue, watts(meter.restWatts),
                watts(meter.loadWatts), "\(meter.readings)",
                meter.complaint ?? (meter.place.quality == .modelled ? "a model, no sensor" : ""),
            ]
        }
        var text = TextTable.render(header: ["", "meter", "zone", "W at rest", "W under load", "readings", ""], rows: rows)
        for agreement in agreements { text += "\(agreement.holds ? "ok  " : "FAIL")  \(agreement.text)\n" }
        return text
    }
}
