import Energy
import FoundationEssentials
public import Meters

/// What is measurable on a host and with what quality.
public struct DetectReport: Sendable {
    public struct Line: Encodable, Hashable, Sendable {
        public var meter: String
        public var zone: String?
        public var package: Int?
        public var quality: String?
        public var in_cover: Bool
        public var p_max_w: Double?
        public var p_idle_w: Double?
        public var bound_low_ratio: Double?
        public var bound_high_ratio: Double?
        /// What the figures rest on; why it is not used otherwise.
        public var basis: String
        public var remedy: String?
    }

    public let lines: [Line]
    public let cpu: CPUInfo

    public init(_ sensors: HostSensors) {
        cpu = sensors.cpu
        lines =
            sensors.meters.map { meter in
                Line(
                    meter: meter.place.name,
                    zone: meter.place.zone.rawValue,
                    package: meter.place.package,
                    quality: meter.place.quality.rawValue,
                    in_cover: sensors.cover.contains(meter.place.name),
                    p_max_w: meter.maximumPower.watts,
                    p_idle_w: meter.idlePower?.best.watts,
                    bound_low_ratio: meter.boundRatios.low,
                    bound_high_ratio: meter.boundRatios.high,
                    basis: sensors.cover.contains(meter.place.name) ? meter.basis : "\(Self.whyNotInCover(meter.place)); \(meter.basis)"
                )
            }
            + sensors.unused.map { Line(meter: $0.name, in_cover: false, basis: "not used: \($0.reason)", remedy: $0.remedy) }
    }

    private static func whyNotInCover(_ place: MeterPlace) -> String {
        switch place.zone {
        case .core, .uncore: "a part of its package"
        case .psys: "contains the packages, which are measured by themselves"
        case .node: "contains everything; it fixes the amount, the inner meters the shape"
        case .module: "contains its package; it fixes the amount, the inner meters the shape"
        case .package, .dram, .gpu, .io: "contained in another meter of the cover"
        }
    }

    public var table: String {
        let rows = lines.map { line in
            [
                line.meter, line.zone ?? "-", line.quality ?? "-", line.in_cover ? "yes" : "no",
                line.basis + (line.remedy.map { "; \($0)" } ?? ""),
            ]
        }
        let name = cpu.model.isEmpty ? "without a name" : cpu.model
        return "processor: \(name), \(cpu.cpus) CPUs in \(cpu.packages) package\(cpu.packages == 1 ? "" : "s")\n\n"
            + TextTable.render(header: ["meter", "zone", "quality", "in cover", "basis"], rows: rows)
    }

    /// - Throws: never in practice; every field has a JSON form.
    public func json() throws -> String {
        struct Body: Encodable {
            var cpu_model: String
            var cpus: Int
            var packages: Int
            var meters: [Line]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let body = Body(cpu_model: cpu.model, cpus: cpu.cpus, packages: cpu.packages, meters: lines)
        return String(decoding: try encoder.encode(body), as: UTF8.self) + "\n"
    }
}
