import Glibc

/// One power or energy value of a chip, as it lies in `/sys/class/hwmon`.
struct HwmonChannel: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// `energyN_input`: a counter in µJ.
        case energy
        /// `powerN_average` or `powerN_input`: µW.
        case power
    }

    /// Value of the chip's `name`.
    var chip: String
    /// Which of several chips of this name, in the order of their devices: never the number of the hwmon directory, which changes.
    var chipNumber: Int
    /// Without blanks at its ends; `power1` and so on where there is none.
    var label: String
    var isLabelled: Bool
    var kind: Kind
    var path: String
    /// `powerN_enable` or `energyN_enable` is 0.
    var isSwitchedOff: Bool
    /// A battery's or a supply's; not what the machine draws.
    var isBattery: Bool

    /// Every channel of every chip below a directory. Chips that cannot be read are given to `unread`.
    static func list(in directory: String, unread: (String, SensorFault) -> Void) throws(SensorFault) -> [HwmonChannel] {
        var chips: [(name: String, device: String, path: String)] = []
        for entry in try SensorText.names(in: directory) where entry.hasPrefix("hwmon") {
            let path = "\(directory)/\(entry)"
            // Drivers of the old way have their files at the device.
            guard let name = word("\(path)/name") ?? word("\(path)/device/name") else {
                unread(entry, SensorFault(path: "\(path)/name", errno: ENOENT))
                continue
            }
            chips.append((name, device(of: path), path))
        }
        chips.sort { ($0.name, $0.device.count, $0.device, $0.path) < ($1.name, $1.device.count, $1.device, $1.path) }
        var channels: [HwmonChannel] = []
        var number = 0
        for (i, chip) in chips.enumerated() {
            number = i > 0 && chips[i - 1].name == chip.name ? number + 1 : 0
            channels += list(chip: chip.name, number: number, directories: [chip.path, "\(chip.path)/device"])
        }
        return channels
    }

    private static func list(chip: String, number: Int, directories: [String]) -> [HwmonChannel] {
        var found: [HwmonChannel] = []
        for directory in directories {
            guard let names = names(in: directory) else { continue }
            let all = Set(names)
            for name in names {
                guard let underscore = name.firstIndex(of: "_") else { continue }
                let stem = String(name[..<underscore])
                let kind: Kind
                switch name[underscore...] {
                case "_input" where stem.hasPrefix("energy"): kind = .energy
                // An average over the time between two readings says more than an instant.
                case "_average" where stem.hasPrefix("power"): kind = .power
                case "_input" where stem.hasPrefix("power") && !all.contains("\(stem)_average"): kind = .power
                default: continue
                }
                guard !stem.isEmpty, stem.last?.isNumber == true else { continue }
                let label = word("\(directory)/\(stem)_label") ?? word("\(directory)/\(stem)_oem_info")
                found.append(
                    HwmonChannel(
                        chip: chip,
                        chipNumber: number,
                        label: label ?? stem,
                        isLabelled: label != nil,
                        kind: kind,
                        path: "\(directory)/\(name)",
                        isSwitchedOff: word("\(directory)/\(stem)_enable") == "0",
                        isBattery: word("\(directory)/\(stem)_is_battery") == "1"
                    )
                )
            }
            if !found.isEmpty { break }
        }
        return found.sorted { ($0.path.count, $0.path) < ($1.path.count, $1.path) }
    }

    /// Nil where there is no such directory: most chips have no files at their device.
    private static func names(in directory: String) -> [String]? {
        do throws(SensorFault) {
            return try SensorText.names(in: directory)
        } catch {
            return nil
        }
    }

    /// Nil for a file that is absent, unreadable or empty: labels are optional everywhere.
    private static func word(_ path: String) -> String? {
        do throws(SensorFault) {
            let word = try SensorText.word(path)
            return word.isEmpty ? nil : word
        } catch {
            return nil
        }
    }

    /// Where the chip hangs, without the number that the kernel gave it; empty where that cannot be told.
    private static func device(of path: String) -> String {
        for candidate in ["\(path)/device", path] {
            guard let real = realpath(candidate, nil) else { continue }
            defer { free(real) }
            let text = String(cString: real)
            return candidate == path ? String(text[..<(text.lastIndex(of: "/") ?? text.endIndex)]) : text
        }
        return ""
    }
}
