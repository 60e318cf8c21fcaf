import Documents
import Energy

/// ENTSO-E's `GL_MarketDocument` of generation by kind of plant.
struct GenerationDocument {
    struct Series {
        /// `B01` to `B25`.
        var plant = ""
        var isConsumption = false
        var start = Timestamp(microseconds: 0)
        var end = Timestamp(microseconds: 0)
        var step = Microseconds.hour
        /// MW by position, from 1; positions may be left out, and repeat the one before then.
        var points: [Int: Double] = [:]

        /// Averages over whole multiples of the series' own step, in order.
        func averages(over length: Microseconds) -> [(Interval, Double)] {
            let count = Int((end - start).count / step.count)
            guard count > 0, length.count % step.count == 0 else { return [] }
            let each = Int(length.count / step.count)
            var value: Double?
            var values: [Double?] = []
            for position in 1...count {
                value = points[position] ?? value
                values.append(value)
            }
            return stride(from: 0, to: count - each + 1, by: each).compactMap { first in
                let part = values[first..<first + each].compactMap { $0 }
                guard part.count == each else { return nil }
                let from = start + Microseconds(Int64(first) * step.count)
                return (Interval(from, from + length), part.reduce(0, +) / Double(each))
            }
        }
    }

    var createdAt = ""
    var series: [Series] = []

    init(_ body: [UInt8]) throws(FeedFault) {
        var reader = Reader()
        try XMLElements.read(body) { (event) throws(FeedFault) in try reader.take(event) }
        guard reader.root == "GL_MarketDocument" else {
            // A refusal comes as a document of its own, with the reason in it.
            throw .unreadable("expected a GL_MarketDocument, found \(reader.root ?? "nothing") \(reader.reason)")
        }
        createdAt = reader.createdAt
        series = reader.series
    }

    /// Elements as they come.
    private struct Reader {
        var root: String?
        var createdAt = ""
        var reason = ""
        var series: [Series] = []
        private var path: [String] = []
        private var current = Series()
        private var position = 0

        mutating func take(_ event: XMLElements.Event) throws(FeedFault) {
            switch event {
            case .begin(let name):
                root = root ?? name
                path.append(name)
                if name == "TimeSeries" { current = Series() }
                if name == "Period" { current.points = [:] }
            case .end(let name, let text):
                path.removeLast()
                try end(of: name, in: path.last ?? "", text)
            }
        }

        private mutating func end(of name: String, in parent: String, _ value: String) throws(FeedFault) {
            switch (parent, name) {
            case ("GL_MarketDocument", "createdDateTime"): createdAt = value
            case ("Reason", "text"): reason = value
            case ("TimeSeries", "outBiddingZone_Domain.mRID"): current.isConsumption = true
            case ("MktPSRType", "psrType"): current.plant = value
            case ("TimeSeries", "quantity_Measure_Unit.name"):
                if value != "MAW" { throw .unreadable("TimeSeries: expected MAW, found \(value)") }
            case ("timeInterval", "start"): current.start = try time(value)
            case ("timeInterval", "end"): current.end = try time(value)
            case ("Period", "resolution"):
                switch value {
                case "PT60M", "PT1H": current.step = .hour
                case "PT30M": current.step = .seconds(1_800)
                case "PT15M": current.step = .seconds(900)
                default: throw .unreadable("resolution: expected PT15M, PT30M or PT60M, found \(value)")
                }
            case ("Point", "position"):
                position = Int(value) ?? 0
                if !(1...100_000).contains(position) { throw .unreadable("position: expected a number from 1, found \(value)") }
            case ("Point", "quantity"):
                guard let megawatts = Double(value), megawatts.isFinite else {
                    throw .unreadable("quantity: expected MW, found \(value)")
                }
                current.points[position] = megawatts
            // The kind of plant comes before a series' periods, and each of these is a series here.
            case ("TimeSeries", "Period"): series.append(current)
            default: break
            }
        }

        private func time(_ text: String) throws(FeedFault) -> Timestamp {
            guard let time = FeedDocument.time(text) else {
                throw .unreadable("timeInterval: expected a time such as 2026-01-01T00:00Z, found \(text)")
            }
            return time
        }
    }
}
