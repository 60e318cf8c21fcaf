import Documents
import Energy
import Foundation
import FoundationXML

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
        let reader = Reader()
        let parser = XMLParser(data: Data(body))
        parser.shouldResolveExternalEntities = false
        parser.delegate = reader
        let isWhole = parser.parse()
        if let fault = reader.fault { throw .unreadable(fault) }
        guard isWhole else { throw .unreadable("expected XML, found a fault in line \(parser.lineNumber)") }
        guard reader.root == "GL_MarketDocument" else {
            // A refusal comes as a document of its own, with the reason in it.
            throw .unreadable("expected a GL_MarketDocument, found \(reader.root ?? "nothing") \(reader.reason)")
        }
        createdAt = reader.createdAt
        series = reader.series
    }

    /// Elements as they come. One parser has one, on one thread.
    private final class Reader: NSObject, XMLParserDelegate {
        var root: String?
        var createdAt = ""
        var reason = ""
        var series: [Series] = []
        var fault: String?
        private var path: [String] = []
        private var text = ""
        private var current = Series()
        private var position = 0

        func parser(
            _ parser: XMLParser,
            didStartElement name: String,
            namespaceURI: String?,
            qualifiedName: String?,
            attributes: [String: String]
        ) {
            root = root ?? name
            path.append(name)
            text = ""
            if path.count > 16 { stop(parser, "expected at most 16 levels of elements, found more") }
            if name == "TimeSeries" { current = Series() }
            if name == "Period" { current.points = [:] }
        }

        func parser(_ parser: XMLParser, foundCharacters characters: String) {
            if text.utf8.count < 1_000 { text += characters }
        }

        func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
            defer { path.removeLast() }
            let parent = path.dropLast().last ?? ""
            let value = text.trimmingCharacters(in: .whitespacesAndNewlines)
            text = ""
            switch (parent, name) {
            case ("GL_MarketDocument", "createdDateTime"): createdAt = value
            case ("Reason", "text"): reason = value
            case ("TimeSeries", "outBiddingZone_Domain.mRID"): current.isConsumption = true
            case ("MktPSRType", "psrType"): current.plant = value
            case ("TimeSeries", "quantity_Measure_Unit.name"):
                if value != "MAW" { stop(parser, "TimeSeries: expected MAW, found \(value)") }
            case ("timeInterval", "start"): current.start = time(value, parser)
            case ("timeInterval", "end"): current.end = time(value, parser)
            case ("Period", "resolution"):
                switch value {
                case "PT60M", "PT1H": current.step = .hour
                case "PT30M": current.step = .seconds(1_800)
                case "PT15M": current.step = .seconds(900)
                default: stop(parser, "resolution: expected PT15M, PT30M or PT60M, found \(value)")
                }
            case ("Point", "position"):
                position = Int(value) ?? 0
                if !(1...100_000).contains(position) { stop(parser, "position: expected a number from 1, found \(value)") }
            case ("Point", "quantity"):
                guard let megawatts = Double(value), megawatts.isFinite else {
                    return stop(parser, "quantity: expected MW, found \(value)")
                }
                current.points[position] = megawatts
            // The kind of plant comes before a series' periods, and each of these is a series here.
            case ("TimeSeries", "Period"): series.append(current)
            default: break
            }
        }

        private func time(_ text: String, _ parser: XMLParser) -> Timestamp {
            guard let time = FeedDocument.time(text) else {
                stop(parser, "timeInterval: expected a time such as 2026-01-01T00:00Z, found \(text)")
                return Timestamp(microseconds: 0)
            }
            return time
        }

        private func stop(_ parser: XMLParser, _ why: String) {
            fault = fault ?? why
            parser.abortParsing()
        }
    }
}
