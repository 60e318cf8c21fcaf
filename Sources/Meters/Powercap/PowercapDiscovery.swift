import Energy

/// Finds the RAPL zones of a machine.
///
/// Source: `Documentation/power/powercap/powercap.rst` of the kernel. `/sys/class/powercap` holds symbolic links, one for each zone
/// and subzone. `energy_uj` is readable by root only since kernel 5.10. Quirks handled here: hexadecimal ids, the memory-mapped twin
/// of a package, dies beside or instead of packages, AMD's mirrored dies, counters that exist but answer EINVAL or ENODATA.
struct PowercapDiscovery {
    /// Where no limit is published a package is taken to draw at most this.
    static let defaultMaximumPower = Power(watts: 1_000)

    let host: SensorHost

    private struct Candidate {
        var zone: PowercapZone
        var kind: Zone
        var package: Int?
        var die: Int?
        var path: String
    }

    func find() -> (meters: [PowercapMeter], notFit: [UnusedSensor]) {
        let directory = host.roots.path("/sys/class/powercap")
        let names: [String]
        do throws(SensorFault) {
            names = try SensorText.names(in: directory)
        } catch {
            // No powercap at all is the usual state of a virtual machine; anything else is worth saying.
            return ([], error.isVanished ? [] : [UnusedSensor(name: "powercap", reason: error.description, remedy: error.remedy)])
        }
        var unused: [UnusedSensor] = []
        let candidates = withoutTwins(readZones(names, in: directory, &unused), &unused)
        var meters: [PowercapMeter] = []
        for candidate in candidates {
            do throws(SensorFault) {
                meters.append(try meter(candidate))
            } catch {
                unused.append(UnusedSensor(name: "powercap/\(candidate.zone.directory)", reason: error.description, remedy: error.remedy))
            }
        }
        return (meters, unused)
    }

    private func readZones(_ names: [String], in directory: String, _ unused: inout [UnusedSensor]) -> [Candidate] {
        var zones: [PowercapZone] = []
        for name in names {
            guard let (controlType, ids) = PowercapZone.parse(directory: name) else { continue }
            do throws(SensorFault) {
                let label = try SensorText.word("\(directory)/\(name)/name")
                zones.append(PowercapZone(controlType: controlType, ids: ids, directory: name, label: label))
            } catch {
                unused.append(UnusedSensor(name: "powercap/\(name)", reason: error.description, remedy: error.remedy))
            }
        }
        zones.sort { ($0.controlType, $0.ids.count, $0.directory) < ($1.controlType, $1.ids.count, $1.directory) }
        return zones.compactMap { zone in
            guard let meaning = zone.meaning else {
                unused.append(
                    UnusedSensor(
                        name: "powercap/\(zone.directory)",
                        reason: "expected package-N, package-N-die-M, psys, core, uncore or dram as its name, found '\(zone.label)'"
                    )
                )
                return nil
            }
            let parent = zones.first { zone.isInside($0) }
            return Candidate(
                zone: zone,
                kind: meaning.zone,
                package: meaning.package ?? parent?.meaning?.package,
                die: meaning.die,
                path: "\(directory)/\(zone.directory)"
            )
        }
    }

    /// Leaves one zone for each part of the machine.
    private func withoutTwins(_ all: [Candidate], _ unused: inout [UnusedSensor]) -> [Candidate] {
        var kept: [Candidate] = []
        // The MSR interface comes first in the order, so that it is the memory-mapped one that is left out.
        for candidate in all {
            let twin = kept.first {
                $0.zone.controlType != candidate.zone.controlType && $0.kind == candidate.kind && $0.package == candidate.package
                    && $0.die == candidate.die
            }
            if let twin {
                unused.append(
                    UnusedSensor(
                        name: "powercap/\(candidate.zone.directory)",
                        reason: "the same counter as \(twin.zone.directory), seen another way"
                    )
                )
            } else {
                kept.append(candidate)
            }
        }
        return kept.filter { candidate in
            guard candidate.kind == .package, let die = candidate.die else { return true }
            let siblings = kept.filter { $0.kind == .package && $0.package == candidate.package }
            if siblings.contains(where: { $0.die == nil }) {
                unused.append(
                    UnusedSensor(name: "powercap/\(candidate.zone.directory)", reason: "a part of package \(candidate.package ?? 0)")
                )
                return false
            }
            // AMD counts per package and shows the same counter once a die; Intel's dies have counters of their own.
            if host.cpu.vendor == .amd, siblings.contains(where: { ($0.die ?? 0) < die }) {
                unused.append(
                    UnusedSensor(
                        name: "powercap/\(candidate.zone.directory)",
                        reason: "mirrors the first die of package \(candidate.package ?? 0)"
                    )
                )
                return false
            }
            return true
        }
    }

    private func meter(_ candidate: Candidate) throws(SensorFault) -> PowercapMeter {
        let rangePath = "\(candidate.path)/max_energy_range_uj"
        let range = try SensorText.number(rangePath)
        guard range > 0, range < 1 << 62 else {
            throw SensorFault(path: rangePath, kind: .malformed(expected: "the largest value in µJ, from 1 to 2^62", found: "\(range)"))
        }
        let energy = try SensorFile("\(candidate.path)/energy_uj", files: host.files)
        let limit = publishedLimit(candidate.path)
        let zone = candidate.kind
        var meter = PowercapMeter(
            place: MeterPlace(name: "powercap/\(candidate.zone.directory)", zone: zone, package: candidate.package, quality: .measured),
            modulus: CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: range),
            maximumPower: limit ?? Self.defaultMaximumPower,
            idlePower: zone == .package ? host.packageIdle : nil,
            basis: "RAPL counter \(candidate.zone.label)\(zone == .package ? "" : candidate.package.map { " of package \($0)" } ?? ""), "
                + "wraps at \(range / 1_000_000) J, at most \(Int64(saturating: (limit ?? Self.defaultMaximumPower).watts.rounded())) W "
                + (limit == nil ? "(assumed)" : "(published)"),
            energy: energy
        )
        // The counter must answer now: some kernels offer zones whose reads fail.
        _ = try meter.read(at: Timestamp(microseconds: 0))
        return meter
    }

    /// The largest published power limit of the zone; nil where none is above 0.
    private func publishedLimit(_ path: String) -> Power? {
        var largest: Int64 = 0
        for constraint in 0..<8 {
            do throws(SensorFault) {
                largest = max(largest, try SensorText.number("\(path)/constraint_\(constraint)_max_power_uw"))
            } catch {
                // Absent for most constraints and on all of AMD's zones; some boards answer ENODATA. It only means "not published".
                continue
            }
        }
        return largest > 0 ? Power(microwatts: largest) : nil
    }
}
