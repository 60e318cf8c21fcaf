import Energy
import FoundationEssentials
import Wire

/// What the local socket answers: one line of JSON.
enum SocketAnswer {
    /// Things beside the figures that a client wants to know.
    struct Context: Sendable {
        var host: String
        var bootID: String
        /// Nil where none was configured.
        var gridZone: String?
        var hasCollector: Bool
        /// What is known of the machine, and how the uplink stands; for `status`.
        var facts: CurrentFacts?
        var uplink: UplinkCounts?
    }

    /// - Parameter cgroup: the span's, for a client that could not know it.
    static func line(_ answer: PeerAllowance.Answer, _ context: Context, cgroup: String? = nil) -> [UInt8] {
        encoded(Figures(answer, context, cgroup: cgroup))
    }

    /// How the agent and its collector stand. Nothing here tells of energy.
    static func line(statusOf context: Context) -> [UInt8] { encoded(Status(context)) }

    private struct Status: Encodable {
        struct Collector: Encodable {
            var state: String
            var since_us: Int64?
            var detail: String
            var acknowledged_batches: UInt64
            var last_acknowledged_us: Int64?
        }
        struct Runner: Encodable {
            var name: String
            var instance: String
            var kind: String
        }
        var ok = true
        var host: String
        var boot_id: String
        var agent_version = AgentProgram.version
        var names: [String]
        var runners: [Runner]
        var pool: String?
        var grid_zone: String?
        /// Absent where no collector is configured.
        var collector: Collector?

        init(_ context: Context) {
            host = context.host
            boot_id = context.bootID
            grid_zone = context.gridZone
            let facts = context.facts?.now
            names = facts?.names ?? []
            pool = facts.flatMap { $0.pool.isEmpty ? nil : $0.pool }
            runners = facts?.runners.map { Runner(name: $0.name, instance: $0.instance, kind: $0.kind) } ?? []
            if context.hasCollector, let uplink = context.uplink?.now {
                collector = Collector(
                    state: uplink.state.rawValue,
                    since_us: uplink.stateSince?.microseconds,
                    detail: uplink.detail,
                    acknowledged_batches: uplink.acknowledgedBatches,
                    last_acknowledged_us: uplink.lastAcknowledgedAt?.microseconds
                )
            }
        }
    }

    /// Where a job's own socket is.
    static func line(socketAt path: String, _ context: Context, at time: Timestamp) -> [UInt8] {
        encoded(JobSocketPath(host: context.host, socket: path, t_us: time.microseconds))
    }

    private struct JobSocketPath: Encodable {
        var ok = true
        var host: String
        var socket: String
        var t_us: Int64
    }

    static func line(refusing reason: String) -> [UInt8] { encoded(Refusal(error: reason)) }

    private static func encoded(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value)) + [0x0A]
        } catch {
            // Only a number that is no number could bring this about, and there is none.
            return Array(#"{"ok":false,"error":"the answer cannot be written as JSON"}"#.utf8) + [0x0A]
        }
    }

    private struct Refusal: Encodable {
        var ok = false
        var error: String
    }

    private struct Figures: Encodable {
        let answer: PeerAllowance.Answer
        let context: Context
        private var snapshot: HostSnapshot { answer.figures }

        private let cgroup: String?

        init(_ answer: PeerAllowance.Answer, _ context: Context, cgroup: String?) {
            self.answer = answer
            self.context = context
            self.cgroup = cgroup
        }

        enum Key: String, CodingKey {
            case ok, host, boot_id, t_us, uj, cover_uj, components_uj, quality, basis, bound_low_ppm, bound_high_ppm, p_idle_uw
            case cpu_busy_us, agent_cpu_us, cpus, grid_zone, collector, cpu_time_us, cgroup
            case held_since_us, span_uj, running_uj
        }

        func encode(to encoder: any Encoder) throws {
            var fields = encoder.container(keyedBy: Key.self)
            try fields.encode(true, forKey: .ok)
            try fields.encode(context.host, forKey: .host)
            try fields.encode(context.bootID, forKey: .boot_id)
            try fields.encode(snapshot.time.microseconds, forKey: .t_us)
            try fields.encode(Dictionary(snapshot.meters.map { ($0.name, $0.energy) }, uniquingKeysWith: { $1 }), forKey: .uj)
            try fields.encode(snapshot.cover, forKey: .cover_uj)
            try fields.encode(named(snapshot.components), forKey: .components_uj)
            try fields.encode(snapshot.quality.rawValue, forKey: .quality)
            try fields.encode(snapshot.basis, forKey: .basis)
            try fields.encode(snapshot.boundLow, forKey: .bound_low_ppm)
            try fields.encode(snapshot.boundHigh, forKey: .bound_high_ppm)
            try fields.encode(named(snapshot.idlePower), forKey: .p_idle_uw)
            try fields.encode(snapshot.busy, forKey: .cpu_busy_us)
            try fields.encode(snapshot.agentCPU, forKey: .agent_cpu_us)
            try fields.encode(snapshot.cpus, forKey: .cpus)
            try fields.encode(context.gridZone, forKey: .grid_zone)
            try fields.encode(context.hasCollector, forKey: .collector)
            if let cpuTime = snapshot.cpuTime { try fields.encode(cpuTime, forKey: .cpu_time_us) }
            if let cgroup { try fields.encode(cgroup, forKey: .cgroup) }
            if let since = answer.heldSince { try fields.encode(since.microseconds, forKey: .held_since_us) }
            if let span = answer.span { try fields.encode(named(span), forKey: .span_uj) }
            try fields.encode(named(answer.running), forKey: .running_uj)
        }

        private func named<V>(_ values: [Component: V]) -> [String: V] {
            Dictionary(values.map { ($0.key.rawValue, $0.value) }, uniquingKeysWith: { $1 })
        }
    }
}
