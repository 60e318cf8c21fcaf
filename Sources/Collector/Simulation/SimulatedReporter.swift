import Accounting
import Crypto
import Energy
import Simulation
import SwiftProtobuf
import Wire

/// Makes the batches that the agent of a simulated host would send.
struct SimulatedReporter {
    let name: String
    let host: SimulatedHost
    let view: AgentView
    private let curves: [ReportedCurve]

    private struct ReportedCurve {
        var announcement: WireCurveAnnouncement
        var curve: Curve
        /// The cgroup of a job, for a curve of its CPU time.
        var job: (id: Int64, born: Timestamp, died: Timestamp)?
    }

    /// Between two batches.
    static let period = Microseconds.seconds(300)

    init(name: String, host: SimulatedHost) {
        self.name = name
        self.host = host
        view = AgentView(of: host)
        var curves: [ReportedCurve] = []
        func add(_ curve: Curve, job: (id: Int64, born: Timestamp, died: Timestamp)? = nil, _ fill: (inout WireCurveAnnouncement) -> Void) {
            var announcement = WireCurveAnnouncement()
            announcement.ref = UInt32(curves.count + 1)
            announcement.origin = host.seed | 1
            announcement.epsilon = 50_000
            announcement.quality = "measured"
            announcement.boundLowPpm = 1_000_000
            announcement.boundHighPpm = 1_000_000
            announcement.basis = "simulated"
            fill(&announcement)
            curves.append(ReportedCurve(announcement: announcement, curve: curve, job: job))
        }
        for meter in view.meters {
            add(meter.curve) { announcement in
                announcement.name = "simulated/\(meter.name)"
                announcement.kind = .meter
                announcement.zone = meter.component == .dram ? "dram" : "package"
                announcement.sensor = meter.quality == .modelled ? "model" : "powercap"
                announcement.quality = meter.quality.rawValue
                announcement.inCover = true
                announcement.epsilon = meter.epsilonMicrojoules
                announcement.samplePeriodUs = UInt64(meter.samplePeriod.count)
                announcement.pMaxUw = UInt64(meter.maximumPower.watts * 1e6)
                announcement.boundLowPpm = UInt32(meter.boundRatios.low * 1e6)
                announcement.boundHighPpm = UInt32(meter.boundRatios.high * 1e6)
                guard let idle = meter.idle else { return }
                announcement.pIdleUw = UInt64(idle.best.watts * 1e6)
                announcement.pIdleLowUw = UInt64(idle.low.watts * 1e6)
                announcement.pIdleHighUw = UInt64(idle.high.watts * 1e6)
            }
        }
        for whole in view.wholes {
            add(whole.curve) { announcement in
                announcement.name = "simulated/\(whole.name)"
                announcement.kind = .meter
                announcement.zone = "node"
                announcement.sensor = "ipmi"
                announcement.quality = whole.quality.rawValue
                announcement.epsilon = whole.epsilonMicrojoules
                announcement.samplePeriodUs = UInt64(whole.samplePeriod.count)
                announcement.pMaxUw = UInt64(whole.maximumPower.watts * 1e6)
            }
        }
        add(view.busy) { announcement in
            announcement.name = "cpu/busy"
            announcement.kind = .hostBusy
            announcement.sensor = "proc"
        }
        add(view.agent) { announcement in
            announcement.name = "cpu/agent"
            announcement.kind = .agentCpu
            announcement.sensor = "proc"
        }
        for job in view.jobs {
            guard let cgroup = job.cgroup else { continue }
            add(cgroup.curve, job: (job.id, cgroup.born, cgroup.died)) { announcement in
                announcement.name = "cgroup/simulated/\(job.id)"
                announcement.kind = .workloadCpu
                announcement.sensor = "cgroup"
            }
        }
        self.curves = curves
    }

    /// Hex of a SHA-256 that is this host's in every run of the same seed.
    var machineID: String { SHA256.hash(data: Array("simulated \(name) \(host.seed)".utf8)).hexText }

