import Foundation
import PackagePlugin

/// Makes a text constant of every CSV file beside the target's sources: `cloud_instances.csv` becomes
/// `EmbeddedTables.cloud_instances`.
///
/// A resource that is embedded in code becomes an array of bytes, and the compiler needs minutes for half a megabyte of them; for
/// a text it needs less than a second.
@main
struct EmbedTables: BuildToolPlugin {
    private static let script = """
        out=$1; shift
        {
            echo '/// The tables as their files have them, made by the build.'
            echo 'enum EmbeddedTables {'
            for file; do
                printf '    static let %s = #\"\"\"\\n' "$(basename "$file" .csv)"
                cat "$file"
                printf '\\n\"\"\"#\\n'
            done
            echo '}'
        } > "$out"
        """

    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let tables = try FileManager.default.contentsOfDirectory(at: target.directoryURL, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "csv" }
            .sorted { $0.path < $1.path }
        let output = context.pluginWorkDirectoryURL.appending(path: "EmbeddedTables.swift")
        return [
            .buildCommand(
                displayName: "Embedding \(tables.count) tables",
                executable: URL(filePath: "/bin/sh"),
                arguments: ["-ec", Self.script, "embed-tables", output.path] + tables.map(\.path),
                inputFiles: tables,
                outputFiles: [output]
            )
        ]
    }
}
