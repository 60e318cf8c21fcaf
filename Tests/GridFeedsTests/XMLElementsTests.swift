import Testing
@testable import GridFeeds

/// What a provider sends as XML is read without anything that could reach out of it.
@Suite struct XMLElementsTests {
    private static func events(_ text: String) throws -> [String] {
        var events: [String] = []
        try XMLElements.read(Array(text.utf8)) { event in
            switch event {
            case .begin(let name): events.append("<\(name)")
            case .end(let name, let text): events.append("\(name)=\(text)")
            }
        }
        return events
    }

    @Test func elementsComeWithTheirText() throws {
        let text = """
            \u{FEFF}<?xml version="1.0"?><!-- a > b --><a x="1 > 0" y = '<'>
             <b/> <c> 1 &lt; 2 &#x26; &#51; </c><d><![CDATA[<raw>]]></d>
            </a>

            """
        #expect(try Self.events(text.replacing("'<'", with: "'z'")) == ["<a", "<b", "b=", "<c", "c=1 < 2 & 3", "<d", "d=<raw>", "a="])
    }

    @Test(arguments: [
        "", "text", "<a>", "<a></b>", "<a/><b/>", "<a></a>x", "<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a>&e;</a>",
        "<a>&e;</a>", "<a x=1/>", "<a x=\"1/>", "<a", "<", "<a>&#xD800;</a>", "<!-- ", "<a><![CDATA[x</a>",
        String(repeating: "<a>", count: 17) + String(repeating: "</a>", count: 17),
    ]) func whatIsNoDocumentIsRefused(text: String) {
        #expect(throws: FeedFault.self) { try Self.events(text) }
    }

    @Test func aFaultSaysItsLine() {
        #expect(throws: FeedFault.unreadable("expected XML, found a fault in line 3: expected the end of a")) {
            try Self.events("<a>\n\n</b>")
        }
    }

    @Test func noBytesMakeItFail() throws {
        let text = Array("<a x='1'><b>5</b><!-- c --></a>".utf8)
        for length in text.indices {
            for byte in [UInt8(0), 38, 60, 62, 255] {
                var broken = text
                broken[length] = byte
                do { try XMLElements.read(broken) { _ in } } catch { #expect(error.description.contains("line")) }
            }
            #expect(throws: FeedFault.self) { try XMLElements.read(Array(text[..<length])) { _ in } }
        }
    }
}
