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
        let found = try await site.bounded { connection in
            try await ServiceOverview.read(Interval(from, now), limit: Self.mostServices + 1, connection)
        }
        let model: [String: Any] = [
            "periods": Self.periods.map {
                ["days": "\($0)", "name": $0 == 1 ? "last day" : "last \($0) days", "is_here": $0 == number] as [String: Any]
            },
            "services": found.prefix(Self.mostServices).map { $0.model }, "has_services": !found.isEmpty,
            "is_cut": found.count > Self.mostServices, "limit": "\(Self.mostServices)",
        ]
        return render("services", title: "Services", path: "/services", viewer: try context.viewer(site.access), model)
    }
}

extension ServiceOverview {
    private static let methods = ["measured", "measured_client", "declared", "equal"]

    fileprivate var model: [String: Any] {
        let filters = [("service", service), ("activity", activity), ("team", team)].compactMap { name, value in
            value.map { "\(name)=\($0.percentEncoded)" }
        }
        var notes: [String] = []
        if hostless > 0 { notes.append("\(hostless) without a host") }
        if hosted > 0 { notes.append("\(hosted) hosted") }
        let unsettled = jobs - accounted - hostless - hosted
        if unsettled > 0 { notes.append("\(unsettled) without energy yet") }
        var model: [String: Any] = [
            "service": service ?? "no service", "activity": activity ?? "-", "team": team ?? "-", "jobs": "\(jobs)",
            "jobs_note": notes.joined(separator: ", "), "energy": microjoules.map { Readable.energy(Double($0)) } ?? "unknown",
            "limits": microjoules == nil
                ? "no job in a settled hour" : Readable.limits(lowMicrojoules / 3.6e9, highMicrojoules / 3.6e9, "Wh"),
            "is_modelled": modelledMicrojoules > 0,
        ]
        if !filters.isEmpty { model["query"] = filters.joined(separator: "&") }
        if let total = microjoules, total > 0 {
            model["modelled"] =
                modelledMicrojoules >= total ? "modelled" : "\(Readable.percents([modelledMicrojoules], of: total)[0]) % modelled"
            let amounts = Self.methods.map { byMethod[$0] ?? 0 }
            let parts = zip(Self.methods, Readable.percents(amounts, of: total)).filter { $0.1 != "0" }
            model["methods"] = parts.map { ["name": $0.0, "percent": $0.1] }
            model["method_text"] = parts.map { "\(Readable.method($0.0)) \($0.1) %" }.joined(separator: ", ")
        }
        return model
    }
}
