import Documents
import Foundation
import HTTPTypes
import Hummingbird

/// An error as RFC 9457 `application/problem+json`, with a stable `type`.
struct Problem: Error, HTTPResponseError {
    /// The last part of the `type` URN: `urn:wattle:problem:invalid-span`.
    let type: String
    let title: String
    let detail: String
    let status: HTTPResponse.Status
    var extra: [String: JSONValue] = [:]
    var fields: HTTPFields = [:]

    func response(from request: Request, context: some RequestContext) throws -> Response {
        var document: [String: JSONValue] = [
            "type": .string("urn:wattle:problem:\(type)"), "title": .string(title), "detail": .string(detail),
            "status": .integer(Int64(status.code)),
        ]
        document.merge(extra) { own, _ in own }
        var headers = fields
        headers[.contentType] = "application/problem+json"
        return Response(
            status: status,
            headers: headers,
            body: .init(byteBuffer: ByteBuffer(string: try JSONValue.object(document).text + "\n"))
        )
    }

    static func badRequest(_ type: String, _ title: String, _ detail: String) -> Problem {
        Problem(type: type, title: title, detail: detail, status: .badRequest)
    }

    static func unprocessable(_ type: String, _ title: String, _ detail: String) -> Problem {
        Problem(type: type, title: title, detail: detail, status: .unprocessableContent)
    }

    static func notFound(_ detail: String) -> Problem {
        Problem(type: "not-found", title: "Not found", detail: detail, status: .notFound)
    }

    static let challenge = "Bearer realm=\"wattle\""

    static func unauthorized(_ detail: String) -> Problem {
        Problem(
            type: "unauthorized",
            title: "A token is needed",
            detail: detail,
            status: .unauthorized,
            fields: [.wwwAuthenticate: challenge]
        )
    }

    static func forbidden(_ type: String, _ detail: String) -> Problem {
        Problem(type: type, title: "Not allowed", detail: detail, status: .forbidden)
    }

    static func tooLarge(limitBytes: Int) -> Problem {
        Problem(
            type: "body-too-large",
            title: "The body is too large",
            detail: "expected at most \(limitBytes) bytes; send less at a time",
            status: .contentTooLarge
        )
    }

    static let stalled = Problem(
        type: "body-stalled",
        title: "The body did not come",
        detail: "expected all of the body, found no more of it for 15 s, or not its end within 5 minutes; send it again",
        status: .requestTimeout
    )
}
