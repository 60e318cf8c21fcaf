import Energy
import FoundationEssentials
public import Meters

/// What is measurable on a host and with what quality.
public struct DetectReport: Sendable {
    public struct Line: Encodable, Hashable, Sendable {
        public var meter: String
        public var zone: String?
        public var package: Int?
        public var die: Int?
        public var quality: String?
        public var in_cover: Bool
        public var p_max_w: Double?
        public var p_idle_w: Double?
        public var bound_low_ratio: Double?
        public var bound_high_ratio: Double?
        /// What the figures rest on; why it is not used otherwise.
        public var basis: String
        /// Why a meter is counted or stands beside; nil for what is no meter.
        public var standing: String?
        public var remedy: String?
    }

    public let lines: [Line]
    /// Things an operator should know, of the host as a whole.
    public let remarks: [String]
    public let cpu: CPUInfo
    /// What the host's energy is made of, and what is not in it.
    public let summary: String

    public init(_ sensors: HostSensors) {
        cpu = sensors.cpu
        remarks = sensors.remarks
        let containment = Containment(sensors.meters.map(\.place))
        lines =
            sensors.meters.map { meter in
                Line(
                    meter: meter.place.name,
                    zone: meter.place.zone.rawValue,
                    package: meter.place.package,
                    die: meter.place.die,
                    quality: meter.place.quality.rawValue,
                    in_cover: sensors.cover.contains(meter.place.name),
                    p_max_w: meter.maximumPower.watts,
                    p_idle_w: meter.idlePower?.best.watts,
                    bound_low_ratio: meter.boundRatios.low,
                    bound_high_ratio: meter.boundRatios.high,
                    basis: meter.basis,
                    standing: containment.explanation(of: meter.place.name)
                )
            }
            + sensors.unused.map { Line(meter: $0.name, in_cover: false, basis: $0.reason, remedy: $0.remedy) }
        summary = CoverSummary(sensors.meters.map(\.place), cover: sensors.cover).text
    }

    /// For people: what is counted, what stands beside it, what is not used and how to get it, and in the end the sum of it all.
    public var table: String {
        let name = cpu.model.isEmpty ? "processor without a name" : cpu.model
        let header = "\(name): \(Self.count(cpu.cpus, "CPU")) in \(Self.count(cpu.packages, "package"))\n"
        var parts = [header]
        let meters = lines.filter { $0.quality != nil }
        parts += Self.section("counted", ["meter", "part", "quality", "what it rests on"], meters.filter(\.in_cover).map(Self.meterRow))
        parts += Self.section(
            "read too, and not added",
            ["meter", "part", "quality", "why"],
            meters.filter { !$0.in_cover }.map(Self.meterRow)
        )
        let unused = lines.filter { $0.quality == nil }.flatMap { line in
            [[line.meter, line.basis]] + (line.remedy.map { [["", "what to do: \($0)"]] } ?? [])
        }
        parts += Self.section("not used", ["name", "why"], unused)
        // What a meter rests on is said with it.
        let others = remarks.filter { remark in !lines.contains { $0.basis == remark } }
        if !others.isEmpty { parts.append((["remarks"] + others).joined(separator: "\n  ") + "\n") }
        return (parts + [summary + "\n"]).joined(separator: "\n")
    }

    private static func section(_ title: String, _ header: [String], _ rows: [[String]]) -> [String] {
        guard !rows.isEmpty else { return [] }
        let lines = TextTable.render(header: header, rows: rows).split(separator: "\n").map { "  \($0)\n" }
        return ["\(title)\n" + lines.joined()]
    }

    private static func meterRow(_ line: Line) -> [String] {
        let part = (line.zone ?? "-") + (line.package.map { " \($0)" } ?? "") + (line.die.map { " die \($0)" } ?? "")
        var quality = line.quality ?? "-"
        if let low = line.bound_low_ratio, let high = line.bound_high_ratio, low != 1 || high != 1 {
            quality += ", true value \(FixedDecimal.text(low, digits: 2)) to \(FixedDecimal.text(high, digits: 2)) times"
        }
        // That a counted meter is counted says the title; what is unusual about it does not.
        let standing = line.standing.flatMap { $0 == "counted" ? nil : $0 }
        let why = line.in_cover ? [line.basis, standing] : [standing]
        return [line.meter, part, quality, why.compactMap(\.self).joined(separator: "; ")]
    }

    private static func count(_ number: Int, _ thing: String) -> String { "\(number) \(thing)\(number == 1 ? "" : "s")" }

    /// - Throws: never in practice; every field has a JSON form.
    public func json() throws -> String {
        struct Body: Encodable {
            var cpu_model: String
            var cpus: Int
            var packages: Int
            var meters: [Line]
            var remarks: [String]
            var summary: String
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let body = Body(
            cpu_model: cpu.model,
            cpus: cpu.cpus,
            packages: cpu.packages,
            meters: lines,
            remarks: remarks,
            summary: summary
        )
        return String(decoding: try encoder.encode(body), as: UTF8.self) + "\n"
    }
}
