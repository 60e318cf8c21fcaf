import ArgumentParser
import Energy
import Tracker

/// `wattle report host NAME`: the ledger of a host, every joule in one account.
struct ReportHost: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host",
        abstract: "Where a host's energy went: jobs, system, agent, idle, unknown; exit 1 if it does not add up to what was metered.",
        discussion: """
            EXAMPLES
              wattle report host builder-1
              wattle report host builder-1 --from 2026-09-01T08:00Z --to 2026-09-01T12:00Z
              wattle report host builder-1 --format csv
            """
    )

    @Argument(help: ArgumentHelp("The host.", valueName: "name"))
    var name: String

    @Option(help: ArgumentHelp("Start of the range, a date or a time in UTC. Default: 24 hours before its end.", valueName: "time"))
    var from: String?

    @Option(help: ArgumentHelp("End of the range. Default: now.", valueName: "time"))
    var to: String?

    @Option(help: ArgumentHelp("table, json, csv or markdown.", valueName: "format"))
    var format = ReportFormat.table

    @OptionGroup var collectorOptions: CollectorOptions

    func run() async throws {
        let settings = Settings(url: collectorOptions.collector, token: collectorOptions.token, zone: nil, socket: nil)
        if collectorOptions.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        let end = try time(to, "--to") ?? Timestamp.systemNow().hour.end
        let start = try time(from, "--from") ?? end - .day
        guard start < end else { throw Failure.usage("--from: expected a time before \(end.rfc3339), found \(start.rfc3339)") }
        let collector = try settings.collector()
        let answer: HostHours
        do throws(CollectorError) {
            answer = try await collector.hours(ofHost: name, from: start.rfc3339, to: end.rfc3339)
        } catch {
            throw Failure.failed(error.description)
        }
        let ledger = HostLedger(answer)
        switch format {
        case .markdown: StandardOutput.write(LedgerTable.table(ledger).markdown)
        case .table: StandardOutput.write(LedgerTable.text(ledger, range: "\(start.rfc3339) to \(end.rfc3339)"))
        case .csv: StandardOutput.write(LedgerTable.csv(ledger))
        case .json: StandardOutput.write(JSONText.text(LedgerTable.JSON(ledger)) + "\n")
        }
        if format == .csv || format == .markdown, let text = LedgerTable.unaccounted(ledger) { StandardError.write("wattle: \(text)\n") }
        for fault in ledger.faults { StandardError.write("wattle: \(fault)\n") }
        if !ledger.faults.isEmpty { throw ExitCode(1) }
    }

    private func time(_ text: String?, _ flag: String) throws -> Timestamp? {
        guard let text else { return nil }
        guard let time = Timestamp(rfc3339: text) else {
            throw Failure.usage("\(flag): expected a time such as 2026-09-01 or 2026-09-01T09:00Z, found \(text)")
        }
        return time
    }
}

/// A ledger as rows that sum to what was metered.
enum LedgerTable {
    private static func rows(_ ledger: HostLedger) -> [(name: String, dynamic: Int128?, idle: Int128?, total: Int128)] {
        ledger.jobs.map { ($0.job, $0.dynamic, $0.idleReserved, $0.total) } + [
            ("(system)", ledger.system, nil, ledger.system), ("(agent)", ledger.agent, nil, ledger.agent),
            ("(idle, not reserved)", nil, ledger.idleLeft, ledger.idleLeft), ("(unknown)", ledger.unknown, nil, ledger.unknown),
        ]
    }

    /// Nil where every hour could be.
    static func unaccounted(_ ledger: HostLedger) -> String? {
        let hours = ledger.unaccountedHours
        guard hours > 0 else { return nil }
        return "\(hours) \(hours == 1 ? "hour" : "hours") could not be accounted, in no sum: the collector's doctor says why"
    }

