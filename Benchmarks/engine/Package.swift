// swift-tools-version: 6.2
import PackageDescription

// The pure targets alone (links into ../../Sources), so that the engine is built and measured without any dependency.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "engine",
    targets: [
        .target(name: "Energy", swiftSettings: settings),
        .target(name: "Carbon", dependencies: ["Energy"], swiftSettings: settings),
        .target(name: "Accounting", dependencies: ["Energy", "Carbon"], swiftSettings: settings),
        .executableTarget(name: "engine", dependencies: ["Energy", "Accounting"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
