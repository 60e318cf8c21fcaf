import Foundation
import Testing

/// Every example that people may copy is run, or says why it cannot be.
///
/// In the documents a comment stands before each block of `sh`: `<!-- executed: NAME -->`, or `<!-- not executed: REASON -->`.
@Suite(.serialized) struct DocumentationTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let documents = [
        "docs/cloud.md", "docs/sites.md", "docs/sci.md",
        "README.md", "docs/api.md", "docs/ci.md", "docs/hosts.md", "docs/services.md", "docs/security.md", "docs/install-agent.md",
        "docs/models.md", "docs/estimates.md", "docs/grid.md",
    ]

    struct Block {
        let place: String
        let language: String
        let text: String
        /// Its mark: what is said in the comment before it.
        let mark: String?

        var name: String? { mark.flatMap { $0.hasPrefix("executed: ") ? String($0.dropFirst(10)) : nil } }
        var reason: String? { mark.flatMap { $0.hasPrefix("not executed: ") ? String($0.dropFirst(14)) : nil } }
    }

    private static func blocks() throws -> [Block] {
        try documents.flatMap { document -> [Block] in
            let path = root.appendingPathComponent(document).path
            guard FileManager.default.fileExists(atPath: path) else { return [] }
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
            var blocks: [Block] = []
            var open: (line: Int, language: String)?
            for (index, line) in lines.enumerated() where line.hasPrefix("```") {
                guard let start = open else {
                    open = (index, String(line.dropFirst(3)))
                    continue
                }
                let before = start.line > 0 ? lines[start.line - 1].trimmingCharacters(in: .whitespaces) : ""
                let isMark = before.hasPrefix("<!--") && before.hasSuffix("-->")
                blocks.append(
                    Block(
                        place: "\(document):\(start.line + 1)",
                        language: start.language,
                        text: lines[(start.line + 1)..<index].joined(separator: "\n"),
                        mark: isMark ? before.dropFirst(4).dropLast(3).trimmingCharacters(in: .whitespaces) : nil
                    )
                )
                open = nil
            }
            return blocks
        }
    }

    @Test func everyExampleIsExecutedOrSaysWhyNot() throws {
        let shell = try Self.blocks().filter { $0.language == "sh" }
        #expect(shell.count > 5)
        for block in shell {
            #expect(block.name != nil || block.reason?.isEmpty == false, "\(block.place): expected <!-- executed: NAME --> or a reason")
        }
        let names = shell.compactMap(\.name)
        #expect(names.count == Set(names).count, "\(names)")
    }

    @Test func everyExampleOfJSONIsJSON() throws {
        for block in try Self.blocks() where block.language == "json" {
            #expect(throws: Never.self, "\(block.place)") { try JSONSerialization.jsonObject(with: Data(block.text.utf8)) }
        }
    }

    /// In the order of the documents, in an empty folder, beside a collector and the agent of a host called bremusa.
    @Test func theExamplesWork() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(collector, host: "bremusa", extra: ["--zone", "GB"])
                _ = try await eventually("the agent's first batch", log: { agent.program.errors }) {
                    try await collector.get("/v1/hosts/bremusa/hours").status == 200 ? true : nil
                }
                let job = try await collector.post(
                    #"{"id": "first", "host": "bremusa", "cpus": 1, "started_at": "2026-09-01T09:00:10Z", "finished_at": "2026-09-01T09:04:55Z"}"#
                )
                let folder = scratch.path + "/example"
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                let token = try scratch.file("other.token", try await collector.token("agent", host: "other"))
                chmod(token, 0o600)
                let environment = [
                    "WATTLE_URL": collector.url, "WATTLE_TOKEN": try await collector.token("ci"),
                    "TOKEN": try await collector.token("read"), "ID": job, "WATTLE_SOCKET": agent.socketPath,
                    "PATH": Program.directory.path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"),
                ]
                // What a reader puts in for the words of the examples.
                let words = [
                    ("--embedded DIR", "--embedded \(collector.database)"), ("http://collector:8480", collector.url),
                    ("wtl_...", environment["WATTLE_TOKEN"] ?? ""), ("opam install dune", "true"),
                    ("curl -H", "curl --fail-with-body -sS -H"),
                    ("wattle report job ID", "wattle report job \(job)"),
                    ("/etc/wattle/token", token),
                    ("source add github my-org", "source add github my-org --no-wait"),
                    ("wattle-agent enrol ", "wattle-agent enrol --state \(folder)/enrolled --host bw-01 "),
                    (
                        "wattle-agent run ",
                        "timeout --preserve-status 4 wattle-agent run --state-dir \(folder)/s --socket \(folder)/a.sock --host other "
                    ),
                    ("docs/examples/", Self.root.path + "/docs/examples/"),
                    ("services.yaml", Self.root.path + "/config/services.example.yaml"),
                ]
                for block in try Self.blocks() {
                    guard block.language == "sh", let name = block.name else { continue }
                    let text = words.reduce(block.text) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
                    // Reports are asked for with a token that reads, as the text around them says.
                    let reads = text.contains("wattle report") ? ["WATTLE_TOKEN": environment["TOKEN"] ?? ""] : [:]
                    let run = try await Program(
                        "sh",
                        ["-euc", "cd \(folder)\n\(text)"],
                        environment: environment.merging(reads) { $1 },
                        in: scratch,
                        log: "example"
                    ).wait(seconds: 60)
                    #expect(run.code == 0, "\(block.place) (\(name)):\n\(text)\n\(run.output.suffix(2_000))\n\(run.errors.suffix(2_000))")
                    try Self.compare(run.output, with: block, among: try Self.blocks())
                }
                try await agent.program.stop()
            }
        }
    }

    /// Where a block of JSON with the mark `shape of: NAME` is in the documents, the output has its fields; where one has the mark
    /// `output of: NAME`, it has them with their values, or has its lines, each up to an ellipsis.
    private static func compare(_ output: String, with block: Block, among blocks: [Block]) throws {
        if let name = block.name, let shown = blocks.first(where: { $0.mark == "output of: \(name)" }) {
            if shown.language == "json" {
                let expected = try JSONSerialization.jsonObject(with: Data(shown.text.utf8))
                let found = try JSONSerialization.jsonObject(with: Data(output.utf8), options: .fragmentsAllowed)
                #expect(differing(expected, from: found) == [], "\(shown.place): \(output.prefix(3_000))")
            } else {
                let lines = output.split(separator: "\n")
                for line in shown.text.split(separator: "\n") {
                    let part = line.hasSuffix("...") ? line.dropLast(3) : line
                    #expect(lines.contains { part == line ? $0 == line : $0.hasPrefix(part) }, "\(shown.place): \(line):\n\(output)")
                }
            }
        }
        guard let name = block.name, let shown = blocks.first(where: { $0.mark == "shape of: \(name)" }) else { return }
        let expected = try JSONSerialization.jsonObject(with: Data(shown.text.utf8))
        let found = try JSONSerialization.jsonObject(with: Data(output.utf8), options: .fragmentsAllowed)
        #expect(missing(expected, in: found) == [], "\(shown.place): \(output.prefix(1_000))")
    }

    /// Paths of the fields that are shown and not there, or with other values.
    private static func differing(_ expected: Any, from found: Any?, at path: String = "") -> [String] {
        if let expected = expected as? [String: Any] {
            let found = found as? [String: Any] ?? [:]
            return expected.sorted { $0.key < $1.key }.flatMap { differing($1, from: found[$0], at: "\(path).\($0)") }
        }
        if let expected = expected as? [Any] {
            guard let found = found as? [Any], found.count == expected.count else { return ["\(path)[]"] }
            return zip(expected, found).enumerated().flatMap { differing($1.0, from: $1.1, at: "\(path)[\($0)]") }
        }
        if let number = expected as? NSNumber, let other = found as? NSNumber {
            return number.isEqual(to: other) ? [] : ["\(path): \(other)"]
        }
        guard let expected = expected as? NSObject, expected.isEqual(found) else { return ["\(path): \(found ?? "nothing")"] }
        return []
    }

    /// Paths of the fields that are shown and not there.
    private static func missing(_ expected: Any, in found: Any?, at path: String = "") -> [String] {
        if let expected = expected as? [String: Any] {
            guard let found = found as? [String: Any] else { return found is NSNull ? [] : [path.isEmpty ? "(all)" : path] }
            return expected.sorted { $0.key < $1.key }.flatMap { key, value in
                found[key].map { missing(value, in: $0, at: "\(path).\(key)") } ?? ["\(path).\(key)"]
            }
        }
        if let expected = expected as? [Any], let first = expected.first {
            guard let found = found as? [Any], let one = found.first else { return ["\(path)[]"] }
            return missing(first, in: one, at: "\(path)[]")
        }
        return []
    }

    /// Each command's help ends in examples; what they name is there.
    @Test(arguments: ["wattle", "wattle-agent", "wattle-collector"]) func theExamplesOfTheHelpNameFlagsThatAreThere(program: String)
        async throws
    {
        try await Scratch.with { scratch in
            var pages: [[String]: String] = [:]
            var open: [[String]] = [[]]
            while let path = open.popLast() {
                let help = try await Program.run(program, path + ["--help"], in: scratch).output
                pages[path] = help
                guard let list = help.range(of: "SUBCOMMANDS:\n") else { continue }
                for line in help[list.upperBound...].split(separator: "\n") where line.hasPrefix("  ") && !line.hasPrefix("   ") {
                    guard let name = line.split(separator: " ").first.map(String.init), name != "See", name != "help" else { continue }
                    open.append(path + [name])
                }
            }
            var seen = 0
            for (page, help) in pages {
                for line in help.split(separator: "\n") where line.hasPrefix("  \(program) ") || line.hasPrefix("\(program) ") {
                    var words = line.split(separator: " ").map(String.init)
                    guard let place = words.firstIndex(of: program) else { continue }
                    words = Array(words[(place + 1)...].prefix { !["|", ">", "&&", ";", "#", "--"].contains($0) })
                    var path: [String] = []
                    for word in words where !word.hasPrefix("-") {
                        guard pages[path + [word]] != nil else { break }
                        path.append(word)
                    }
                    seen += 1
                    for word in words where word.hasPrefix("--") {
                        let flag = String(word.prefix { $0 != "=" })
                        #expect(pages[path]?.contains(flag) == true, "\(program) \(page.joined(separator: " ")): \(flag) of: \(line)")
                    }
                }
            }
            #expect(seen > 2)
        }
    }
}
