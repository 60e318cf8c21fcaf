import Energy

/// An option that does not say what it should.
struct OptionFault: Error, Hashable, Sendable {
    /// `hwmon.period_s`
    var name: String
    var expected: String
    var found: String

    /// As an operator meets it: the sensor is left out until the option is put right.
    var unused: UnusedSensor {
        UnusedSensor(name: name, reason: "expected \(expected), found '\(found)'", remedy: "correct \(name), or remove it")
    }
}

extension SensorHost {
    /// The value of an option as watts above 0; nil where it is not set.
    func watts(_ key: String, of sensor: any Sensor.Type) throws(OptionFault) -> Power? {
        guard let text = option(key, of: sensor) else { return nil }
        guard let watts = Double(text), watts.isFinite, watts > 0, watts <= 1e7 else {
            throw OptionFault(name: "\(sensor.name).\(key)", expected: "watts above 0 and at most 10000000", found: text)
        }
        return Power(watts: watts)
    }

    /// The value of an option as seconds within limits; its standard must be among them.
    func seconds(_ key: String, of sensor: any Sensor.Type, in range: ClosedRange<Double>) throws(OptionFault) -> Microseconds {
        let text = option(key, of: sensor) ?? ""
        guard let seconds = Double(text), range.contains(seconds) else {
            throw OptionFault(
                name: "\(sensor.name).\(key)",
                expected: "seconds from \(SecondsText.short(range.lowerBound)) to \(SecondsText.short(range.upperBound))",
                found: text
            )
        }
        return Microseconds(Int64((seconds * 1e6).rounded()))
    }
}

/// Seconds for people.
enum SecondsText {
    static func short(_ duration: Microseconds) -> String { short(duration.seconds) + " s" }

    static func short(_ seconds: Double) -> String {
        seconds == seconds.rounded() && abs(seconds) < 1e15 ? "\(Int64(seconds))" : "\(seconds)"
    }
}
