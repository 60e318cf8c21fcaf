import Energy
import Glibc

/// Finds the RAPL zones of a machine.
///
/// Source: `Documentation/power/powercap/powercap.rst` and `drivers/powercap/intel_rapl_common.c` of the kernel. `/sys/class/powercap`
/// holds symbolic links, one for each zone and subzone. The README beside this file lists the quirks.
struct PowercapDiscovery {
    static let directory = "/sys/class/powercap"
    /// Container engines hide the directory at its own place whatever is mounted there.
    static let remedyInContainer = "run the agent on the host, or mount the host's /sys at /host/sys, read-only, and set root to /host"

    let host: SensorHost

    struct Candidate {
        var zone: PowercapZone
        var kind: Zone
        var package: Int?
        /// Nil on AMD, whose counters are of the package whatever the label says.
        var die: Int?
        var path: String

        var name: String { "powercap/\(zone.directory)" }

        func isSamePart(as other: Candidate) -> Bool { kind == other.kind && package == other.package && die == other.die }
    }

    func find() -> (meters: [PowercapMeter], notFit: [UnusedSensor]) {
        let directory = host.roots.path(Self.directory)
        let names: [String]
        do throws(SensorFault) {
            names = try SensorText.names(in: directory)
        } catch {
            guard error.isVanished else {
                return ([], [UnusedSensor(name: "powercap", reason: error.description, remedy: error.remedy)])
            }
            return ([], noZones("the kernel has no \(Self.directory)"))
        }
        var unused: [UnusedSensor] = []
        let zones = readZones(names, in: directory, &unused)
        if zones.isEmpty && unused.isEmpty { return ([], noZones("\(Self.directory) lists no RAPL zone")) }
        var used: [Candidate] = []
        var meters: [PowercapMeter] = []
        let all = candidates(zones, in: directory, &unused)
        for candidate in all {
            if let reason = whyNot(candidate, beside: used) {
                unused.append(UnusedSensor(name: candidate.name, reason: reason))
                continue
            }
            do throws(SensorFault) {
                let dies = Set(all.filter { $0.kind == .package && $0.package == candidate.package }.map(\.die)).count
                meters.append(try meter(candidate, dies: candidate.die == nil ? 1 : dies))
                // Only now: a zone that cannot be read must not keep its readable twin out.
                used.append(candidate)
            } catch {
                unused.append(UnusedSensor(name: candidate.name, reason: error.description, remedy: error.remedy))
            }
        }
        return (meters, unused)
    }

    /// What to say where a processor that should have RAPL shows none; nothing where its registers are read, or for other makers'.
    private func noZones(_ reason: String) -> [UnusedSensor] {
        guard host.cpu.vendor == .intel || host.cpu.vendor == .amd else { return [] }
        guard !host.found.contains(where: { $0.name.hasPrefix("\(MSRSensor.name)/") }) else { return [] }
        return [
            UnusedSensor(
                name: "powercap",
                reason: reason,
                remedy: "on hardware: modprobe intel_rapl_msr (AMD's too); in a container: \(Self.remedyInContainer); a virtual machine "
                    + "has no such counters"
            )
        ]
    }

    private func readZones(_ names: [String], in directory: String, _ unused: inout [UnusedSensor]) -> [PowercapZone] {
        var zones: [PowercapZone] = []
        var hidden: [String] = []
        for name in names {
            guard let (controlType, ids) = PowercapZone.parse(directory: name) else { continue }
            do throws(SensorFault) {
                let label = try SensorText.word("\(directory)/\(name)/name")
                zones.append(PowercapZone(controlType: controlType, ids: ids, directory: name, label: label))
            } catch {
                if error.number == ENOENT && !SensorText.isDirectory("\(directory)/\(name)") {
                    hidden.append(name)
                } else {
                    unused.append(UnusedSensor(name: "powercap/\(name)", reason: error.description, remedy: error.remedy))
                }
            }
        }
        if let first = hidden.first {
            unused.append(
                UnusedSensor(
                    name: "powercap/\(first)",
                    reason: (hidden.count == 1 ? "is listed" : "and \(hidden.count - 1) more zones are listed")
                        + " in \(Self.directory), but what the link points to is hidden, as container engines do",
                    remedy: Self.remedyInContainer
                )
            )
        }
        // The MSR interface comes before the memory-mapped one, and packages before what is inside them.
        return zones.sorted {
            ($0.controlType, $0.ids.count, $0.ids.first ?? 0, $0.directory) < (
                $1.controlType, $1.ids.count, $1.ids.first ?? 0, $1.directory
            )
        }
    }

