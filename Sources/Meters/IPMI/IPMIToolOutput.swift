/// What `ipmitool` prints, and FreeIPMI's `ipmi-dcmi` likewise.
enum IPMIToolOutput {
    /// `dcmi power reading`: lines of a name, a colon and a value; newer versions put two of them on one line.
    static func powerReading(_ text: String, path: String) throws(SensorFault) -> DCMIPowerReading {
        guard let reading = value(after: ["Instantaneous power reading", "Current Power"], in: text),
            let number = reading.split(separator: " ").first, let watts = Int64(number)
        else { throw fault(path, "a line 'Instantaneous power reading: N Watts'", text) }
        let state = value(after: ["Power reading state is", "Power Measurement"], in: text)
        let stamp = value(after: ["IPMI timestamp", "Time Stamp"], in: text)
        return DCMIPowerReading(
            watts: watts,
            stamp: stamp.flatMap { $0.isEmpty || $0.contains("1970") || $0.contains("/70 ") ? nil : $0 },
            isActive: state.map { $0.lowercased().hasPrefix("activ") } ?? true
        )
    }

    /// `sensor reading NAME -c`: the name and the value with a comma between; a bar without `-c`.
    ///
    /// - Returns: µW; the BMC's unit is taken to be watts.
    static func sensorReading(_ text: String, of sensor: String, path: String) throws(SensorFault) -> Int64 {
        for line in text.split(whereSeparator: \.isNewline) {
            guard let separator = line.lastIndex(where: { $0 == "," || $0 == "|" }),
                HwmonText.trimmed(line[..<separator]).lowercased() == sensor.lowercased()
            else { continue }
            let value = HwmonText.trimmed(line[line.index(after: separator)...])
            guard let watts = Double(value), watts.isFinite, watts < 1e9, watts > -1e9 else {
                throw fault(path, "watts of the sensor '\(sensor)'", value)
            }
            return Int64((watts * 1e6).rounded())
        }
        throw fault(path, "a line '\(sensor),<watts>'", text)
    }

    /// What stands behind one of the names and a colon, up to the end of the line or a run of blanks.
    private static func value(after names: [String], in text: String) -> String? {
        for line in text.split(whereSeparator: \.isNewline) {
            for name in names {
                guard let end = end(of: name, in: line) else { continue }
                let rest = line[end...].drop { $0 == " " || $0 == "\t" }
                guard rest.first == ":" else { continue }
                let value = rest.dropFirst().drop { $0 == " " || $0 == "\t" }
                return HwmonText.trimmed(upToBlanks(value))
            }
        }
        return nil
    }

    private static func end(of name: String, in line: Substring) -> Substring.Index? {
        var start = line.startIndex
        while start < line.endIndex {
            if line[start...].hasPrefix(name) { return line.index(start, offsetBy: name.count) }
            start = line.index(after: start)
        }
        return nil
    }

    private static func upToBlanks(_ text: Substring) -> Substring {
        var blanks = 0
        for index in text.indices {
            blanks = text[index] == " " ? blanks + 1 : 0
            if blanks == 4 { return text[..<index] }
        }
        return text
    }

    private static func fault(_ path: String, _ expected: String, _ text: String) -> SensorFault {
        let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        let found = line.isEmpty ? "nothing" : "'\(line.prefix(120))'"
        return SensorFault(path: path, kind: .malformed(expected: expected, found: found))
    }
}
