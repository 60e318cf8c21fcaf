import FoundationEssentials

/// What a client of the local socket asks: one line of JSON.
enum SocketRequest: Hashable, Sendable {
    case snapshot
    case span(SpanRequest)
    /// How the agent and its collector stand.
    case status
    /// A socket for one job, whose span has been started: it tells that job's own energy and nothing else.
    case jobSocket(SpanRequest)

    /// Why a line is no request, for the client.
    struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        let description: String
    }

    /// Reads one line, without its end. Unknown fields are passed over.
    init(line: [UInt8]) throws(Fault) {
        let body: Body
        do {
            body = try JSONDecoder().decode(Body.self, from: Data(line))
        } catch let error as DecodingError {
            throw Fault(description: "expected one line of JSON such as {\"op\":\"snapshot\"}, found \(Self.complaint(error, line))")
        } catch {
            throw Fault(description: "expected one line of JSON such as {\"op\":\"snapshot\"}, found \(Self.excerpt(line))")
        }
        switch body.op {
        case "snapshot":
            self = .snapshot
        case "status":
            self = .status
        case "span":
            guard let phase = body.phase.flatMap(SpanRequest.Phase.init(rawValue:)) else {
                throw Fault(description: "expected phase start or finish, found \(body.phase.map { "'\($0.prefix(40))'" } ?? "none")")
            }
            guard let key = body.key else { throw Fault(description: "expected the span's key, found none") }
            var span = SpanRequest(phase: phase, key: key, cgroup: body.cgroup, directory: body.cgroup_dir)
            span.isInOwnCgroup = body.own_cgroup ?? false
            self = .span(span)
        case "job_socket":
            guard let key = body.key else { throw Fault(description: "expected the span's key, found none") }
            self = .jobSocket(SpanRequest(phase: .start, key: key, cgroup: body.cgroup, directory: body.cgroup_dir))
        default:
            throw Fault(description: "expected op snapshot, span, status or job_socket, found '\(body.op.prefix(40))'")
        }
    }

    private struct Body: Decodable {
        var op: String
        var phase: String?
        var key: String?
        var cgroup: String?
        var cgroup_dir: String?
        var own_cgroup: Bool?
    }

    private static func complaint(_ error: DecodingError, _ line: [UInt8]) -> String {
        switch error {
        case .keyNotFound(let key, _): "no \(key.stringValue)"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            context.codingPath.isEmpty ? excerpt(line) : "another type in \(context.codingPath.map(\.stringValue).joined(separator: "."))"
        default: excerpt(line)
        }
    }

    private static func excerpt(_ line: [UInt8]) -> String {
        line.isEmpty ? "an empty line" : "'\(String(decoding: line.prefix(60).map { (32..<127).contains($0) ? $0 : 0x3F }, as: UTF8.self))'"
    }
}
