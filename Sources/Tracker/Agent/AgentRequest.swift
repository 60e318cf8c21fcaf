import FoundationEssentials

/// A question to the agent on its local socket.
public enum AgentRequest: Sendable, Hashable {
    public enum Phase: String, Sendable {
        case start, finish
    }

    /// The meters now.
    case snapshot
    /// An edge of a span: knots are made now.
    ///
    /// - Parameters:
    ///   - cgroup: the cgroup's path below the hierarchy's mount; nil where the span has none of its own.
    ///   - cgroupDirectory: the same as a directory of this machine.
    ///   - inOwnCgroup: the agent takes the container or the runner's unit that the asking process is in, which a process in a container
    ///     cannot name itself; the answer says which.
    case span(phase: Phase, key: String, cgroup: String?, cgroupDirectory: String?, pid: Int32, inOwnCgroup: Bool = false)

    /// A socket for one job whose span has been started: it tells that job of its own energy only. The answer has `socket`.
    case jobSocket(key: String)

    /// One line with its end.
    var line: [UInt8] {
        var body: Body
        switch self {
        case .snapshot: body = Body(op: "snapshot")
        case .jobSocket(let key): body = Body(op: "job_socket", key: key)
        case .span(let phase, let key, let cgroup, let directory, let pid, let inOwnCgroup):
            body = Body(op: "span", phase: phase.rawValue, key: key, cgroup: cgroup, cgroup_dir: directory, pid: pid)
            if inOwnCgroup { body.own_cgroup = true }
        }
        return JSONText.bytes(body) + [UInt8(ascii: "\n")]
    }

    private struct Body: Encodable {
        var op: String
        var phase: String?
        var key: String?
        var cgroup: String?
        var cgroup_dir: String?
        var pid: Int32?
        var own_cgroup: Bool?
    }
}
