import ArgumentParser
import Energy
import Tracker

/// `wattle report job ID...`: a row per job.
struct ReportJob: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "job",
        abstract: "What jobs cost: energy and CO2e with their limits; every step of it with --explain.",
        discussion: """
            With --explain each line is an equation that you can redo with a pocket calculator: what the machine's meters counted while the \
            job ran, less the idle floor; the job's share of that; its part of the idle energy by the policy; times PUE and intensity. It \
            needs a token (scope read, or ci for what that token's source posted).

            --policy shows the figures under another rule for idle energy: dynamic (none to jobs), reserved (by the part of the machine \
            that a job has; the default), busy (by use) or equal (by head). Nothing that the collector keeps changes.

            EXAMPLES
              wattle report job 01j7xk2m4nq8rv5tw9yz3abcde
              wattle report job 01j7xk2m4nq8rv5tw9yz3abcde --explain
              wattle report job 01j7xk2m4nq8rv5tw9yz3abcde --explain --policy busy
              wattle report job --format csv $(cat ids.txt)
            """
    )

    @Argument(help: ArgumentHelp("Ids of jobs (26 characters).", valueName: "id"))
    var ids: [String]

    @Flag(help: "Print every step as an equation with numbers and units.")
    var explain = false

    @Option(help: ArgumentHelp("Who bears idle energy: reserved, dynamic, busy or equal. Default: reserved.", valueName: "policy"))
    var policy: IdlePolicy?

    @Option(help: ArgumentHelp("table, json (one footprint, or explanation, per line), csv or markdown.", valueName: "format"))
    var format = ReportFormat.table

    @OptionGroup var collectorOptions: CollectorOptions

    func run() async throws {
        let settings = Settings(url: collectorOptions.collector, token: collectorOptions.token, zone: nil, socket: nil)
        if collectorOptions.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        let collector = try settings.collector()
        if explain {
            guard format == .table || format == .json else {
                throw Failure.usage("--explain: expected --format table or json, found \(format.rawValue)")
            }
            for (place, id) in ids.enumerated() {
                do throws(CollectorError) {
                    let answer = try await collector.explanation(of: id, policy: policy?.rawValue)
                    if format == .json {
                        StandardOutput.write(String(decoding: answer.json, as: UTF8.self) + "\n")
                    } else {
                        StandardOutput.write((place > 0 ? "\n" : "") + ExplanationText.text(answer.explanation))
                    }
                } catch {
                    throw Failure.failed(error.description)
                }
            }
            return
        }
        var answers: [(footprint: JobFootprint, json: [UInt8])] = []
        for id in ids {
            do throws(CollectorError) {
                answers.append(try await collector.job(id, policy: policy?.rawValue))
            } catch {
                throw Failure.failed(error.description)
            }
        }
        switch format {
        case .json: for answer in answers { StandardOutput.write(String(decoding: answer.json, as: UTF8.self) + "\n") }
        case .csv: StandardOutput.write(JobTable.csv(answers.map(\.footprint)))
        case .markdown: StandardOutput.write(JobTable.table(answers.map(\.footprint)).markdown)
        case .table: StandardOutput.write(JobTable.table(answers.map(\.footprint)).text)
        }
    }
}

/// How idle energy is shared out, by the name that collectors know.
enum IdlePolicy: String, ExpressibleByArgument, CaseIterable {
    case reserved, dynamic, busy, equal
}

/// Jobs as rows.
enum JobTable {
    static func table(_ jobs: [JobFootprint]) -> TextTable {
        TextTable(
            columns: [
                .left("job"), .left("state"), .right("duration"), .right("energy"), .right("CO2e"), .left("quality"), .left("share"),
            ],
            rows: jobs.map { job in
                [
                    job.key ?? job.id, job.state, duration(of: job)?.text ?? "-", energy(of: job) ?? reason(job, "energy"),
                    emissions(of: job) ?? reason(job, "co2e.location_g"), job.energy?.quality ?? "-", job.share?.method ?? "-",
                ]
            }
        )
    }

    static func csv(_ jobs: [JobFootprint]) -> String {
        func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
        return TextTable(
            columns: [
                "job_id", "key", "state", "host", "started_at", "finished_at", "energy_kwh", "energy_low_kwh", "energy_high_kwh",
                "co2e_location_g", "co2e_location_low_g", "co2e_location_high_g", "quality", "share_method", "policy", "statement",
                "co2e_market_g", "embodied_g",
            ].map { .left($0) },
            rows: jobs.map { job in
                [
                    job.id, job.key ?? "", job.state, job.host ?? "", job.startedAt ?? "", job.finishedAt ?? "",
                    number(job.energy?.bestKilowattHours), number(job.energy?.lowKilowattHours), number(job.energy?.highKilowattHours),
                    number(job.emissions?.location?.best), number(job.emissions?.location?.low), number(job.emissions?.location?.high),
                    job.energy?.quality ?? "", job.share?.method ?? "", job.policy ?? "", job.statement ?? "",
                    number(job.emissions?.market?.best), number(job.emissions?.embodied?.best),
                ]
            }
        ).csv
    }

    private static func duration(of job: JobFootprint) -> Microseconds? {
        guard let start = job.startedAt.flatMap({ Timestamp(rfc3339: $0) }), let end = job.finishedAt.flatMap({ Timestamp(rfc3339: $0) })
        else { return nil }
        return end - start
    }

    private static func energy(of job: JobFootprint) -> String? {
        guard let energy = job.energy, let best = energy.bestKilowattHours else { return nil }
        return BoundedFigure.energy(
            bestKilowattHours: best,
            low: energy.lowKilowattHours ?? best,
            high: energy.highKilowattHours ?? best
        ).text
    }

    private static func emissions(of job: JobFootprint) -> String? {
        guard let grams = job.emissions?.location, let best = grams.best else { return nil }
        return BoundedFigure.emissions(bestGrams: best, low: grams.low ?? best, high: grams.high ?? best).text
    }

    /// Why a figure is missing, in the collector's word.
    private static func reason(_ job: JobFootprint, _ field: String) -> String {
        job.missing?.first { $0.field == field || $0.field.hasPrefix(field + ".") }?.reason ?? "-"
    }
}