    /// All batches in order, each with the time at which it is sealed.
    func batches() -> [(sealedAt: Timestamp, batch: WireReadingsBatch)] {
        var result: [(Timestamp, WireReadingsBatch)] = []
        var from: Timestamp?
        while from ?? host.window.start < host.window.end {
            let to = min(host.window.end, (from ?? host.window.start) + Self.period)
            let batch = batch(after: from, through: to, sequence: UInt64(result.count + 1), isLast: to == host.window.end)
            result.append((to, batch))
            from = to
        }
        return result
    }

    private func batch(after from: Timestamp?, through to: Timestamp, sequence: UInt64, isLast: Bool) -> WireReadingsBatch {
        var batch = WireReadingsBatch()
        batch.host = name
        batch.bootID = "simulated"
        batch.incarnation = String(machineID.prefix(32))
        batch.seq = sequence
        batch.wallUs = to.microseconds
        batch.clockOffsetUs = 0
        if sequence == 1 { batch.facts = facts }
        for reported in curves {
            let ref = reported.announcement.ref
            let knots = reported.curve.knots(after: from, through: to)
            let isMeter = reported.job == nil
            if sequence == 1 && isMeter || !isMeter && !knots.isEmpty && reported.curve.knots.first?.time == knots.first?.time {
                batch.curves.append(reported.announcement)
            }
            if !knots.isEmpty { batch.knots.append(WireKnotColumn(ref: ref, knots: knots)) }
            let isOver = reported.job.map { $0.died <= to } ?? false
            if let last = reported.curve.knots(after: nil, through: to).last, !knots.isEmpty || isLast && isMeter {
                var tail = WireTail()
                tail.ref = ref
                tail.tUs = last.time.microseconds
                tail.value = last.value
                tail.completeUntilUs = isLast ? to.microseconds : last.time.microseconds
                tail.closed = isOver
                batch.tails.append(tail)
            }
            for gap in reported.curve.gaps where gap.interval.end <= to && (from.map { $0 < gap.interval.end } ?? true) {
                batch.gaps.append(Self.gap(gap, ref: ref))
            }
            if let job = reported.job, !knots.isEmpty {
                var workload = WireWorkloadChange()
                workload.ref = ref
                workload.cgroup = "/simulated/\(job.id)"
                workload.bornUs = job.born.microseconds
                workload.diedUs = isOver ? job.died.microseconds : 0
                workload.labels = [WatchedCgroup.jobLabelName: Self.jobName(job.id, on: name)]
                workload.ending = isOver ? "read" : ""
                batch.workloads.append(workload)
            }
        }
        return batch
    }

    private var facts: WireHostFacts {
        var facts = WireHostFacts()
        facts.agentVersion = "simulated"
        facts.arch = "x86_64"
        facts.os = "Simulated"
        facts.cpuModel = "Simulated, \(host.draw.family.rawValue)"
        facts.cpus = UInt32(host.draw.cpus)
        facts.memoryBytes = UInt64(host.draw.memoryBytes)
        facts.gridZone = "FR"
        facts.machineIDSha256 = machineID
        facts.pool = SimulationRun.pool
        facts.simulated = true
        var runner = WireRunner()
        runner.name = "\(name)-runner"
        runner.instance = "simulated.invalid"
        runner.kind = "gitlab"
        runner.concurrent = UInt32(host.draw.slots)
        facts.runners = [runner]
        return facts
    }

    private static func gap(_ gap: Gap, ref: UInt32) -> WireGap {
        var wire = WireGap()
        wire.ref = ref
        wire.fromUs = gap.interval.start.microseconds
        wire.toUs = gap.interval.end.microseconds
        wire.low = gap.low
        wire.high = gap.high
        wire.cause = gap.cause.rawValue
        return wire
    }

    /// What the job is called at its CI.
    static func jobName(_ id: Int64, on host: String) -> String { "\(host)-\(id)" }
}

extension Curve {
    /// Knots later than one instant and not later than another.
    fileprivate func knots(after from: Timestamp?, through to: Timestamp) -> [Knot] {
        func first(after time: Timestamp) -> Int {
            var low = 0
            var high = knots.count
            while low < high {
                let middle = (low + high) / 2
                if knots[middle].time <= time { low = middle + 1 } else { high = middle }
            }
            return low
        }
        return Array(knots[(from.map(first(after:)) ?? 0)..<first(after: to)])
    }
}

extension SHA256Digest {
    var hexText: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
