import Documents
import Foundation
import Yams

/// What the routes take and answer, as OpenAPI 3.1: written by hand in `openapi.yaml`, compared with the routes and the answers by tests.
struct OpenAPIDocument: Sendable {
    /// The document is part of the program; a fault in it is found by the first test.
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    /// With this collector's address as its server.
    let json: JSONValue
    /// By path as the router writes it (`/v1/jobs/{id}`), then by method in upper case.
    let operations: [String: [String: Operation]]

    struct Operation: Sendable {
        /// Names of the query's parameters, in the document's order.
        let queryParameters: [String]
        /// Those of them that may be there several times.
        var repeatedParameters: Set<String> = []
    }

    init(baseURL: String) throws {
        let yaml = String(decoding: PackageResources.openapi_yaml, as: UTF8.self)
        // Without the times of YAML: an example's time is a text.
        guard let root = try Yams.compose(yaml: yaml, Resolver.default.removing(.timestamp)),
            case .object(var document) = try JSONValue(root)
        else { throw Fault(description: "openapi.yaml: expected a mapping") }
        document["servers"] = .array([.object(["url": .string(baseURL)])])
        json = .object(document)
        operations = try Self.operations(of: document)
    }

    private static let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]

    private static func operations(of document: [String: JSONValue]) throws -> [String: [String: Operation]] {
        let shared = document["components"]?.object?["parameters"]?.object ?? [:]
        var operations: [String: [String: Operation]] = [:]
        for (path, item) in document["paths"]?.object ?? [:] {
            for method in methods {
                guard let operation = item.object?[method]?.object else { continue }
                let listed = (item.object?["parameters"]?.array ?? []) + (operation["parameters"]?.array ?? [])
                let parameters = try listed.map { parameter in
                    guard let reference = parameter.object?["$ref"]?.string else { return parameter }
                    guard let found = reference.split(separator: "/").last.flatMap({ shared[String($0)] }) else {
                        throw Fault(description: "openapi.yaml: \(method) \(path): nothing is at \(reference)")
                    }
                    return found
                }
                let inQuery = parameters.filter { $0.object?["in"] == .string("query") }
                let lists = inQuery.filter { $0.object?["schema"]?.object?["type"] == .string("array") }
                operations[path, default: [:]][method.uppercased()] = Operation(
                    queryParameters: inQuery.compactMap { $0.object?["name"]?.string },
                    repeatedParameters: Set(lists.compactMap { $0.object?["name"]?.string })
                )
            }
        }
        return operations
    }
}

extension JSONValue {
    /// What a node of YAML is in JSON.
    fileprivate init(_ node: Node) throws {
        switch node {
        case .sequence(let sequence): self = .array(try sequence.map { try JSONValue($0) })
        case .mapping(let mapping):
            var fields: [String: JSONValue] = [:]
            for (key, value) in mapping { fields[key.string ?? ""] = try JSONValue(value) }
            self = .object(fields)
        case .scalar(let scalar):
            // Only what is written plainly can be anything but a text.
            guard scalar.style == .plain else {
                self = .string(scalar.string)
                return
            }
            if node.null != nil {
                self = .null
            } else if let value = node.bool {
                self = .bool(value)
            } else if let value = node.int {
                self = .integer(Int64(value))
            } else if let value = node.float {
                self = .number(value)
            } else {
                self = .string(scalar.string)
            }
        case .alias(let alias): throw OpenAPIDocument.Fault(description: "openapi.yaml: expected no alias, found *\(alias.anchor)")
        }
    }
}
