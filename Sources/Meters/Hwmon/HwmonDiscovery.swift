import Energy
import Glibc

/// Finds the meters among the channels of `/sys/class/hwmon`.
struct HwmonDiscovery {
    let host: SensorHost

    /// A channel with its meaning.
    private struct Candidate {
        var channel: HwmonChannel
        var name: String
        var zone: Zone
        var package: Int?
        var die: Int?
        /// Names that the meter it is inside of would have, the innermost first.
        var inside: [String]
        var isFast: Bool
        var source: String
    }

    func find() -> SensorFindings {
        var found = SensorFindings()
        var settings: Settings
        switch Settings.read(host) {
        case .success(let read): settings = read
        case .failure(let fault): return SensorFindings(unused: [fault.unused])
        }

        let directory = host.roots.path("/sys/class/hwmon")
        let channels: [HwmonChannel]
        do throws(SensorFault) {
            channels = try HwmonChannel.list(in: directory) { entry, fault in
                found.unused.append(UnusedSensor(name: "hwmon/\(entry)", reason: fault.description, remedy: fault.remedy))
            }
        } catch {
            guard !error.isVanished else { return found }
            return SensorFindings(unused: [UnusedSensor(name: "hwmon", reason: error.description, remedy: error.remedy)])
        }

        settings.repeatedLabels = Set(
            Dictionary(grouping: channels) { "\($0.chip)/\(HwmonText.slug($0.label))" }
                .filter { Set($0.value.map(\.chipNumber)).count > 1 }.keys
        )
        let candidates = withoutTwins(channels.compactMap { meaning(of: $0, settings, &found) }, &found)
        for extra in settings.extras where !candidates.contains(where: { extra.fits($0.channel) }) {
            found.unused.append(
                UnusedSensor(
                    name: "hwmon/\(extra.chip)/\(extra.label)",
                    reason: "expected a channel of this chip and label, as hwmon.extra says; found none",
                    remedy: "compare hwmon.extra with the names and labels below /sys/class/hwmon"
                )
            )
        }
        addMeters(candidates, settings, to: &found)
        return found
    }

    // MARK: What a channel means

    private func meaning(of channel: HwmonChannel, _ settings: Settings, _ found: inout SensorFindings) -> Candidate? {
        let name = meterName(of: channel.label, channel, settings)
        func leaveOut(_ reason: String, remedy: String? = nil) {
            found.unused.append(UnusedSensor(name: name, reason: reason, remedy: remedy))
        }
        if let extra = settings.extras.first(where: { $0.fits(channel) }) {
            return Candidate(
                channel: channel,
                name: name,
                zone: extra.zone,
                package: extra.package,
                inside: [],
                isFast: false,
                source: "hwmon.extra"
            )
        }
        guard !channel.isBattery else {
            leaveOut("a battery's, not what the machine draws")
            return nil
        }
        let chip = HwmonChip.named(channel.chip)
        if let chip, let (rule, number) = chip.rule(for: channel.label) {
            let package: Int? =
                switch rule.package {
                case .none: nil
                case .ofLabel: number
                case .ofChip: channel.chipNumber
                case .number(let number): number
                }
            return Candidate(
                channel: channel,
                name: name,
                zone: rule.zone,
                package: package,
                die: rule.die,
                inside: rule.inside.map { pattern in
                    let words = pattern.split(separator: "#", omittingEmptySubsequences: false)
                    return meterName(of: words.joined(separator: number.map { "\($0)" } ?? ""), channel, settings)
                },
                isFast: chip.isFast,
                source: chip.source
            )
        }
        if let reason = chip?.reasonToIgnore(channel.label) {
            // Hundreds of cores are one line for people, not hundreds.
            let all = "hwmon/\(channel.chip)/\(HwmonText.slug(String(channel.label.prefix { !$0.isNumber })))-*"
            if !found.unused.contains(where: { $0.name == all }) { found.unused.append(UnusedSensor(name: all, reason: reason)) }
            return nil
        }
        if let chip, let zone = chip.unlabelled, !channel.isLabelled {
            return Candidate(channel: channel, name: name, zone: zone, inside: [], isFast: false, source: chip.source)
        }
        leaveOut(
            "what '\(channel.label)' of chip '\(channel.chip)' covers is not known",
            remedy: "if you know it, set hwmon.extra = \(channel.chip)/\(channel.label)=<zone>[:<package>]"
        )
        return nil
    }

