public import Energy
import FoundationEssentials

/// The agent's answer on its local socket: one line of JSON.
public struct AgentReply: Sendable {
    public var host: String?
    public var bootID: String?
    public var snapshot: Snapshot
    /// The grid zone that the agent was told, such as `FR`.
    public var gridZone: String?
    /// The agent uploads to a collector.
    public var hasCollector: Bool
    /// The span's cgroup below the hierarchy's mount, where the agent found it.
    public var cgroup: String?
    /// Where the job's own socket is, if one was asked for.
    public var socket: String?
    /// CPU time of the span's cgroup at `snapshot.time`.
    public var cpuTime: Microseconds?
    /// The span's own energy at its end, from the agent's readings at its very edges.
    public var spanEnergy: [Component: Energy]?
    /// The snapshot's energy is older than its time: callers other than root see it change once a second only.
    public var isEnergyHeld: Bool

    /// Why a line is not a usable answer.
    public enum Fault: Error, Sendable, Hashable {
        /// The agent answered `ok: false` with this reason.
        case refused(String)
        /// Not what the protocol says.
        case malformed(String)
    }

    /// Reads one line, without or with its line end. Unknown fields are passed over.
    public init(line: [UInt8]) throws(Fault) {
        let body: Body
        do {
            body = try JSONDecoder().decode(Body.self, from: Data(line))
        } catch {
            throw .malformed("not a line of JSON as expected")
        }
        guard body.ok else { throw .refused(body.error ?? "no reason given") }
        guard let time = body.t_us?.value else { throw .malformed("no t_us") }
        var components: [Component: Energy] = [:]
        for (name, energy) in body.components_uj ?? [:] {
            guard let component = Component(rawValue: name) else { continue }
            components[component] = Energy(microjoules: energy.value)
        }
        var idle: [Component: UtilisationModel.Point] = [:]
        for (name, power) in body.p_idle_uw ?? [:] {
            guard let component = Component(rawValue: name), let power else { continue }
            let best = Power(microwatts: power.value)
            idle[component] = UtilisationModel.Point(low: best, best: best, high: best)
        }
        host = body.host
        bootID = body.boot_id
        gridZone = body.grid_zone
        cgroup = body.cgroup
        socket = body.socket
        hasCollector = body.collector ?? false
        cpuTime = body.cpu_time_us.map { Microseconds($0.value) }
        isEnergyHeld = body.held_since_us != nil
        spanEnergy = body.span_uj.map { span in
            Dictionary(
                span.compactMap { name, energy in Component(rawValue: name).map { ($0, Energy(microjoules: energy.value)) } },
                uniquingKeysWith: { $1 }
            )
        }
        snapshot = Snapshot(
            time: Timestamp(microseconds: time),
            components: components,
            busy: body.cpu_busy_us.map { Microseconds($0.value) },
            agentCPU: body.agent_cpu_us.map { Microseconds($0.value) },
            cpus: Int(clamping: body.cpus?.value ?? 1),
            quality: body.quality.flatMap { Quality(rawValue: $0) } ?? .unknown,
            basis: body.basis ?? "",
            boundRatios: (
                Double(body.bound_low_ppm?.value ?? 1_000_000) / 1e6, Double(body.bound_high_ppm?.value ?? 1_000_000) / 1e6
            ),
            idlePower: idle
        )
    }

    /// A whole number, written as one or as a decimal string, as the HTTP interface does.
    private struct WholeNumber: Decodable {
        var value: Int64

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(Int64.self) {  // else it may be a string: the next line says so or throws
                value = number
                return
            }
            let text = try container.decode(String.self)
            guard let number = Int64(text) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a whole number: \(text)")
            }
            value = number
        }
    }

    private struct Body: Decodable {
        var ok: Bool
        var error: String?
        var host: String?
        var boot_id: String?
        var t_us: WholeNumber?
        var components_uj: [String: WholeNumber]?
        var quality: String?
        var basis: String?
        var bound_low_ppm: WholeNumber?
        var bound_high_ppm: WholeNumber?
        var p_idle_uw: [String: WholeNumber?]?
        var cpu_busy_us: WholeNumber?
        var agent_cpu_us: WholeNumber?
        var cpus: WholeNumber?
        var grid_zone: String?
        var cgroup: String?
        var socket: String?
        var collector: Bool?
        var cpu_time_us: WholeNumber?
        var held_since_us: WholeNumber?
        var span_uj: [String: WholeNumber]?
    }
}
