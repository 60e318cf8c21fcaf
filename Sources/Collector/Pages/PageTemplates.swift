import Mustache

/// Every page's template, with one escaping for all of them.
struct PageTemplates: Sendable {
    private let library: MustacheLibrary

    init() throws {
        MustacheContentTypes.register(PageText(), named: PageText.name)
        var library = MustacheLibrary()
        let style = String(decoding: PackageResources.style_css, as: UTF8.self)
        let texts: [(name: String, text: String)] = [
            ("head", PageFrame.head.replacing("/*style*/", with: style)), ("foot", PageFrame.foot), ("message", PageFrame.message),
            ("home", String(decoding: PackageResources.home_mustache, as: UTF8.self)),
            ("sign-in", String(decoding: PackageResources.sign_in_mustache, as: UTF8.self)), ("job-table", JobsTemplate.table),
            ("jobs", JobsTemplate.page), ("job", JobTemplate.page), ("hosts", HostsTemplate.page), ("host-table", HostsTemplate.table),
            ("services", ServicesTemplate.page),
        ]
        // Each template says it anew: a partial begins with the library's own escaping.
        for (name, text) in texts { try library.register("{{% CONTENT_TYPE:\(PageText.name)}}" + text, named: name) }
        self.library = library
    }

    func render(_ name: String, _ model: [String: Any]) -> String { library.render(model, withTemplate: name) ?? "" }
}

/// Text within HTML and its quoted attributes.
///
/// Escapes by Unicode scalar. The library's own goes by `Character`, and `"` followed by a combining mark is another character than `"`:
/// it would end an attribute.
struct PageText: MustacheContentType {
    static let name = "PAGE"

    func escapeText(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            // Neither U+0000 nor other controls but white space are allowed in HTML, and they hide what stands beside them.
            case _ where scalar.value < 32 && scalar != "\n" && scalar != "\t": escaped.unicodeScalars.append("\u{FFFD}")
            // Turning the direction of writing hides what stands beside it, too.
            case "\u{202A}"..."\u{202E}", "\u{2066}"..."\u{2069}", "\u{7F}"..."\u{9F}": escaped.unicodeScalars.append("\u{FFFD}")
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
