// swift-tools-version: 6.2
import PackageDescription

// The pure target alone (a link into ../../Sources), so that it is built without any dependency.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "storage",
    targets: [
        .target(name: "Energy", swiftSettings: settings),
        .executableTarget(name: "storage", dependencies: ["Energy"], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
