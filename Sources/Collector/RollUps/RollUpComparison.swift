import Accounting
import Documents
import Store

/// Two times of the same jobs held against each other: in all, and for each job that began.
struct RollUpComparison: Sendable {
    let before: RollUpAnswer
    let after: RollUpAnswer

    func json(isPublic: Bool) -> JSONValue {
        let json = RollUpJSON(isPublic: isPublic)
        var object: [String: JSONValue] = ["policy": .string(before.question.policy.rawValue)]
        for (name, answer) in [("before", before), ("after", after)] {
            var fields = json.fields(answer.total)
            fields["window"] = answer.window
            fields["open_hours"] = answer.openHours.map { .integer(Int64($0)) } ?? .null
            fields["left_out_hours"] = .integer(Int64(answer.leftOutHours))
            fields["set_aside_hours"] = .integer(Int64(answer.setAsideHours))
            object[name] = .object(fields)
        }
        object["difference"] = .null
        object["difference_per_job"] = .null
        object["missing"] = .array([])
        guard before.total.hasEnergy, after.total.hasEnergy else {
            object["missing"] = .array(
                ["difference", "difference_per_job"].map {
                    .object(["field": .string($0), "reason": .string("no_energy")])
                }
            )
            return .object(object)
        }
        object["difference"] = difference(json, work: nil)
        let jobs = (before.total.jobs?.jobs ?? 0, after.total.jobs?.jobs ?? 0)
        if jobs.0 > 0, jobs.1 > 0 {
            object["difference_per_job"] = difference(json, work: (Double(jobs.0), Double(jobs.1)))
        } else {
            object["missing"] = .array([.object(["field": .string("difference_per_job"), "reason": .string("no_jobs")])])
        }
        return .object(object)
    }

    /// Figures of two bases are not held against each other.
    private var isOfOneBasis: Bool { Set(before.total.byBasis.keys).union(after.total.byBasis.keys).count <= 1 }

    private func difference(_ json: RollUpJSON, work: (before: Double, after: Double)?) -> JSONValue {
        let found = UncertainComparison(
            after.total.uncertain,
            work: work?.after ?? 1,
            before.total.uncertain,
            work: work?.before ?? 1
        )
        var object: [String: JSONValue] = [
            "energy_kwh": json.estimate(found.energy.scaled(by: 1 / 3.6e12)), "is_distinguishable": .bool(found.isSignificant),
            "location_g": isOfOneBasis ? found.grams.map(json.estimate) ?? .null : .null,
        ]
        object["relative"] =
            found.relative.map { relative in
                // A part of something that may have been nothing has no upper limit.
                .object(["best": json.number(relative.best), "low": json.number(relative.low), "high": json.number(relative.high)])
            } ?? .null
        return .object(object)
    }
}
