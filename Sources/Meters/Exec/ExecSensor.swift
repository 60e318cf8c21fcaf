import Energy
import FoundationEssentials

/// Programs that print energy or power as lines of JSON: whatever has no sensor of its own here.
enum ExecSensor: Sensor {
    static let name = "exec"
    static let rank = 30
    /// Commands are numbered: the first has no number, the second's keys are `2.command` and so on.
    static let mostCommands = 8
    static let options = (1...mostCommands).flatMap { number in
        let of = number == 1 ? "" : " of command \(number)"
        return [
            SensorOption(
                key("command", number),
                help: "a program and its arguments, blank-separated or as a JSON array\(number == 1 ? "" : ", \(number)")"
            ),
            SensorOption(key("name", number), help: "name of the meter\(of); the program's if not set"),
            SensorOption(key("zone", number), help: "what the meter\(of) covers", standard: "node"),
            SensorOption(key("package", number), help: "package of the zone\(of)"),
            SensorOption(key("p_max_w", number), help: "the most watts the zone\(of) can draw"),
            SensorOption(key("period_s", number), help: "seconds, 1 to 600: run it once in this time\(of); runs on if not set"),
        ]
    }

    private static func key(_ key: String, _ number: Int) -> String { number == 1 ? key : "\(number).\(key)" }

    static func find(on host: SensorHost) -> SensorFindings {
        var found = SensorFindings()
        var commands: [Command] = []
        for number in 1...mostCommands where host.option(key("command", number), of: self) != nil {
            do throws(OptionFault) {
                var command = try Command(number, host)
                let same = commands.filter { $0.name == command.name }.count
                if same > 0 { command.placeName += "#\(same + 1)" }
                commands.append(command)
            } catch {
                found.unused.append(error.unused)
            }
        }
        // Meters of the same command share one process.
        var programs: [[Command]] = []
        for command in commands {
            if let i = programs.firstIndex(where: { $0[0].arguments == command.arguments && $0[0].period == command.period }) {
                programs[i].append(command)
            } else {
                programs.append([command])
            }
        }
        for members in programs {
            let targets = members.map { ExecProgram.Target(place: $0.place, name: $0.name, energy: $0.energy()) }
            let program = ExecProgram(members[0].arguments, period: members[0].period, targets: targets, clock: host.clock)
            for target in targets {
                found.meters.append(
                    SampledMeter(
                        place: target.place,
                        sensor: name,
                        basis: "what '\(members[0].arguments.joined(separator: " "))' prints",
                        energy: target.energy,
                        sampling: program
                    )
                )
            }
        }
        return found
    }

    private struct Command {
        var arguments: [String]
        /// As lines name it.
        var name: String
        var placeName: String
        var zone: Zone
        var package: Int?
        var most: Power
        var period: Microseconds?

        init(_ number: Int, _ host: SensorHost) throws(OptionFault) {
            func value(_ name: String) -> String? { host.option(key(name, number), of: ExecSensor.self) }
            func fault(_ name: String, _ expected: String) -> OptionFault {
                OptionFault(name: "exec.\(key(name, number))", expected: expected, found: value(name) ?? "")
            }
            guard let arguments = Command.words(value("command") ?? "") else {
                throw fault("command", "a program and its arguments, or a JSON array of them")
            }
            guard let zone = Zone(rawValue: value("zone") ?? "") else {
                throw fault("zone", "one of \(Zone.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            if let text = value("package") {
                guard let package = Int(text), package >= 0 else { throw fault("package", "a whole number from 0") }
                self.package = package
            }
            if value("period_s") != nil { period = try host.seconds(key("period_s", number), of: ExecSensor.self, in: 1...600) }
            most = try host.watts(key("p_max_w", number), of: ExecSensor.self) ?? zone.largestPower
            self.arguments = arguments
            self.zone = zone
            name = value("name") ?? String(arguments[0].split(separator: "/").last ?? "program")
            placeName = name
        }

        var place: MeterPlace { MeterPlace(name: "exec/\(placeName)", zone: zone, package: package, quality: .sampled) }

        func energy() -> SampledEnergy {
            SampledEnergy(
                name: "exec/\(placeName)",
                limits: PowerIntegrator.Limits(
                    maximum: most,
                    isZeroPossible: zone.canBeZero,
                    longestStep: max(.seconds(30), Microseconds((period?.count ?? 0) * 3)),
                    // Each line says its value anew.
                    longestRepeat: nil
                )
            )
        }

        /// Nil where there is no word, or where a JSON array holds anything but text.
        static func words(_ text: String) -> [String]? {
            let text = HwmonText.trimmed(text)
            let words: [String]
            if text.hasPrefix("[") {
                do { words = try JSONDecoder().decode([String].self, from: Data(text.utf8)) } catch { return nil }
            } else {
                words = text.split(separator: " ").map(String.init)
            }
            return words.first.map { !$0.isEmpty } == true ? words : nil
        }
    }
}
