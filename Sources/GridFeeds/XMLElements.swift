/// The elements of an XML document as they come: names with their text. Attributes are passed over; a document with a DTD is refused, so that
/// nothing in it can refer to anything.
struct XMLElements {
    enum Event {
        case begin(String)
        /// With what text stood in it after its last inner element, without white space around it.
        case end(String, text: String)
    }

    private static let mostTextBytes = 1_000
    private static let mostLevels = 16

    private let bytes: [UInt8]
    private var index = 0
    private var open: [String] = []
    private var text: [UInt8] = []
    private var hasRoot = false

    /// - Throws: `FeedFault.unreadable` with the line, or whatever `take` throws.
    static func read(_ bytes: [UInt8], _ take: (Event) throws(FeedFault) -> Void) throws(FeedFault) {
        var reading = XMLElements(bytes: bytes)
        try reading.all(take)
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { index = 3 }
    }

    private mutating func all(_ take: (Event) throws(FeedFault) -> Void) throws(FeedFault) {
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "<") else {
                try character()
                continue
            }
            if skip("<?") {
                try pass("?>")
            } else if skip("<!--") {
                try pass("-->")
            } else if skip("<![CDATA[") {
                let from = index
                try pass("]]>")
                guard !open.isEmpty else { throw fault("an element") }
                add(bytes[from..<index - 3])
            } else if skip("</") {
                let name = try name()
                space()
                guard skip(">"), open.last == name else { throw fault("the end of \(open.last ?? "nothing")") }
                open.removeLast()
                let value = trimmed(text)
                text = []
                try take(.end(name, text: value))
            } else if skip("<!") {
                throw fault("no document type")
            } else {
                try element(take)
            }
        }
        guard open.isEmpty, hasRoot else { throw fault(open.last.map { "the end of \($0)" } ?? "an element") }
    }

    private mutating func element(_ take: (Event) throws(FeedFault) -> Void) throws(FeedFault) {
        index += 1
        let name = try name()
        guard !open.isEmpty || !hasRoot else { throw fault("one outermost element") }
        guard open.count < Self.mostLevels else { throw fault("at most \(Self.mostLevels) levels of elements") }
        hasRoot = true
        while true {
            space()
            if skip("/>") {
                text = []
                try take(.begin(name))
                return try take(.end(name, text: ""))
            }
            if skip(">") {
                open.append(name)
                text = []
                return try take(.begin(name))
            }
            _ = try self.name()
            space()
            guard skip("=") else { throw fault("a value of an attribute") }
            space()
            guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") || bytes[index] == UInt8(ascii: "'") else {
                throw fault("a value in quotes")
            }
            let quote = bytes[index]
            index += 1
            while index < bytes.count, bytes[index] != quote, bytes[index] != UInt8(ascii: "<") { index += 1 }
            guard index < bytes.count, bytes[index] == quote else { throw fault("the end of an attribute") }
            index += 1
        }
    }

    private mutating func character() throws(FeedFault) {
        let byte = bytes[index]
        guard !open.isEmpty else {
            guard Self.isSpace(byte) else { throw fault("an element") }
            index += 1
            return
        }
        guard byte == UInt8(ascii: "&") else {
            add(bytes[index...index])
            index += 1
            return
        }
        for (written, meant) in [("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"), ("&quot;", "\""), ("&apos;", "'")] where skip(written) {
            return add(Array(meant.utf8)[...])
        }
        guard skip("&#"), let end = bytes[index...].prefix(9).firstIndex(of: UInt8(ascii: ";")) else { throw fault("a known entity") }
        let digits = String(decoding: bytes[index..<end], as: UTF8.self)
        let number = digits.hasPrefix("x") ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
        guard let scalar = number.flatMap(Unicode.Scalar.init) else { throw fault("a character") }
        index = end + 1
        add(Array(String(Character(scalar)).utf8)[...])
    }

    private mutating func add(_ more: ArraySlice<UInt8>) {
        if text.count < Self.mostTextBytes { text += more.prefix(Self.mostTextBytes - text.count) }
    }

    private mutating func name() throws(FeedFault) -> String {
        let from = index
        let ends = Array("<>/=\"'&".utf8)
        while index < bytes.count, !Self.isSpace(bytes[index]), !ends.contains(bytes[index]) { index += 1 }
        guard index > from else { throw fault("a name") }
        return String(decoding: bytes[from..<index], as: UTF8.self)
    }

    private mutating func skip(_ text: String) -> Bool {
        guard bytes[index...].starts(with: text.utf8) else { return false }
        index += text.utf8.count
        return true
    }

    /// Up to the end of what begins here.
    private mutating func pass(_ end: String) throws(FeedFault) {
        let wanted = Array(end.utf8)
        while index < bytes.count, !bytes[index...].starts(with: wanted) { index += 1 }
        guard index < bytes.count else { throw fault(end) }
        index += wanted.count
    }

    private mutating func space() {
        while index < bytes.count, Self.isSpace(bytes[index]) { index += 1 }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { [32, 9, 10, 13].contains(byte) }

    private func trimmed(_ bytes: [UInt8]) -> String {
        let from = bytes.firstIndex { !Self.isSpace($0) } ?? bytes.endIndex
        let to = bytes.lastIndex { !Self.isSpace($0) }.map { $0 + 1 } ?? from
        return String(decoding: bytes[from..<to], as: UTF8.self)
    }

    private func fault(_ expected: String) -> FeedFault {
        let line = 1 + bytes[..<min(index, bytes.count)].reduce(0) { $0 + ($1 == 10 ? 1 : 0) }
        return .unreadable("expected XML, found a fault in line \(line): expected \(expected)")
    }
}
