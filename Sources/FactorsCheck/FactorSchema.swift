/// What the columns of a table hold and what its rows must obey.
struct FactorSchema: Sendable {
    struct Column: Sendable {
        enum Content: Sendable {
            /// Any text.
            case text
            /// A number in a range, in the unit that the column's name tells.
            case number(ClosedRange<Double>)
            /// A whole number in a range.
            case whole(ClosedRange<Int>)
            case words(Set<String>)
            /// Words joined by `;`, a part after a colon left aside.
            case flags(Set<String>)
        }

        var name: String
        var content: Content
        var isRequired: Bool

        static func required(_ name: String, _ content: Content = .text) -> Column {
            Column(name: name, content: content, isRequired: true)
        }
        static func optional(_ name: String, _ content: Content = .text) -> Column {
            Column(name: name, content: content, isRequired: false)
        }
    }

    /// In the order of the file.
    var columns: [Column]
    /// No two rows of a version have the same of these.
    var key: [String]
    /// Columns whose numbers grow from each to the next; empty fields are passed over.
    var ascending: [[String]] = []

    private static let source: [Column] = [
        .required("source"), .required("year", .whole(2000...2100)), .required("licence"), .required("basis"),
    ]
    private static let versioned: [Column] = [.required("version")] + source
    private static let intensityBasis = Column.Content.words(
        Set(
            ["lifecycle", "direct"].flatMap { scope in
                ["average", "marginal"].flatMap { signal in ["production", "consumption"].map { "\(scope)/\(signal)/\($0)" } }
            }
        )
    )
    /// g/kWh of a whole grid: neither nothing nor more than the worst coal.
    private static let gridIntensity = Column.Content.number(0.1...1_200)

    private static func intensities(zone: Column, versioned: Bool) -> FactorSchema {
        FactorSchema(
            columns: [
                zone, .required("iso3"), .required("name"), .required("year", .whole(2000...2100)), .required("g_per_kwh", gridIntensity),
                .optional("low_g_per_kwh", gridIntensity), .optional("high_g_per_kwh", gridIntensity),
                .required("kind", .words(["actual", "estimated", "yearly"])), .required("basis", intensityBasis), .required("provider"),
                .required("source"), .required("licence"),
            ] + (versioned ? [.required("version")] : []),
            key: ["zone", "year", "basis"],
            ascending: [["low_g_per_kwh", "g_per_kwh", "high_g_per_kwh"]]
        )
    }

    private static let watts = Column.Content.number(0.01...20_000)

    /// By file name.
    static let all: [String: FactorSchema] = [
        "country_intensity.csv": intensities(zone: .required("zone"), versioned: false),
        "zone_intensity.csv": intensities(zone: .required("zone"), versioned: true),
        "cpu_power.csv": FactorSchema(
            columns: [
                .required("maker"), .required("model"), .required("pattern"), .required("cores", .whole(1...1_024)),
                .required("threads", .whole(1...2_048)), .required("tdp_w", watts), .required("idle_low_w", watts),
                .required("idle_w", watts),
                .required("idle_high_w", watts), .required("full_low_w", watts), .required("full_w", watts),
                .required("full_high_w", watts),
                .required("launch_year", .whole(2000...2100)), .required("source"), .required("source_year", .whole(2000...2100)),
                .required("licence"), .required("basis"),
            ],
            key: ["pattern"],
            ascending: [
                ["cores", "threads"], ["idle_low_w", "idle_w", "idle_high_w"], ["full_low_w", "full_w", "full_high_w"],
                ["idle_w", "full_w"],
            ]
        ),
        "host_classes.csv": FactorSchema(
            columns: [
                .required("class"), .required("provider"), .required("vcpus", .number(0.5...1_024)),
                .required("memory_gib", .number(0.5...32_768)),
                .required("idle_w", watts), .required("max_w", watts), .required("low_w", watts), .required("high_w", watts),
                .required("utilisation", .number(0...1)),
            ] + source,
            key: ["class"],
            ascending: [["low_w", "idle_w", "max_w", "high_w"]]
        ),
        "cloud_instances.csv": FactorSchema(
            columns: [
                .required("vendor", .words(["aws", "gcp", "azure"])), .required("type"), .required("vcpus", .number(0.1...4_096)),
                .optional("reserved_vcpus", .number(0.1...4_096)), .optional("platform_vcpus", .number(1...4_096)),
                .optional("platform_vcpus_upstream", .number(1...4_096)), .optional("architecture"),
                .optional("memory_gb", .number(0.1...65_536)), .optional("platform_embodied_kg", .number(300...60_000)),
                .optional("platform_gpus", .whole(1...64)),
                .optional(
                    "flags",
                    .flags([
                        "average-arch", "several-archs", "gpu-not-counted", "last-of", "platform-too-small", "platform-derived",
                        "platform-corrected", "graviton-as-epyc2", "epyc5-recomputed", "constrained",
                    ])
                ),
            ] + versioned,
            key: ["vendor", "type"],
            ascending: [["vcpus", "platform_vcpus"], ["vcpus", "reserved_vcpus", "platform_vcpus"]]
        ),
        "cloud_regions.csv": FactorSchema(
            columns: [
                .required("vendor"), .required("region"), .required("country"), .required("zone"), .required("pue", .number(1...4)),
                .optional("wue_l_per_kwh", .number(0...10)),
            ] + versioned,
            key: ["vendor", "region"]
        ),
        "cpu_architectures.csv": FactorSchema(
            columns: [
                .required("scope", .words(["vcpu", "thread", "server", "gpu"])), .required("vendor"), .required("architecture"),
                .required("least_w", watts), .required("most_w", watts), .optional("gb_per_chip", .number(1...10_000)),
            ] + versioned,
            key: ["scope", "vendor", "architecture"],
            ascending: [["least_w", "most_w"]]
        ),
        "cpu_model_families.csv": FactorSchema(
            columns: [.required("maker"), .required("model"), .required("architecture")] + versioned,
            key: ["maker", "model"]
        ),
        "embodied_components.csv": FactorSchema(
            columns: [
                .required("component"), .required("parameter"), .required("low", .number(0.0001...100_000)),
                .required("value", .number(0.0001...100_000)), .required("high", .number(0.0001...100_000)),
                .required(
                    "unit",
                    .words(["kgCO2e", "kgCO2e/mm2", "kgCO2e/cm2", "kgCO2e/kg", "kgCO2e/GB", "GB/cm2", "mm2", "kg", "GB", "cores"])
                ),
            ] + versioned,
            key: ["component", "parameter"],
            ascending: [["low", "value", "high"]]
        ),
        versionsFile: FactorSchema(
            columns: [
                .required("table"), .required("version"), .required("rows", .whole(1...1_000_000)), .required("checksum"),
                .required("since"),
            ],
            key: ["table"]
        ),
    ]

    static let versionsFile = "versions.csv"
}
