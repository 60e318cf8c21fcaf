import Energy
import FoundationEssentials

/// A line that a program prints: `{"power_w": 12.5}`, `{"energy_j": 1234.5}` or `{"energy_uj": "1234500000"}`, and what it says beside.
struct ExecLine: Hashable, Sendable {
    enum Value: Hashable, Sendable {
        case power(microwatts: Int64)
        /// A counter that only grows.
        case energy(microjoules: Int64)
    }

    var value: Value
    /// When the value was taken; nil for when the line came.
    var time: Timestamp?
    /// For which of the meters of its program it is; nil for any.
    var name: String?
    var zone: Zone?
    var package: Int?
    /// A larger power than this is an error.
    var maximum: Power?

    struct Malformed: Error, Hashable {
        var expected: String
        var found: String
    }

    private struct Fields: Decodable {
        var power_w: Double?
        var energy_j: Double?
        var energy_uj: WholeNumber?
        var time: String?
        var name: String?
        var zone: String?
        var package: Int?
        var p_max_w: Double?
    }

    /// A number or a text of one: µJ of a year pass what many JSON writers can print as a number.
    private struct WholeNumber: Decodable {
        var value: Int64

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(Int64.self) {
                value = number
            } else if let number = Int64(try container.decode(String.self)) {
                value = number
            } else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "no whole number")
            }
        }
    }

    static func parse(_ bytes: some Collection<UInt8>) throws(Malformed) -> ExecLine {
        let expected = "a JSON object with power_w, energy_j or energy_uj"
        let text = "'\(String(decoding: bytes.prefix(120), as: UTF8.self))'"
        let fields: Fields
        do { fields = try JSONDecoder().decode(Fields.self, from: Data(bytes)) } catch { throw Malformed(expected: expected, found: text) }
        let value: Value
        if let microjoules = fields.energy_uj?.value {
            value = .energy(microjoules: microjoules)
        } else if let joules = fields.energy_j {
            value = .energy(microjoules: Energy.joules(joules).microjoules)
        } else if let watts = fields.power_w {
            value = .power(microwatts: Power(watts: watts).microwatts)
        } else {
            throw Malformed(expected: expected, found: text)
        }
        var zone: Zone?
        if let word = fields.zone {
            guard let known = Zone(rawValue: word) else {
                throw Malformed(expected: "a zone of \(Zone.allCases.map(\.rawValue).joined(separator: ", "))", found: "'\(word)'")
            }
            zone = known
        }
        var time: Timestamp?
        if let word = fields.time {
            guard let known = instant(word) else { throw Malformed(expected: "a time like 2026-09-01T09:00:02.5Z", found: "'\(word)'") }
            time = known
        }
        return ExecLine(
            value: value,
            time: time,
            name: fields.name,
            zone: zone,
            package: fields.package,
            maximum: fields.p_max_w.map { Power(watts: $0) }
        )
    }

    private static func instant(_ text: String) -> Timestamp? {
        for style in [Date.ISO8601FormatStyle(includingFractionalSeconds: true), Date.ISO8601FormatStyle()] {
            do {
                return Timestamp(microseconds: Int64(saturating: (try style.parse(text).timeIntervalSince1970 * 1e6).rounded()))
            } catch {
                continue
            }
        }
        return nil
    }
}
