import Carbon
import CarbonDocuments
import Documents
import Energy
import Hummingbird

/// Times, lengths and zones of questions about intensities.
enum IntensityParameters {
    static let longest = Microseconds(31 * Microseconds.day.count)
    static let mostZones = 10
    /// As far ahead as anybody forecasts.
    static let usualAhead = Microseconds(2 * Microseconds.day.count)

    /// - Throws: `Problem` 404: a name that is none cannot be known.
    static func zone(_ text: String) throws -> GridZone {
        guard let zone = GridZone(text) else {
            throw Problem.notFound("expected a grid zone such as FR, DE or US-CAL-CISO in upper case, or WORLD, found \(text.prefix(60))")
        }
        return zone
    }

    /// One zone or several, with commas between.
    static func zones(_ text: String) throws -> [GridZone] {
        let zones = try text.split(separator: ",", omittingEmptySubsequences: false).map { try zone(String($0)) }
        guard Set(zones).count == zones.count, zones.count <= mostZones else {
            throw RollUpParameters.contradiction("zone", "one to \(mostZones) zones, each once", text)
        }
        return zones
    }

    static func basis(_ request: Request) throws -> Intensity.Basis? {
        guard let text = try request.query("basis") else { return nil }
        guard let basis = Intensity.Basis(text) else {
            throw RollUpParameters.unreadable("basis", "a basis such as direct/average/consumption or direct/marginal/consumption", text)
        }
        return basis
    }

    static func length(_ request: Request, _ name: String) throws -> Microseconds? {
        guard let text = try request.query(name) else { return nil }
        guard let length = LengthOfTime.parse(text) else {
            throw RollUpParameters.contradiction(name, "a length of time such as 90m, 2h, 1h30m or PT2H", text)
        }
        return length
    }

    /// - Throws: `Problem` 422 for times that are reversed or too far apart.
    static func interval(_ from: Timestamp, _ to: Timestamp, names: (from: String, to: String) = ("from", "to")) throws -> Interval {
        guard from < to else {
            throw RollUpParameters.contradiction(names.to, "a time after \(names.from) (\(RFC3339.format(from)))", RFC3339.format(to))
        }
        guard to - from <= longest else {
            throw RollUpParameters.contradiction(
                names.to,
                "at most 31 days after \(names.from); ask for them in parts",
                RFC3339.format(to)
            )
        }
        return Interval(from, to)
    }
}