    private func candidates(_ zones: [PowercapZone], in directory: String, _ unused: inout [UnusedSensor]) -> [Candidate] {
        zones.compactMap { zone in
            guard let meaning = zone.meaning else {
                unused.append(
                    UnusedSensor(
                        name: "powercap/\(zone.directory)",
                        reason: "expected package-N, package-N-die-M, psys, psys-N, core, uncore or dram as its name, found '\(zone.label)'"
                    )
                )
                return nil
            }
            let parent = zones.first { zone.isInside($0) }?.meaning
            return Candidate(
                zone: zone,
                kind: meaning.zone,
                package: meaning.package ?? parent?.package,
                die: host.cpu.vendor == .amd ? nil : meaning.die ?? parent?.die,
                path: "\(directory)/\(zone.directory)"
            )
        }
    }

    /// Why a zone must not be used beside those that are; nil where it may be.
    private func whyNot(_ candidate: Candidate, beside used: [Candidate]) -> String? {
        if host.cpu.vendor == .amd, candidate.kind == .core {
            return "AMD's core counter is that of one core, read on the package's first CPU"
        }
        let place = MeterPlace(name: "", zone: candidate.kind, package: candidate.package, die: candidate.die, quality: .measured)
        if let register = host.found.first(where: { $0.name.hasPrefix("\(MSRSensor.name)/") && $0.isSamePart(as: place) }) {
            return "the same counter as \(register.name), which \(MSRSensor.name).enabled asks for"
        }
        guard let twin = used.first(where: { candidate.isSamePart(as: $0) }) else { return nil }
        if twin.zone.controlType != candidate.zone.controlType { return "the same counter as \(twin.zone.directory), seen another way" }
        return candidate.zone.meaning?.die != nil && host.cpu.vendor == .amd
            ? "mirrors the counter of \(twin.zone.label), which is the whole package's"
            : "a second zone for the same part as \(twin.zone.directory); only one of them can be believed"
    }

    private func meter(_ candidate: Candidate, dies: Int) throws(SensorFault) -> PowercapMeter {
        let rangePath = "\(candidate.path)/max_energy_range_uj"
        let range = try SensorText.number(rangePath)
        guard range > 0, range < 1 << 62 else {
            throw SensorFault(path: rangePath, kind: .malformed(expected: "the largest value in µJ, from 1 to 2^62", found: "\(range)"))
        }
        let energy = try SensorFile("\(candidate.path)/energy_uj", files: host.files)
        let ceiling = PowerCeiling(constraintsIn: candidate.path)
        let zone = candidate.kind
        let most = ceiling.power ?? PowerCeiling.unpublished(of: zone, packages: host.cpu.packages)
        var meter = PowercapMeter(
            place: MeterPlace(name: candidate.name, zone: zone, package: candidate.package, die: candidate.die, quality: .measured),
            modulus: CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: range),
            maximumPower: most,
            idlePower: zone == .package ? host.packageIdle.divided(by: dies) : nil,
            basis: "RAPL counter \(candidate.zone.label)\(zone == .package ? "" : candidate.package.map { " of package \($0)" } ?? ""), "
                + "wraps at \(range / 1_000_000) J, at most \(Int64(saturating: most.watts.rounded())) W (\(ceiling.source))",
            energy: energy
        )
        // The counter must answer now: some kernels offer zones whose reads fail.
        _ = try meter.read(at: Timestamp(microseconds: 0))
        return meter
    }
}

extension UtilisationModel.Point {
    /// The part of one of several equal dies.
    func divided(by count: Int) -> UtilisationModel.Point {
        func part(_ power: Power) -> Power { Power(watts: power.watts / Double(max(1, count))) }
        return UtilisationModel.Point(low: part(low), best: part(best), high: part(high))
    }
}