    /// Chips are numbered only where two of a kind have the same labels: Grace has a chip for each label.
    private func meterName(of label: String, _ channel: HwmonChannel, _ settings: Settings) -> String {
        let slug = HwmonText.slug(label)
        let isNumbered = channel.chipNumber > 0 && settings.repeatedLabels.contains("\(channel.chip)/\(slug)")
        return "hwmon/\(channel.chip)\(isNumbered ? "#\(channel.chipNumber)" : "")/\(slug)"
    }

    /// Leaves one meter for each part of the machine: a counter before samples of the same, and before either what was found already.
    private func withoutTwins(_ all: [Candidate], _ found: inout SensorFindings) -> [Candidate] {
        var kept: [Candidate] = []
        for candidate in all.filter({ $0.channel.kind == .energy }) + all.filter({ $0.channel.kind == .power }) {
            let isCore = candidate.zone == .package && candidate.channel.chip == "amd_energy"
            if isCore,
                let twin = host.found.first(where: { $0.zone == .package && $0.package == candidate.package && $0.quality == .measured })
            {
                found.unused.append(UnusedSensor(name: candidate.name, reason: "the same counter as \(twin.name)"))
            } else if let twin = kept.first(where: { $0.name == candidate.name }) {
                // Said only where it is no mere other view of the same channel.
                guard twin.channel.kind == candidate.channel.kind else { continue }
                found.unused.append(
                    UnusedSensor(
                        name: candidate.name,
                        reason: "its label is that of another channel of the chip: \(twin.channel.path)",
                        remedy: nil
                    )
                )
            } else if candidate.channel.chip.hasPrefix("smpro"), kept.contains(where: { $0.channel.chip == "apm_xgene" }) {
                found.unused.append(UnusedSensor(name: candidate.name, reason: "the rails that apm_xgene shows already"))
            } else if candidate.zone == .node, candidate.channel.chip == "power_meter",
                let other = kept.first(where: { $0.zone == .node })
            {
                found.unused.append(
                    UnusedSensor(
                        name: candidate.name,
                        reason: "the whole machine is \(other.name) already, and what this one covers is not known",
                        remedy: "if you know it, set hwmon.extra = power_meter/\(candidate.channel.label)=<zone>[:<package>]"
                    )
                )
            } else {
                kept.append(candidate)
            }
        }
        return kept
    }

    // MARK: Meters

    private func addMeters(_ candidates: [Candidate], _ settings: Settings, to found: inout SensorFindings) {
        var powers: [(place: MeterPlace, candidate: Candidate)] = []
        var names: Set<String> = []
        var usable: [Candidate] = []
        for candidate in candidates {
            if let unused = whyNot(candidate) {
                found.unused.append(unused)
            } else {
                usable.append(candidate)
                names.insert(candidate.name)
            }
        }
        for candidate in usable {
            let isCounter = candidate.channel.kind == .energy
            let place = MeterPlace(
                name: candidate.name,
                zone: candidate.zone,
                package: candidate.package,
                die: candidate.die,
                quality: isCounter ? .measured : .sampled,
                inside: candidate.inside.first { names.contains($0) }
            )
            guard isCounter else {
                powers.append((place, candidate))
                continue
            }
            do throws(SensorFault) {
                found.meters.append(
                    HwmonEnergyMeter(
                        place: place,
                        cadence: candidate.isFast ? .fast : .slow,
                        maximumPower: settings.maximumPower(of: candidate.zone),
                        basis: "\(candidate.channel.chip) '\(candidate.channel.label)', an energy counter",
                        energy: try SensorFile(candidate.channel.path, files: host.files)
                    )
                )
            } catch {
                found.unused.append(UnusedSensor(name: candidate.name, reason: error.description, remedy: error.remedy))
            }
        }
        guard !powers.isEmpty else { return }

        // A thread for each chip: one that hangs must not take the others with it.
        let chips = Set(powers.map { "\($0.candidate.channel.chip)#\($0.candidate.channel.chipNumber)" }).sorted()
        for chip in chips {
            let members = powers.filter { "\($0.candidate.channel.chip)#\($0.candidate.channel.chipNumber)" == chip }
            let channels = members.map { member in
                SampledEnergy(name: member.place.name, limits: settings.limits(of: member.place.zone))
            }
            let paths = members.map(\.candidate.channel.path)
            let files = host.files
            let polled = PolledPower("hwmon/\(chip)", channels: channels, period: settings.period, clock: host.clock) {
                PowerFiles(paths: paths, files: files)
            }
            for (member, energy) in zip(members, channels) {
                let channel = member.candidate.channel
                found.meters.append(
                    SampledMeter(
                        place: member.place,
                        sensor: HwmonSensor.name,
                        basis: "\(channel.chip) '\(channel.label)', power sampled every \(SecondsText.short(settings.period))",
                        energy: energy,
                        sampling: polled
                    )
                )
            }
        }
    }

