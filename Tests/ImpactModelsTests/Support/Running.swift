import Carbon
import Foundation
import ImpactModels
import ManifestFiles
import Testing

/// Runs manifests that stand in tests as YAML.
enum Running {
    static func run(
        _ yaml: String,
        strict: Bool = false,
        phases: Set<ModelRun.Phase> = Set(ModelRun.Phase.allCases),
        appends: Bool = false,
        sources: ModelSources = ModelSources()
    ) throws -> ModelRun {
        try ModelRun(
            Manifest(ManifestFile.read(yaml, name: "test.yaml")),
            options: ModelRun.Options(phases: phases, isStrict: strict, appends: appends),
            sources: sources
        )
    }

    static func yaml(_ yaml: String) throws -> ModelValue { try ManifestFile.read(yaml, name: "test.yaml") }

    /// The fault of a manifest that must not run.
    static func fault(_ yaml: String, strict: Bool = false, sources: ModelSources = ModelSources()) -> String? {
        do {
            _ = try run(yaml, strict: strict, sources: sources)
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// One plugin over the observations of a single node.
    static func manifest(method: String, config: ModelMap, inputs: [ModelMap], extra: [(String, ModelValue)] = []) -> ModelValue {
        let plugin = ModelMap([("path", .text("builtin")), ("method", .text(method)), ("config", .map(config))] + extra)
        let node = ModelMap([
            ("pipeline", .map(ModelMap([("compute", .list([.text("step")]))]))), ("inputs", .list(inputs.map { .map($0) })),
        ])
        return .map(
            ModelMap([
                ("name", .text("one step")),
                ("initialize", .map(ModelMap([("plugins", .map(ModelMap([("step", .map(plugin))])))]))),
                ("tree", .map(ModelMap([("children", .map(ModelMap([("child", .map(node))])))]))),
            ])
        )
    }
}

extension ModelRun {
    /// A node by the names of its children from the root.
    func node(_ names: String...) -> Manifest.Node {
        var node = manifest.tree
        for name in names {
            guard let child = node.children.first(where: { $0.name == name }) else {
                Issue.record("no node \(name) under \(node.path)")
                return node
            }
            node = child
        }
        return node
    }

    func outputs(_ name: String = "child") -> [ModelMap] { node(name).outputs ?? [] }

    var noteTexts: String { notes.map(\.description).joined(separator: "\n") }
}

/// Numbers as near as 1e-12 of the larger.
func near(_ a: Double?, _ b: Double, relative: Double = 1e-12) -> Bool {
    guard let a else { return false }
    return abs(a - b) <= relative * max(abs(a), abs(b), .leastNormalMagnitude)
}

/// Recorded answers of the frameworks themselves. They are not part of the project: where they are absent the tests that want them are
/// skipped and say so.
enum Vectors {
    private static let file = URL(filePath: #filePath).deletingLastPathComponent().path + "/../../../../shared/vectors/ccf.json"
    static var areHere: Bool { FileManager.default.fileExists(atPath: file) }
    static let absence: Comment = "the vectors of the Impact Framework are not here"

    static func all() throws -> ModelMap {
        try ManifestFile.read(String(contentsOfFile: file, encoding: .utf8), name: "ccf.json").map ?? ModelMap()
    }
}
