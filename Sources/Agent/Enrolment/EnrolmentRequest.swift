import FoundationEssentials
import HTTPClient

/// Why no token was had.
public struct EnrolmentFault: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    /// Whether the same request may succeed later without anybody's doing.
    public let isPassing: Bool
}

/// Trades an enrol token, which many machines may share, for a token of this machine's own.
struct EnrolmentRequest: Sendable {
    /// Without a slash at its end.
    let collector: String
    let host: String
    let pool: String?
    let identity: MachineIdentity
    let transport: @Sendable (HTTPRequest) async -> Result<HTTPResponse, HTTPError>

    private struct Body: Encodable {
        var host: String
        var machine_id_sha256: String?
        var names: [String]
        var pool: String?
    }

    private struct Answer: Decodable {
        var host: String?
        var token: String?
        var title: String?
        var detail: String?
    }

    func send(enrolToken: String) async throws(EnrolmentFault) -> EnrolmentFile.Enrolment {
        let body = Body(host: host, machine_id_sha256: identity.machineIDSHA256, names: identity.names, pool: pool)
        let bytes: [UInt8]
        do {
            bytes = Array(try JSONEncoder().encode(body))
        } catch {
            throw EnrolmentFault(description: "the request cannot be written: \(error)", isPassing: false)
        }
        let request = HTTPRequest(
            method: "POST",
            url: "\(collector)/v1/enrol",
            headers: [("Authorization", "Bearer \(enrolToken)"), ("Content-Type", "application/json"), ("Accept", "application/json")],
            body: bytes,
            timeout: .seconds(15)
        )
        switch await transport(request) {
        case .failure(let error): throw EnrolmentFault(description: "the collector cannot be reached: \(error)", isPassing: true)
        case .success(let response): return try read(response)
        }
    }

    private func read(_ response: HTTPResponse) throws(EnrolmentFault) -> EnrolmentFile.Enrolment {
        var answer: Answer?
        do { answer = try JSONDecoder().decode(Answer.self, from: Data(response.body)) } catch {
            // A proxy's page, say: the status stands for itself.
        }
        let detail = [answer?.title, answer?.detail].compactMap { $0 }.joined(separator: ": ")
        func fault(_ text: String, isPassing: Bool = false) -> EnrolmentFault {
            EnrolmentFault(description: detail.isEmpty ? text : "\(text) (\(detail))", isPassing: isPassing)
        }
        switch response.status {
        case 200, 201:
            guard let token = answer?.token, let name = answer?.host, !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else {
                throw fault("expected {\"host\", \"token\"} from \(collector)/v1/enrol, found something else")
            }
            guard name == host else {
                throw fault("expected to be enrolled as \(host), found that the collector calls this machine \(name); give --host \(name)")
            }
            return EnrolmentFile.Enrolment(collector: collector, host: name, token: token)
        case 401: throw fault("the collector does not know the enrol token, or it has expired or was revoked; ask for another one")
        case 403: throw fault("the enrol token allows this no more, or not for this machine; ask for another one")
        case 409:
            throw fault("another machine is enrolled as \(host): give this one a name of its own with --host, or retire that one first")
        case 404, 405: throw fault("there is no collector at \(collector) that enrols agents; check the URL")
        case 429, 500...599: throw fault("the collector answers \(response.status)", isPassing: true)
        default: throw fault("the collector answers \(response.status)")
        }
    }
}