    /// Reads the channel once. Faults that pass by themselves are none here: the meter will have a gap until then.
    private func whyNot(_ candidate: Candidate) -> UnusedSensor? {
        let channel = candidate.channel
        do throws(SensorFault) {
            let value = try SensorFile(channel.path, files: host.files).number()
            guard channel.isSwitchedOff, value == 0 else { return nil }
            return switchedOff(candidate, "the sensor is switched off")
        } catch {
            switch error.number {
            case EAGAIN, ETIMEDOUT: return nil
            case ENODATA where channel.isSwitchedOff: return switchedOff(candidate, error.description)
            case ENODATA:
                return UnusedSensor(
                    name: candidate.name,
                    reason: error.description,
                    remedy: "the firmware has no value now; it is looked for again while the agent runs"
                )
            case ENXIO:
                return UnusedSensor(
                    name: candidate.name,
                    reason: error.description,
                    remedy: "the chip that this describes is off; it is looked for again while the agent runs"
                )
            default: return UnusedSensor(name: candidate.name, reason: error.description, remedy: error.remedy)
            }
        }
    }

    private func switchedOff(_ candidate: Candidate, _ reason: String) -> UnusedSensor {
        let path = candidate.channel.path
        let file = "\(path[..<(path.lastIndex(of: "_") ?? path.endIndex)])_enable"
        return UnusedSensor(name: candidate.name, reason: reason, remedy: "switch its group on as root: echo 1 > \(file)")
    }

    // MARK: Settings

    private struct Settings {
        struct Malformed: Error {
            let unused: UnusedSensor
        }

        var extras: [HwmonExtra]
        var period: Microseconds
        var nodeMaximum: Power
        /// `chip/label` of labels that several chips have.
        var repeatedLabels: Set<String> = []

        static func read(_ host: SensorHost) -> Result<Settings, Malformed> {
            do throws(OptionFault) {
                let period = try host.seconds("period_s", of: HwmonSensor.self, in: 0.1...600)
                let most = try host.watts("p_max_w", of: HwmonSensor.self)
                switch HwmonExtra.parse(host.option("extra", of: HwmonSensor.self) ?? "") {
                case .success(let extras):
                    return .success(Settings(extras: extras, period: period, nodeMaximum: most ?? Power(watts: 12_000)))
                case .failure(let fault):
                    throw OptionFault(name: "hwmon.extra", expected: fault.reason, found: fault.found)
                }
            } catch {
                return .failure(Malformed(unused: error.unused))
            }
        }

        func maximumPower(of zone: Zone) -> Power { zone == .node ? nodeMaximum : zone.largestPower }

        func limits(of zone: Zone) -> PowerIntegrator.Limits {
            PowerIntegrator.Limits(
                maximum: maximumPower(of: zone),
                isZeroPossible: zone.canBeZero,
                longestStep: PolledPower.longestStep(period: period),
                // A part that draws nothing may do so for ever.
                longestRepeat: zone.canBeZero ? nil : .seconds(600)
            )
        }
    }
}

extension HwmonExtra {
    func fits(_ channel: HwmonChannel) -> Bool { chip == channel.chip && label.lowercased() == channel.label.lowercased() }
}
