public import Carbon
import Energy
import Factors

/// A CSV of one's own, in a file or behind a URL: `zone,from,to,g_per_kwh` and, where known, `low,high,kind,edition`.
///
/// A header line names the columns, in any order. A line with an empty `g_per_kwh` is one that is not known.
public struct OwnSeries: GridProvider {
    public let name: String
    public let basis: Intensity.Basis
    public let terms: FeedTerms
    public let pace = FeedPace(requests: 60, perSeconds: 60)
    private let address: String
    private let kind: Intensity.Kind

    /// - Parameters:
    ///   - address: a path or a URL.
    ///   - kind: of lines that have none of their own; those of a time that has not begun are forecasts then.
    public init(name: String, address: String, basis: Intensity.Basis, kind: Intensity.Kind = .actual, terms: FeedTerms) {
        self.name = name
        self.address = address
        self.basis = basis
        self.kind = kind
        self.terms = terms
    }

    public func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] {
        [FeedRequest(address, headers: ["Accept": "text/csv"])]
    }

    private static let columns = ["zone", "from", "to", "g_per_kwh", "low", "high", "kind", "edition"]

    public func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
        let table: CSVTable
        do throws(CSVError) {
            table = try CSVTable(parsing: String(decoding: body, as: UTF8.self))
        } catch {
            throw .unreadable("\(name): \(error)")
        }
        guard table.header.allSatisfy(Self.columns.contains), Self.columns.prefix(4).allSatisfy(table.header.contains) else {
            throw .unreadable(
                "\(name): expected the columns \(Self.columns.joined(separator: ", ")), the first four at least, found "
                    + table.header.joined(separator: ",")
            )
        }
        var reading = FeedReading()
        for (index, cells) in table.rows.enumerated() {
            let place = "row \(index + 1)"
            let row = Dictionary(uniqueKeysWithValues: zip(table.header, cells)).filter { !$0.value.isEmpty }
            guard row["zone"] == question.zone.key else { continue }
            guard let from = row["from"].flatMap(FeedDocument.time), let to = row["to"].flatMap(FeedDocument.time), from < to else {
                throw .unreadable(
                    "\(place): expected two instants, from before to, found \(row["from"] ?? "none") and \(row["to"] ?? "none")"
                )
            }
            let interval = Interval(from, to)
            if case .past(let asked) = question.span, asked.intersection(interval) == nil { continue }
            func number(_ column: String) throws(FeedFault) -> Double? {
                guard let text = row[column] else { return nil }
                guard let number = Double(text), number.isFinite else {
                    throw .unreadable("\(place), \(column): expected a number, found \(text)")
                }
                return number
            }
            let unsaid: Intensity.Kind = from > question.now && kind != .yearly ? .forecast : kind
            guard let kind = row["kind"].map({ Intensity.Kind(rawValue: $0) }) ?? unsaid else {
                let kinds = Intensity.Kind.allCases.map(\.rawValue).joined(separator: ", ")
                throw .unreadable("\(place), kind: expected one of \(kinds), found \(row["kind"] ?? "")")
            }
            let value = try number("g_per_kwh")
            let (low, high) = (try number("low") ?? value, try number("high") ?? value)
            guard let value, let low, let high else { continue }
            guard 0 <= low, low <= value, value <= high else {
                reading.findings.append("\(place): expected low <= g_per_kwh <= high, found \(low), \(value) and \(high)")
                continue
            }
            reading.add(value, kind, self, question.zone, interval, at: place, limits: low...high, edition: row["edition"])
        }
        return reading
    }
}
