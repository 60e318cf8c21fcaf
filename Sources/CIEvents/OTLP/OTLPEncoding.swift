import Documents
import SwiftProtobuf

/// How an OTLP request is written, and so its answer.
public enum OTLPEncoding: Sendable, Hashable {
    case json
    case protobuf

    /// From a `Content-Type`; nil for any other.
    public init?(contentType: String) {
        let type = contentType.prefix { $0 != ";" }.lowercased()
        switch String(type.filter { $0 != " " }) {
        case "application/json": self = .json
        case "application/x-protobuf": self = .protobuf
        default: return nil
        }
    }

    public var contentType: String {
        switch self {
        case .json: "application/json"
        case .protobuf: "application/x-protobuf"
        }
    }

    /// An `ExportTraceServiceResponse`: empty where all was taken.
    ///
    /// - Parameter message: why spans were rejected; with 0 of them a warning.
    public func response(rejectedSpans: Int, message: String) throws -> [UInt8] {
        switch self {
        case .json:
            var partial: [String: JSONValue] = [:]
            if rejectedSpans > 0 { partial["rejectedSpans"] = .string(String(rejectedSpans)) }
            if !message.isEmpty { partial["errorMessage"] = .string(message) }
            return Array(try JSONValue.object(partial.isEmpty ? [:] : ["partialSuccess": .object(partial)]).text.utf8)
        case .protobuf:
            var response = OTLPExportTraceResponse()
            if rejectedSpans > 0 || !message.isEmpty {
                response.partialSuccess.rejectedSpans = Int64(rejectedSpans)
                response.partialSuccess.errorMessage = message
            }
            return try response.serializedBytes()
        }
    }

    /// A `google.rpc.Status`, the body of an error.
    public func status(_ code: RPCCode, message: String) throws -> [UInt8] {
        switch self {
        case .json: return Array(try JSONValue.object(["code": .integer(Int64(code.rawValue)), "message": .string(message)]).text.utf8)
        case .protobuf:
            var status = OTLPRPCStatus()
            status.code = code.rawValue
            status.message = message
            return try status.serializedBytes()
        }
    }
}

/// The codes of `google.rpc.Code` that are answered.
public enum RPCCode: Int32, Sendable {
    case invalidArgument = 3
    case permissionDenied = 7
    case resourceExhausted = 8
    case unavailable = 14
    case unauthenticated = 16
}
