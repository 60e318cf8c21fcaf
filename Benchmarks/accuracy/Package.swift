// swift-tools-version: 6.2
import PackageDescription

// The pure modules alone (links to the project's own), so that the table is made without any dependency.
let package = Package(
    name: "accuracy",
    targets: [
        .target(name: "Energy"),
        .target(name: "Carbon", dependencies: ["Energy"]),
        .target(name: "Accounting", dependencies: ["Energy", "Carbon"]),
        .target(name: "Simulation", dependencies: ["Energy", "Carbon", "Accounting"]),
        .executableTarget(name: "accuracy", dependencies: ["Simulation"]),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ]
}
