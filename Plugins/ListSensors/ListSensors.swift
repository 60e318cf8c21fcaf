import Foundation
import PackagePlugin

/// Lists the kinds of sensor: every folder of the target that holds a `<Folder>Sensor.swift` becomes an entry of `allSensors`.
///
/// So a new kind of sensor is one folder and no other change.
@main
struct ListSensors: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        guard let target = target as? any SourceModuleTarget else { return [] }
        let sources = target.sourceFiles(withSuffix: "Sensor.swift").map(\.url)
            .filter { $0.lastPathComponent == "\($0.deletingLastPathComponent().lastPathComponent)Sensor.swift" }
            .sorted { $0.path < $1.path }
        let types = sources.map { "\($0.deletingLastPathComponent().lastPathComponent)Sensor.self" }
        let output = context.pluginWorkDirectoryURL.appending(path: "AllSensors.swift")
        let text = """
            /// Every kind of sensor there is, made by the build from the folders' names.
            let allSensors: [any Sensor.Type] = [\(types.joined(separator: ", "))]

            """
        return [
            .buildCommand(
                displayName: "Listing \(types.count) kinds of sensor",
                executable: URL(filePath: "/bin/sh"),
                arguments: ["-c", "printf '%s' \"$1\" > \"$2\"", "list-sensors", text, output.path],
                inputFiles: sources,
                outputFiles: [output]
            )
        ]
    }
}
