import CLibYAML
import ImpactModels

/// A value of a YAML document with the line that it begins in, aliases put in place.
///
/// libyaml reads; the usual Swift wrapper of it brings all of Foundation along, which would make every `wattle run` larger.
indirect enum YAMLNode {
    case scalar(text: String, isPlain: Bool, line: Int)
    case list([YAMLNode], line: Int)
    case map([(key: YAMLNode, value: YAMLNode)], line: Int)

    var line: Int {
        switch self {
        case .scalar(_, _, let line), .list(_, let line), .map(_, let line): line
        }
    }

    /// The first document of a text; nil where there is none.
    ///
    /// - Parameters:
    ///   - name: of the text, for messages.
    ///   - deepest: values within one another.
    /// - Throws: `ModelFault` with the line where it is no YAML, a second document follows, or libyaml is missing.
    static func read(_ yaml: String, name: String, deepest: Int) throws(ModelFault) -> YAMLNode? {
        let library = try library(name)
        let bytes = Array(yaml.utf8)
        let outcome = bytes.withUnsafeBufferPointer { buffer in
            Result { () throws(ModelFault) in
                var events = try Events(library, buffer, name: name, deepest: deepest)
                return try events.document()
            }
        }
        return try outcome.get()
    }

    private static let loaded: Result<wattle_yaml, Missing> = {
        var table = wattle_yaml()
        guard let message = wattle_yaml_load(&table) else { return .success(table) }
        return .failure(Missing(message: String(cString: message)))
    }()

    private struct Missing: Error {
        let message: String
    }

    private static func library(_ name: String) throws(ModelFault) -> wattle_yaml {
        switch loaded {
        case .success(let table): return table
        case .failure(let missing):
            throw ModelFault(name, expected: "libyaml to read it with (Debian's libyaml-0-2)", found: missing.message)
        }
    }

    /// libyaml's events, made into a tree.
    private struct Events: ~Copyable {
        private let library: wattle_yaml
        private let name: String
        private let deepest: Int
        private let parser: UnsafeMutablePointer<yaml_parser_t>
        private var anchors: [String: YAMLNode] = [:]

        init(_ library: wattle_yaml, _ bytes: UnsafeBufferPointer<UInt8>, name: String, deepest: Int) throws(ModelFault) {
            self.library = library
            self.name = name
            self.deepest = deepest
            parser = .allocate(capacity: 1)
            guard library.parser_initialize(parser) == 1 else {
                parser.deallocate()
                throw ModelFault(name, expected: "memory for a reader of YAML", found: "none")
            }
            library.parser_set_input_string(parser, bytes.baseAddress, bytes.count)
        }

        deinit {
            library.parser_delete(parser)
            parser.deallocate()
        }

        private enum Event {
            case scalar(String, isPlain: Bool)
            case alias(String)
            case listStart, listEnd, mapStart, mapEnd, documentStart, documentEnd, streamStart, streamEnd
        }

        private func next() throws(ModelFault) -> (event: Event, anchor: String?, line: Int) {
            var event = yaml_event_t()
            guard library.parser_parse(parser, &event) == 1 else { throw fault() }
            defer { library.event_delete(&event) }
            func text(_ bytes: UnsafeMutablePointer<yaml_char_t>?) -> String? { bytes.map { String(cString: $0) } }
            let line = event.start_mark.line + 1
            switch event.type {
            case YAML_SCALAR_EVENT:
                let scalar = event.data.scalar
                let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
                let isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
                return (.scalar(String(decoding: bytes, as: UTF8.self), isPlain: isPlain), text(scalar.anchor), line)
            case YAML_SEQUENCE_START_EVENT: return (.listStart, text(event.data.sequence_start.anchor), line)
            case YAML_MAPPING_START_EVENT: return (.mapStart, text(event.data.mapping_start.anchor), line)
            case YAML_ALIAS_EVENT: return (.alias(text(event.data.alias.anchor) ?? ""), nil, line)
            case YAML_SEQUENCE_END_EVENT: return (.listEnd, nil, line)
            case YAML_MAPPING_END_EVENT: return (.mapEnd, nil, line)
            case YAML_DOCUMENT_START_EVENT: return (.documentStart, nil, line)
            case YAML_DOCUMENT_END_EVENT: return (.documentEnd, nil, line)
            case YAML_STREAM_END_EVENT: return (.streamEnd, nil, line)
            default: return (.streamStart, nil, line)
            }
        }

        private func fault() -> ModelFault {
            let problem = parser.pointee.problem.map { String(cString: $0) } ?? "a fault"
            let line = max(parser.pointee.problem_mark.line, parser.pointee.context_mark.line) + 1
            return ModelFault("\(name), line \(line)", expected: "YAML", found: problem)
        }

        mutating func document() throws(ModelFault) -> YAMLNode? {
            _ = try next()
            guard case .documentStart = try next().event else { return nil }
            let node = try value(try next(), depth: 0)
            _ = try next()
            let after = try next()
            guard case .streamEnd = after.event else {
                throw ModelFault("\(name), line \(after.line)", expected: "one document", found: "a second one")
            }
            return node
        }

        private mutating func value(_ start: (event: Event, anchor: String?, line: Int), depth: Int) throws(ModelFault) -> YAMLNode {
            guard depth <= deepest else {
                throw ModelFault("\(name), line \(start.line)", expected: "at most \(deepest) values within one another", found: "more")
            }
            let node: YAMLNode
            switch start.event {
            case .scalar(let text, let isPlain): node = .scalar(text: text, isPlain: isPlain, line: start.line)
            case .alias(let anchor):
                guard let known = anchors[anchor] else {
                    throw ModelFault("\(name), line \(start.line)", expected: "an anchor before its alias", found: "*\(anchor)")
                }
                return known
            case .listStart:
                var values: [YAMLNode] = []
                while true {
                    let one = try next()
                    if case .listEnd = one.event { break }
                    values.append(try value(one, depth: depth + 1))
                }
                node = .list(values, line: start.line)
            case .mapStart:
                var pairs: [(key: YAMLNode, value: YAMLNode)] = []
                while true {
                    let one = try next()
                    if case .mapEnd = one.event { break }
                    let key = try value(one, depth: depth + 1)
                    pairs.append((key, try value(try next(), depth: depth + 1)))
                }
                node = .map(pairs, line: start.line)
            case .listEnd, .mapEnd, .documentStart, .documentEnd, .streamStart, .streamEnd:
                throw ModelFault("\(name), line \(start.line)", expected: "a value", found: "none")
            }
            if let anchor = start.anchor { anchors[anchor] = node }
            return node
        }
    }
}
