// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// Each kind of sensor is a folder with a README of its own.
let sensorReadmes = try FileManager.default.contentsOfDirectory(atPath: "\(Context.packageDirectory)/Sources/Meters")
    .map { "\($0)/README.md" }
    .filter { FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/Sources/Meters/\($0)") }
    .sorted()

/// CSV files that the build embeds beside a target's sources.
func tables(in folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(Context.packageDirectory)/\(folder)").filter { $0.hasSuffix(".csv") }.sorted()
}
let programTables = try tables(in: "config/factors")
let factorTables = try tables(in: "config/factors/tables")

let strict = Context.environment["WATTLE_STRICT"] == "1"

let package = Package(
    name: "wattle",
    products: [
        .library(name: "Tracker", targets: ["Tracker"]),
        .executable(name: "wattle", targets: ["wattle"]),
        .executable(name: "wattle-agent", targets: ["wattle-agent"]),
        .executable(name: "wattle-broker", targets: ["wattle-broker"]),
        .executable(name: "wattle-collector", targets: ["wattle-collector"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Pure: no I/O, no clocks, no Foundation.
        .target(name: "Energy"),
        .target(name: "Carbon", dependencies: ["Energy"]),
        .target(name: "Accounting", dependencies: ["Energy", "Carbon"]),
        .target(name: "Simulation", dependencies: ["Energy", "Carbon", "Accounting"]),
        .target(
            name: "Wire",
            dependencies: ["Energy", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["readings.proto"]
        ),

        // JSON values and the times in them, as every document here holds them.
        .target(name: "Documents", dependencies: ["Energy"]),
        // Observations of cloud machines, estimates and intensities as JSON has them.
        .target(name: "CarbonDocuments", dependencies: ["Accounting", "Carbon", "Documents", "Energy"]),
        // Impact Framework manifests: what they hold, and what comes out of them.
        .target(name: "ImpactModels", dependencies: ["Carbon", "Documents", "Energy"]),
        // A file per CI system: signed bytes in, jobs out.
        .target(
            name: "CIEvents",
            dependencies: [
                "Documents", "Energy",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["OTLP/trace.proto"]
        ),
        // Other exporters' series: their formats, the table that makes meters of them, and their curves.
        .target(name: "Telemetry", dependencies: ["Documents", "Energy"], resources: [.embedInCode("Rules/meters.yaml")]),
        // What the webhooks missed, asked for over REST.
        .target(name: "CIHistory", dependencies: ["CIEvents", "Documents", "Energy", "HTTPClient"]),

        // C shims and module maps.
        .target(name: "CLinux"),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CSnappy", providers: [.apt(["libsnappy-dev"])]),
        .systemLibrary(name: "CLibYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CLibCurl", providers: [.apt(["libcurl4-openssl-dev"])]),

        // Tables the programs carry.
        .target(
            name: "Factors",
            path: "config/factors",
            exclude: ["README.md", "tables"] + programTables,
            plugins: ["EmbedTables"]
        ),
        .target(
            name: "FactorTables",
            path: "config/factors/tables",
            exclude: factorTables,
            plugins: ["EmbedTables"]
        ),
        .plugin(name: "EmbedTables", capability: .buildTool()),
        .target(name: "FactorsCheck", dependencies: ["Factors"]),
        .target(
            name: "Migrations",
            path: "migrations",
            exclude: ["README.md"],
            sources: ["Migrations.swift"],
            resources: [
                .embedInCode("m0001_spine.sql"), .embedInCode("m0002_workload_identity.sql"), .embedInCode("m0003_front_door.sql"),
                .embedInCode("m0004_accounting.sql"), .embedInCode("m0005_telemetry.sql"), .embedInCode("m0006_storage.sql"),
                .embedInCode("m0007_ingest.sql"), .embedInCode("m0008_days.sql"), .embedInCode("m0009_carbon.sql"),
            ]
        ),

        // Edges.
        .target(name: "Gzip", dependencies: ["CZlib"]),
        .target(name: "Snappy", dependencies: ["CSnappy"]),
        .target(name: "HTTPClient", dependencies: ["CLibCurl"]),
        // A file per provider of grid intensities: what to ask for, and how to read the answer.
        .target(name: "GridFeeds", dependencies: ["Carbon", "Documents", "Energy", "Factors", "HTTPClient"]),
        .target(name: "ManifestFiles", dependencies: ["CLibYAML", "ImpactModels"]),
        .target(name: "Meters", dependencies: ["Energy", "Factors", "CLinux"], exclude: sensorReadmes, plugins: ["ListSensors"]),
        .plugin(name: "ListSensors", capability: .buildTool()),
        .target(
            name: "Agent",
            dependencies: [
                "Energy", "Meters", "Wire", "HTTPClient", "Gzip", "CLinux",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),
        .target(name: "Postgres", dependencies: ["CLibPQ", .product(name: "Logging", package: "swift-log")]),
        .target(
            name: "Store",
            dependencies: [
                "Postgres", "Migrations", "Documents", "Energy", "Carbon", "Accounting", "Telemetry",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .target(
            name: "Collector",
            dependencies: [
                "Energy", "Carbon", "CarbonDocuments", "Accounting", "Simulation", "Wire", "Documents", "CIEvents", "CIHistory", "Factors",
                "FactorTables", "GridFeeds", "Gzip", "HTTPClient", "Snappy", "Telemetry", "Postgres", "Store",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "JWTKit", package: "jwt-kit"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Mustache", package: "swift-mustache"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "Yams", package: "Yams"),
            ],
            resources: [
                .embedInCode("API/OpenAPI/openapi.yaml"), .embedInCode("Pages/home.mustache"), .embedInCode("Pages/sign-in.mustache"),
                .embedInCode("Pages/style.css"),
            ]
        ),
        .target(name: "Tracker", dependencies: ["Energy", "Carbon", "Accounting", "Meters", "HTTPClient", "Factors", "CLinux"]),

        // Programs: composition only.
        .executableTarget(
            name: "wattle",
            dependencies: [
                "Tracker", "HTTPClient", "CIEvents", "CIHistory", "Documents", "Energy", "Carbon", "CarbonDocuments", "Factors",
                "FactorsCheck", "FactorTables", "GridFeeds",
                "ImpactModels", "ManifestFiles",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        // Root's part of the agent: nothing but what opens files.
        .executableTarget(name: "wattle-broker", dependencies: ["CLinux"]),
        .executableTarget(
            name: "wattle-agent",
            dependencies: [
                "Agent", "Meters", "Energy",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]
        ),
        .executableTarget(
            name: "wattle-collector",
            dependencies: [
                "Collector", "CIEvents", "Documents", "Simulation", "Store", "Postgres", "Telemetry", "Energy",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),

        // Tests.
        .target(name: "TestSupport", dependencies: ["Energy", "Postgres", .product(name: "Logging", package: "swift-log")]),
        .testTarget(name: "GzipTests", dependencies: ["Gzip"]),
        .testTarget(name: "SnappyTests", dependencies: ["Snappy"]),
        .testTarget(name: "HTTPClientTests", dependencies: ["HTTPClient"], exclude: ["Support/peer.py"]),
        .testTarget(name: "EnergyTests", dependencies: ["Energy", "TestSupport"]),
        .testTarget(name: "AccountingTests", dependencies: ["Accounting", "Carbon", "Energy", "TestSupport"]),
        .testTarget(name: "SimulationTests", dependencies: ["Simulation", "Accounting", "Carbon", "Energy", "TestSupport"]),
        .testTarget(name: "CarbonTests", dependencies: ["Carbon", "Energy", "Factors", "TestSupport"]),
        .testTarget(name: "CarbonDocumentsTests", dependencies: ["CarbonDocuments", "Accounting", "Carbon", "Documents", "Energy"]),
        .testTarget(name: "FactorsCheckTests", dependencies: ["FactorsCheck", "Factors", "FactorTables"]),
        .testTarget(
            name: "GridFeedsTests",
            dependencies: ["GridFeeds", "Carbon", "Documents", "Energy", "HTTPClient"],
            exclude: ["Answers", "Support/recorded.py"]
        ),
        .testTarget(
            name: "ImpactModelsTests",
            dependencies: ["ImpactModels", "ManifestFiles", "Carbon", "Documents", "Energy", "TestSupport"]
        ),
        .testTarget(name: "DocumentsTests", dependencies: ["Documents", "Energy", "TestSupport"]),
        .testTarget(name: "CIEventsTests", dependencies: ["CIEvents", "Documents", "Energy", "TestSupport"]),
        .testTarget(
            name: "CIHistoryTests",
            dependencies: ["CIHistory", "CIEvents", "Documents", "Energy", "HTTPClient", "TestSupport"],
            exclude: ["Support"]
        ),
        .testTarget(
            name: "TelemetryTests",
            dependencies: ["Telemetry", "Documents", "Energy", "TestSupport", .product(name: "Yams", package: "Yams")]
        ),
        .testTarget(name: "FactorsTests", dependencies: ["Factors"]),
        .testTarget(
            name: "WireTests",
            dependencies: ["Wire", "Energy", "TestSupport", .product(name: "SwiftProtobuf", package: "swift-protobuf")]
        ),
        .testTarget(name: "PostgresTests", dependencies: ["Postgres", "TestSupport", .product(name: "Logging", package: "swift-log")]),
        .testTarget(name: "MetersTests", dependencies: ["Meters", "Energy", "TestSupport"], exclude: ["FakeNVML", "Machines"]),
        .testTarget(
            name: "AgentTests",
            dependencies: [
                "Agent", "Meters", "Wire", "Energy", "Gzip", "HTTPClient", "CLinux", "TestSupport", "wattle-broker",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]
        ),
        .testTarget(name: "TrackerTests", dependencies: ["Tracker", "Carbon", "HTTPClient", "Energy", "TestSupport"]),
        .testTarget(
            name: "CollectorTests",
            dependencies: [
                "Migrations", "Collector", "CIEvents", "Documents", "Store", "Postgres", "Wire", "Accounting", "Carbon", "Energy",
                "Factors", "GridFeeds", "Gzip", "Snappy", "Telemetry",
                "HTTPClient", "TestSupport", "Tracker",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]
        ),
        .testTarget(
            name: "SystemTests",
            dependencies: [
                "Wire", "HTTPClient", "Postgres", "Snappy", "TestSupport", "wattle", "wattle-agent", "wattle-broker", "wattle-collector",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["Support/recorder.py"]
        ),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets where [.regular, .executable, .test].contains(target.type) && target.name != "CLinux" {
    target.swiftSettings =
        (target.swiftSettings ?? []) + [
            .enableUpcomingFeature("ExistentialAny"),
            .enableUpcomingFeature("MemberImportVisibility"),
            .enableUpcomingFeature("InternalImportsByDefault"),
        ] + (strict ? [.treatAllWarnings(as: .error)] : [])
}
