import Documents
import Energy
import ImpactModels
import Tracker

/// What a collector says to a manifest's questions, asked before the run.
struct MeasuredAnswers: Sendable {
    private var answers: [MeasuredQuery: MeasuredObservations] = [:]

    /// Asks nothing, and needs no collector, where the manifest asks for nothing.
    static func asked(for manifest: Manifest, _ settings: Settings) async throws -> MeasuredAnswers {
        var result = MeasuredAnswers()
        let queries = try manifest.measuredQueries()
        guard !queries.isEmpty else { return result }
        let collector = try settings.collector()
        for query in queries {
            do {
                result.answers[query] = try await answer(query, collector)
            } catch let error as CollectorError {
                throw Failure.failed(error.description)
            }
        }
        return result
    }

    private static func answer(_ query: MeasuredQuery, _ collector: CollectorClient) async throws -> MeasuredObservations {
        let range = [("from", RFC3339.format(query.range.start)), ("to", RFC3339.format(query.range.end))]
        switch query.kind {
        case .spans:
            let filters = query.filters.sorted { $0.key < $1.key } + [(key: "limit", value: "1000")]
            let pages = try await collector.pages(
                "/v1/jobs",
                (filters.map { ($0.key, $0.value) } + range).map { (name: $0.0, value: $0.1) }
            )
            return MeasuredObservations(jobs: try pages.map { try document($0, collector) })
        case .hostHours:
            let host = query.filters["host"] ?? ""
            let path = "/v1/hosts/\(CollectorClient.pathPart(host))/hours"
            let pages = try await collector.pages(path, range.map { (name: $0.0, value: $0.1) })
            return MeasuredObservations(hours: try pages.map { try document($0, collector) }, host: host)
        }
    }

    private static func document(_ bytes: [UInt8], _ collector: CollectorClient) throws -> JSONValue {
        do throws(JSONValue.Malformed) {
            return try JSONValue(parsing: bytes)
        } catch {
            throw Failure.failed("\(collector.url): expected JSON, found: \(error.description)")
        }
    }

    var source: @Sendable (MeasuredQuery) throws(SourceRefusal) -> MeasuredObservations {
        let answers = answers
        return { query throws(SourceRefusal) in
            guard let answer = answers[query] else {
                throw SourceRefusal(
                    expected: "settings of this plugin under initialize, where they are read before the run",
                    found: "other ones at a node"
                )
            }
            return answer
        }
    }
}
