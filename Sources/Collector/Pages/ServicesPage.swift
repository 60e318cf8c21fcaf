import Accounting
import Documents
import Energy
import Hummingbird
import Postgres
import Store

extension PageRoutes {
    private static let mostServices = 300
    private static let periods: [Int64] = [1, 7, 30]

    func services(_ request: Request, _ context: WattleContext) async throws -> Response {
        try context.requireWholeReader()
        let now = site.now()
        let days = try request.query("days") ?? "7"
        guard let number = Int64(days), Self.periods.contains(number) else {
            throw Problem.badRequest("bad-parameter", "A parameter cannot be read", "days: expected 1, 7 or 30, found \(days.prefix(60))")
        }
        let from = Timestamp(microseconds: now.microseconds - number * Microseconds.day.count)
        var question = RollUpQuestion(try RollUpParameters.window(from: from, to: now, names: ("from", "to")))
        question.keys = [.service, .activity, .team]
        question.limit = Self.mostServices
        let asked = question
        let answer = try await site.bounded { try await RollUpReader($0, now: now).answer(asked) }
        let page = answer.page
        var model: [String: Any] = [
            "periods": Self.periods.map {
                ["days": "\($0)", "name": $0 == 1 ? "last day" : "last \($0) days", "is_here": $0 == number] as [String: Any]
            },
            "services": page.rows.map { $0.figures.model(group: $0.place.group, fields: asked.fields) }, "has_services": !page.rows.isEmpty,
            "is_cut": page.hasMore, "limit": "\(Self.mostServices)",
        ]
        if let open = answer.openHours, open > 0 {
            model["open"] =
                answer.leftOutHours > 0
                ? "\(Readable.count(Int64(open), "host-hour")) not settled yet, \(answer.leftOutHours) of them left out."
                : "\(Readable.count(Int64(open), "host-hour")) not settled yet: their figures may still move."
            if answer.setAsideHours > 0 {
                model["set_aside"] =
                    "\(Readable.count(Int64(answer.setAsideHours), "host-hour")) could not be accounted and were set aside."
            }
        }
        return render("services", title: "Services", path: "/services", viewer: try context.viewer(site.access), model)
    }
}

extension RollUpFigures {
    fileprivate func model(group: [String?], fields: [String]) -> [String: Any] {
        let named = zip(fields, group).compactMap { field, value in value.map { (field, $0) } }
        let jobs = jobs ?? RollUpJobs(group: group, bucket: nil)
        var notes: [String] = []
        if jobs.withoutHost > 0 { notes.append("\(jobs.withoutHost) without a host") }
        if jobs.hosted > 0 { notes.append("\(jobs.hosted) hosted") }
        if jobs.withoutMeter > 0 { notes.append("\(jobs.withoutMeter) without a meter") }
        let values = Dictionary(named.map { ($0.0, $0.1) }) { $1 }
        let interval = hasEnergy ? uncertain.energy() : nil
        var model: [String: Any] = [
            "service": values["service"] ?? "no service", "activity": values["activity"] ?? "-", "team": values["team"] ?? "-",
            "jobs": "\(jobs.jobs)", "jobs_note": notes.joined(separator: ", "),
            "energy": hasEnergy ? Readable.energy(Double(energy)) : "unknown",
            "limits": interval.map { Readable.limits($0.low / 3.6e9, $0.high / 3.6e9, "Wh") + " (95 %)" } ?? "no job with a meter",
            "is_modelled": modelled > 0, "coverage": coverage.map { "\(Readable.number($0 * 100)) %" } ?? "-",
            "is_simulated": isSimulated,
        ]
        model["grams"] = hasEnergy ? locationGrams.map { "\(Readable.number($0.best)) g" } ?? "unknown" : "unknown"
        if !named.isEmpty { model["query"] = named.map { "\($0.0)=\($0.1.percentEncoded)" }.joined(separator: "&") }
        let total = energy
        if total > 0 {
            let own = modelled
            model["modelled"] = own >= total ? "modelled" : "\(Readable.percents([own], of: total)[0]) % modelled"
            let amounts = ShareMethod.allCases.map { byMethod[$0] ?? 0 }
            let parts = zip(ShareMethod.allCases.map(\.rawValue), Readable.percents(amounts, of: total)).filter { $0.1 != "0" }
            model["methods"] = parts.map { ["name": $0.0, "percent": $0.1] }
            model["method_text"] = parts.map { "\(Readable.method($0.0)) \($0.1) %" }.joined(separator: ", ")
        }
        return model
    }
}
