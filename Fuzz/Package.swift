// swift-tools-version: 6.2
import PackageDescription

// The pure modules alone (links to the project's own), each instrumented for libFuzzer; `Fuzz/run` builds and runs them. Crypto and Store
// are stand-ins: of what the decoder of readings needs of them only `ReadingsRecord` is the project's own.
let package = Package(
    name: "fuzz",
    dependencies: [.package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0")],
    targets: [
        .target(name: "Energy"),
        .target(name: "Documents", dependencies: ["Energy"]),
        .target(name: "Telemetry", dependencies: ["Documents", "Energy"], resources: [.embedInCode("Rules/meters.yaml")]),
        .target(
            name: "Wire",
            dependencies: ["Energy", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["readings.proto"]
        ),
        .target(name: "Crypto"),
        .target(name: "Store", dependencies: ["Energy"]),
        .target(name: "LibFuzzer"),
        .target(name: "FuzzedSeries", dependencies: ["Documents", "Energy", "Telemetry"]),
        .executableTarget(name: "fuzz-remote-write", dependencies: ["FuzzedSeries", "LibFuzzer", "Telemetry"]),
        .executableTarget(name: "fuzz-otlp", dependencies: ["FuzzedSeries", "LibFuzzer", "Telemetry"]),
        .executableTarget(name: "fuzz-exposition", dependencies: ["Energy", "FuzzedSeries", "LibFuzzer", "Telemetry"]),
        .executableTarget(
            name: "fuzz-readings",
            dependencies: [
                "Crypto", "Energy", "LibFuzzer", "Store", "Wire", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]
        ),
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