    static func table(_ ledger: HostLedger) -> TextTable {
        func wattHours(_ microjoules: Int128?) -> String { microjoules.map { DecimalText.fixed(Double($0) / 3.6e9, 6) } ?? "" }
        var rows = rows(ledger).map { [$0.name, wattHours($0.dynamic), wattHours($0.idle), wattHours($0.total), "\($0.total)"] }
        rows.append(["total", "", "", wattHours(ledger.total), "\(ledger.total)"])
        rows.append(["metered", "", "", wattHours(ledger.metered), "\(ledger.metered)"])
        return TextTable(
            columns: [.left("account"), .right("dynamic Wh"), .right("idle Wh"), .right("total Wh"), .right("total µJ")],
            rows: rows,
            totals: 2
        )
    }

    static func text(_ ledger: HostLedger, range: String) -> String {
        var text = "\(ledger.host), \(range): \(ledger.hourCount) \(ledger.hourCount == 1 ? "hour" : "hours")"
        if ledger.openHours > 0 { text += ", \(ledger.openHours) of them still open" }
        text += "\n"
        if let unaccounted = unaccounted(ledger) { text += unaccounted + "\n" }
        text += table(ledger).text
        text += ledger.faults.isEmpty ? "adds up, to the microjoule\n" : "does not add up\n"
        if let carbon = ledger.carbon { text += self.text(carbon) }
        return text
    }

    /// Never one sum: each line is of its own kind.
    private static func text(_ carbon: HostCarbon) -> String {
        func grams(_ micrograms: String?, _ field: String) -> String {
            HostCarbon.grams(micrograms).map { "\(DecimalText.significant($0, 4)) g" } ?? "unknown (\(carbon.reason(field) ?? "not told"))"
        }
        var making = grams(carbon.embodied_ug, "embodied_ug")
        if let jobs = HostCarbon.grams(carbon.embodied_jobs_ug) { making += ", the jobs' part \(DecimalText.significant(jobs, 4)) g" }
        let water = carbon.water_l.map { "\(DecimalText.significant($0, 4)) l" } ?? "unknown (\(carbon.reason("water_l") ?? "not told"))"
        return """
            CO2e by location: \(grams(carbon.location_ug, "location_ug"))
            CO2e by contracts: \(grams(carbon.market_ug, "market_ug"))
            CO2e of making the machine: \(making)
            water: \(water)

            """
    }

    static func csv(_ ledger: HostLedger) -> String {
        TextTable(
            columns: ["account", "dynamic_uj", "idle_uj", "total_uj"].map { .left($0) },
            rows: rows(ledger).map { [$0.name, $0.dynamic.map { "\($0)" } ?? "", $0.idle.map { "\($0)" } ?? "", "\($0.total)"] }
                + [["total", "", "", "\(ledger.total)"], ["metered", "", "", "\(ledger.metered)"]]
        ).csv
    }

    struct JSON: Encodable {
        struct Job: Encodable {
            /// Left out for a host that runs on this one; that has `host`.
            var id: String?
            var job: String
            var host: String?
            var dynamic_uj: String
            var idle_reserved_uj: String
            var total_uj: String
        }
        var host: String
        var hours: Int
        var open_hours: Int
        var unaccounted_hours: Int
        var jobs: [Job]
        var system_uj: String
        var agent_uj: String
        var idle_left_uj: String
        var unknown_uj: String
        var total_uj: String
        var metered_uj: String
        var adds_up: Bool
        var faults: [String]
        var carbon: HostCarbon?

        init(_ ledger: HostLedger) {
            host = ledger.host
            hours = ledger.hourCount
            open_hours = ledger.openHours
            unaccounted_hours = ledger.unaccountedHours
            jobs = ledger.jobs.map {
                Job(
                    id: $0.id,
                    job: $0.job,
                    host: $0.host,
                    dynamic_uj: "\($0.dynamic)",
                    idle_reserved_uj: "\($0.idleReserved)",
                    total_uj: "\($0.total)"
                )
            }
            system_uj = "\(ledger.system)"
            agent_uj = "\(ledger.agent)"
            idle_left_uj = "\(ledger.idleLeft)"
            unknown_uj = "\(ledger.unknown)"
            total_uj = "\(ledger.total)"
            metered_uj = "\(ledger.metered)"
            adds_up = ledger.faults.isEmpty
            faults = ledger.faults
            carbon = ledger.carbon
        }
    }
}
