import Foundation
import Testing

/// `wattle grid`, `wattle estimate` and `wattle model on-premise` as their users run them.
@Suite struct GridCommandTests {
    private static let basis = ["--basis", "direct/average/consumption"]

    private static func time(_ minutesFromNow: Double) -> String {
        let formatter = ISO8601DateFormatter()
        return formatter.string(from: Date(timeIntervalSinceNow: minutesFromNow * 60))
    }

    /// A series of half hours from so many minutes before now on.
    private static func series(_ rows: [(zone: String, from: Double, to: Double, grams: String, kind: String)]) -> String {
        "zone,from,to,g_per_kwh,kind\n"
            + rows.map { "\($0.zone),\(time($0.from)),\(time($0.to)),\($0.grams),\($0.kind)\n" }.joined()
    }

    private static func json(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text.prefix(500))")
    }

    @Test func aSeriesOfOnesOwnAnswersWithoutACollector() async throws {
        try await Scratch.with { scratch in
            let file = try scratch.file(
                "series.csv",
                Self.series([
                    ("GB", -60, -30, "210", "actual"), ("GB", -30, 30, "200", "forecast"), ("GB", 30, 60, "", "forecast"),
                    ("GB", 60, 180, "90", "forecast"), ("GB", 180, 400, "220", "forecast"), ("FR", -60, 400, "60", "forecast"),
                    ("XX", -600, -570, "300", "actual"), ("XX", -570, -540, "-1", "actual"),
                ])
            )
            let own = ["--file", file] + Self.basis
            let latest = try await Program.run("wattle", ["grid", "latest", "GB", "XX"] + own, in: scratch)
            #expect(latest.code == 0, "\(latest.errors)")
            #expect(latest.output.contains("200") && latest.output.contains("not known"))
            // What is nine hours old is not the present, and -1 is no intensity.
            #expect(latest.output.contains("stale: ended"), "\(latest.output)")
            #expect(latest.errors.contains("-1") && !latest.output.contains(" -1"), "\(latest.errors)")
            let best = try await Program.run(
                "wattle",
                ["grid", "best", "--duration", "1h", "--within", "6h", "GB", "FR", "--format", "json"] + own,
                in: scratch
            )
            #expect(best.code == 0, "\(best.errors)")
            let answer = try Self.json(best.output)
            #expect((answer["best"] as? [String: Any])?["zone"] as? String == "FR")
            let gb = (answer["zones"] as? [[String: Any]])?.first
            #expect((gb?["best"] as? [String: Any])?["g_per_kwh"] as? Double == 90)
            // A start at once runs into what is not known.
            #expect(gb?["saving"] is NSNull)
            let forecast = try await Program.run("wattle", ["grid", "forecast", "GB"] + own, in: scratch)
            #expect(forecast.code == 0 && forecast.output.contains("not known") && forecast.output.contains("no past forecasts"))
            let history = try await Program.run("wattle", ["grid", "history", "GB", "--format", "json"] + own, in: scratch)
            #expect(history.code == 0 && history.output.contains("\"g_per_kwh\":210"), "\(history.output)")
            // Another place does not stand in.
            let nowhere = try await Program.run("wattle", ["grid", "latest", "DE"] + own, in: scratch)
            #expect(nowhere.code == 1 && nowhere.errors.contains("no other place stands in"), "\(nowhere.errors)")
        }
    }

    @Test func waitingEndsWhenItIsLowEnoughOrAtTheDeadline() async throws {
        try await Scratch.with { scratch in
            let file = try scratch.file(
                "series.csv",
                Self.series([
                    ("GB", -30, 0.05, "200", "forecast"), ("GB", 0.05, 60, "120", "forecast"), ("FR", -30, 30, "170", "forecast"),
                    ("FR", 30, 90, "50", "forecast"), ("YY", -30, 90, "300", "yearly"),
                ])
            )
            let own = ["--file", file] + Self.basis
            func wait(_ arguments: [String]) async throws -> Program.Finished {
                try await Program.run("wattle", ["grid", "wait"] + arguments + own, in: scratch)
            }
            let atOnce = try await wait(["--max-g", "250", "--deadline", "1h", "GB"])
            #expect(atOnce.code == 0 && atOnce.output == "GB\n", "\(atOnce.errors)")
            let soon = try await wait(["--max-g", "150", "--deadline", "1h", "GB", "FR", "--format", "json"])
            #expect(soon.code == 0, "\(soon.errors)")
            let told = try Self.json(soon.output)
            #expect(told["reached"] as? Bool == true && told["zone"] as? String == "GB" && told["g_per_kwh"] as? Double == 120)
            let dry = try await wait(["--max-g", "60", "--deadline", "1h", "GB", "FR", "--dry-run"])
            #expect(dry.code == 0 && dry.output == "FR\n" && dry.errors.contains("from 20"), "\(dry.errors)")
            let late = try await wait(["--max-g", "60", "--deadline", "2s", "GB", "FR"])
            #expect(late.code == 3 && late.output == "" && late.errors.contains("nothing at most 60"), "\(late.errors)")
            #expect(try await wait(["--max-g", "40", "--deadline", "1h", "FR", "--dry-run"]).code == 3)
            // A yearly figure does not fall by waiting.
            let hopeless = try await wait(["--max-g", "60", "--deadline", "1h", "YY"])
            #expect(hopeless.code == 3 && hopeless.errors.contains("yearly"), "\(hopeless.errors)")
            for wrong in [
                ["--max-g", "-5", "--deadline", "1h", "GB"], ["--max-g", "50", "--deadline", "soon", "GB"],
                ["--max-g", "50", "--deadline", "1h", "gb"], ["--max-g", "50", "--deadline", "1h"], ["--deadline", "1h", "GB"],
            ] { #expect(try await wait(wrong).code == 2, "\(wrong)") }
        }
    }

    @Test func aDeadlineSaysWhatItMayBe() async throws {
        try await Scratch.with { scratch in
            for wrong in ["0h", "3000d", "soon"] {
                let refused = try await Program.run("wattle", ["grid", "wait", "--max-g", "50", "--deadline", wrong, "GB"], in: scratch)
                #expect(refused.code == 2, "\(wrong): \(refused.errors)")
                #expect(refused.errors.contains("a length of time from now, of 1s to 366d, such as 6h"), "\(wrong): \(refused.errors)")
            }
        }
    }

    @Test func anAddressIsShownWithoutItsLogin() async throws {
        try await Scratch.with { scratch in
            let address = "unknown://me:hush@own.example/series.csv?key=hush"
            let failed = try await Program.run("wattle", ["grid", "latest", "GB", "--file", address] + Self.basis, in: scratch)
            #expect(failed.code == 1 && failed.errors.contains("unknown://own.example/series.csv"), "\(failed.errors)")
            #expect(!(failed.errors + failed.output).contains("hush"), "\(failed.errors)")
        }
    }

    @Test func anInterruptEndsAWaitAtOnce() async throws {
        try await Scratch.with { scratch in
            let file = try scratch.file("series.csv", Self.series([("GB", -30, 90, "200", "forecast")]))
            let program = try Program(
                "wattle",
                ["grid", "wait", "--max-g", "100", "--deadline", "1h", "GB", "--file", file] + Self.basis,
                in: scratch
            )
            try await Task.sleep(for: .seconds(1))
            #expect(program.isRunning)
            program.signal(SIGINT)
            let end = try await program.wait(seconds: 5)
            #expect(end.code != 0 && end.output == "" && end.errors == "", "\(end.code) \(end.errors)")
        }
    }

    @Test func anEstimateOfOnesOwnFigureNeedsNobody() async throws {
        try await Scratch.with { scratch in
            func estimate(_ arguments: [String]) async throws -> Program.Finished {
                try await Program.run("wattle", ["estimate"] + arguments, in: scratch)
            }
            let own = ["--g-per-kwh", "212"] + Self.basis
            let text = try await estimate(["--energy-wh", "500", "--pue", "1.2"] + own)
            #expect(text.code == 0 && text.output.contains("127 g"), "\(text.output)\(text.errors)")
            let drawn = try await estimate(
                ["--energy-wh", "500", "--pue", "1", "--method", "monte-carlo", "--draws", "20000", "--seed", "3", "--format", "json"] + own
            )
            let answer = try Self.json(drawn.output)
            let grams = (answer["co2e"] as? [String: Any])?["location_g"] as? [String: Any]
            #expect(grams?["best"] as? Double == 106 && (grams?["low"] as? Double ?? 0) < 106, "\(drawn.output)")
            for (wrong, word) in [
                (["--energy-wh", "-5"] + own, "--energy-wh"), (["--energy-wh", "nan"] + own, "--energy-wh"),
                (["--energy-wh", "5", "--pue", "0.5"] + own, "--pue"), (["--energy-wh", "5", "--g-per-kwh", "212"], "--basis"),
                (["--energy-wh", "5"], "--zone"), (["--energy-wh", "5", "--zone", "xx"], "--zone"),
                (["--energy-wh", "5", "--zone", "GB"], "no collector"), (own, "--energy-wh"),
                (["--power-w", "5", "--from", "2026-09-02", "--to", "2026-09-01"] + own, "--to"),
            ] {
                let refused = try await estimate(wrong)
                #expect(refused.code == 2 && refused.errors.contains(word), "\(wrong): \(refused.code) \(refused.errors)")
            }
            // A part of the time without a figure: not 0.
            let file = try scratch.file("series.csv", Self.series([("GB", -60, -30, "210", "actual"), ("GB", -30, 0, "", "actual")]))
            let partly = try await estimate(
                ["--energy-wh", "500", "--zone", "GB", "--from", Self.time(-60), "--to", Self.time(0), "--file", file] + Self.basis
            )
            #expect(partly.code == 0 && partly.output.contains("not known: a part of the time"), "\(partly.output)\(partly.errors)")
        }
    }

    @Test func aProviderIsAskedItself() async throws {
        try await Scratch.with { scratch in
            let day = String(Self.time(0).prefix(10))
            let now = ISO8601DateFormatter()
            now.formatOptions = [.withYear, .withMonth, .withDay, .withTime, .withDashSeparatorInDate, .withColonSeparatorInTime]
            // The half hour that runs, and the one before.
            let step = 1_800.0
            let start = Date(timeIntervalSince1970: (Date().timeIntervalSince1970 / step).rounded(.down) * step)
            func stamp(_ date: Date) -> String { String(ISO8601DateFormatter().string(from: date).prefix(16)) + "Z" }
            func period(_ date: Date, _ forecast: Int, _ actual: String) -> String {
                """
                {"from": "\(stamp(date))", "to": "\(stamp(date + step))", "intensity": {"forecast": \(forecast), "actual": \(actual), "index": "low"}}
                """
            }
            let body =
                #"{"data": [\#(period(start - step, 190, "185")), \#(period(start, 170, "null")), \#(period(start + step, 90, "null"))]}"#
            let answer = try scratch.file("answer.json", body)
            let script = """
                import http.server, sys
                body = open(sys.argv[1], 'rb').read()
                class Handler(http.server.BaseHTTPRequestHandler):
                    def do_GET(self):
                        self.send_response(200)
                        self.send_header('Content-Type', 'application/json')
                        self.end_headers()
                        self.wfile.write(body)
                    def log_message(self, *rest): pass
                server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
                print(server.server_port, flush=True)
                server.serve_forever()
                """
            let server = try Program("python3", ["-c", script, answer], in: scratch)
            let port = try await eventually("the provider's port", seconds: 20, log: { server.errors }) {
                server.output.split(separator: "\n").first.flatMap { Int($0) }
            }
            let asked = ["--provider", "gb-carbon-intensity", "--provider-url", "http://127.0.0.1:\(port)"]
            let latest = try await Program.run("wattle", ["grid", "latest", "GB", "--format", "json"] + asked, in: scratch)
            #expect(latest.code == 0, "\(day): \(latest.errors)")
            let zone = (try Self.json(latest.output)["zones"] as? [[String: Any]])?.first
            #expect((zone?["now"] as? [String: Any])?["g_per_kwh"] as? Double == 170, "\(latest.output)")
            #expect((zone?["latest"] as? [String: Any])?["g_per_kwh"] as? Double == 185)
            let wait = try await Program.run(
                "wattle",
                ["grid", "wait", "--max-g", "100", "--deadline", "2h", "--dry-run", "GB"] + asked,
                in: scratch
            )
            #expect(wait.code == 0 && wait.output == "GB\n", "\(wait.errors)")
            // Regions and countries of others are no part of this provider.
            let other = try await Program.run("wattle", ["grid", "latest", "FR"] + asked, in: scratch)
            #expect(other.code == 2 && other.errors.contains("GB-1"), "\(other.errors)")
            let mixed = try await Program.run(
                "wattle",
                ["grid", "latest", "GB", "--basis", "direct/marginal/consumption"] + asked,
                in: scratch
            )
            #expect(mixed.code == 2 && mixed.errors.contains("--basis"))
            server.signal(SIGKILL)
            _ = try await server.wait(seconds: 10)
        }
    }

    @Test func aCollectorIsAskedForZonesAndEstimates() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let environment = ["WATTLE_URL": collector.url, "WATTLE_ZONE": "FR"]
                func run(_ arguments: [String]) async throws -> Program.Finished {
                    try await Program.run("wattle", arguments, environment: environment, in: scratch)
                }
                let latest = try await run(["grid", "latest"])
                #expect(latest.code == 0 && latest.output.contains("yearly"), "\(latest.output)\(latest.errors)")
                let unknown = try await run(["grid", "latest", "ZZ"])
                #expect(unknown.code == 1 && unknown.errors.contains("grid:"), "\(unknown.errors)")
                // Yearly figures of two countries; the lower one is named at once.
                let best = try await run(["grid", "best", "--duration", "1h", "PL", "FR", "--format", "json"])
                #expect((try Self.json(best.output)["best"] as? [String: Any])?["zone"] as? String == "FR", "\(best.errors)")
                let wait = try await run(["grid", "wait", "--max-g", "20", "--deadline", "1h", "PL"])
                #expect(wait.code == 3 && wait.errors.contains("yearly"), "\(wait.errors)")
                let estimate = try await run(["estimate", "--energy-wh", "500", "--format", "json"])
                let answer = try Self.json(estimate.output)
                #expect(((answer["co2e"] as? [String: Any])?["location_g"] as? [String: Any])?["best"] is Double, "\(estimate.output)")
                #expect((answer["intensity"] as? [String: Any])?["zone"] as? String == "FR")
            }
        }
    }

    @Test func machinesOfOnesOwnAreModelled() async throws {
        try await Scratch.with { scratch in
            let good = try scratch.file(
                "machines.csv",
                """
                cpuDescription,memory,country,cpuUtilization,powerUsageEffectiveness,dailyUptime,machineName
                Intel Xeon Silver 4114,32,FR,40,1.3,24,one
                Intel Xeon Silver 4114,32,,40,1.3,24,two

                """
            )
            let table = try await Program.run("wattle", ["model", "on-premise", good], in: scratch)
            #expect(table.code == 0 && table.output.contains("not known"), "\(table.output)\(table.errors)")
            let csv = try await Program.run("wattle", ["model", "on-premise", good, "--format", "csv"], in: scratch)
            #expect(csv.output.split(separator: "\r\n").count == 3)
            let json = try Self.json(
                try await Program.run("wattle", ["model", "on-premise", good, "--format", "json"], in: scratch).output
            )
            let machines = json["machines"] as? [[String: Any]]
            #expect((machines?.first?["co2e_g"] as? Double ?? 0) > 0 && machines?.last?["co2e_g"] is NSNull)
            let bad = try scratch.file("bad.csv", "cpuDescription,memory,dailyUptime\nX,99999999,24\nX,8,24\n")
            let part = try await Program.run("wattle", ["model", "on-premise", bad], in: scratch)
            #expect(part.code == 1 && part.errors.contains("row 1, memory"), "\(part.errors)")
            #expect(try await Program.run("wattle", ["model", "on-premise", scratch.path + "/none.csv"], in: scratch).code == 1)
        }
    }
}
