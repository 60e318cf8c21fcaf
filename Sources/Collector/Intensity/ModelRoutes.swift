import Carbon
import CarbonDocuments
import Documents
import Factors
import HTTPTypes
import Hummingbird

/// Models of machines that nobody measures, over HTTP. Nothing is stored.
struct ModelRoutes: Sendable {
    let site: Site

    static let bodyBytes = 4 << 20

    func add(to router: Router<WattleContext>) {
        router.post("v1/models/ccf") { request, context in try await ccf(request, context) }
        router.post("v1/models/on-premise") { request, context in try await onPremise(request, context) }
    }

    /// Observations of cloud machines, answered in their order.
    private func ccf(_ request: Request, _ context: WattleContext) async throws -> Response {
        _ = try context.viewer(site.access)
        let posted = try await request.json(limit: Self.bodyBytes)
        do {
            return try JSONValue.array(try CCFObservations.answers(to: posted, by: try CloudTables.shipped().model)).response()
        } catch let faults as CCFObservations.Faults {
            var problem = Problem.unprocessable(
                "invalid-observations",
                "The observations cannot be modelled",
                faults.all.prefix(20).map(\.description).joined(separator: "; ")
            )
            problem.extra["field"] = .string(faults.all.first?.field ?? "")
            if let index = faults.all.first?.index { problem.extra["index"] = .integer(Int64(index)) }
            problem.extra["faults"] = .array(
                faults.all.prefix(100).map {
                    .object([
                        "index": $0.index.map { .integer(Int64($0)) } ?? .null, "field": .string($0.field),
                        "expected": .string($0.expected), "found": .string($0.found),
                    ])
                }
            )
            throw problem
        }
    }

    /// A CSV of one's own machines.
    private func onPremise(_ request: Request, _ context: WattleContext) async throws -> Response {
        _ = try context.viewer(site.access)
        try request.requireMediaType("text/csv")
        let bytes = try await request.body(limit: Self.bodyBytes)
        let answer: OnPremiseAnswer
        do {
            let table = try CSVTable(parsing: String(decoding: bytes, as: UTF8.self))
            answer = try OnPremiseAnswer(
                header: table.header,
                rows: table.rows,
                by: try OnPremiseTables.shipped()
            )
        } catch let error as CSVError {
            throw Self.refusal(error.description, row: nil, column: "")
        } catch let fault as OnPremiseAnswer.Fault {
            throw Self.refusal(fault.description, row: fault.row, column: fault.column)
        }
        return try answer.json.response()
    }

    private static func refusal(_ detail: String, row: Int?, column: String) -> Problem {
        var problem = Problem.unprocessable("invalid-machines", "The table of machines cannot be read", detail)
        problem.extra["field"] = .string(column)
        // Row 0 is the table itself.
        if let row, row > 0 { problem.extra["index"] = .integer(Int64(row - 1)) }
        return problem
    }
}
