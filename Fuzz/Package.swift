// swift-tools-version: 6.2
import PackageDescription

// The pure modules alone (links to the project's own), each instrumented for libFuzzer; `Fuzz/run` builds and runs them.
let package = Package(
    name: "fuzz",
    targets: [
        .target(name: "Energy"),
        .target(name: "Documents", dependencies: ["Energy"]),
        .target(name: "Telemetry", dependencies: ["Documents", "Energy"], resources: [.embedInCode("Rules/meters.yaml")]),
        .target(name: "LibFuzzer"),
        .executableTarget(name: "fuzz-remote-write", dependencies: ["LibFuzzer", "Telemetry"]),
        .executableTarget(name: "fuzz-otlp", dependencies: ["LibFuzzer", "Telemetry"]),
        .executableTarget(name: "fuzz-exposition", dependencies: ["Energy", "LibFuzzer", "Telemetry"]),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        // Coverage of the readers is what libFuzzer steers by.
        .unsafeFlags(["-sanitize=fuzzer", "-parse-as-library"]),
    ]
    if target.type == .executable { target.linkerSettings = [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])] }
}
