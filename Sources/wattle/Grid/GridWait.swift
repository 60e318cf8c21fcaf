import ArgumentParser
import Carbon
import CarbonDocuments
import Documents
import Energy
import Glibc
import Tracker

/// `wattle grid wait`: returns when a kWh emits little enough, or the deadline comes.
struct GridWait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Wait until a kWh emits at most so much in a zone, or the deadline comes.",
        discussion: """
            Exit codes: 0 the intensity is low enough now (with --dry-run: is expected to be, by the deadline), 3 the deadline came \
            or nothing that is low enough is known by then, 1 failed, 2 wrong usage. The zone goes to standard output, so that a \
            script can take it.

            EXAMPLES
              wattle grid wait --max-g 150 --deadline 6h GB && make release
              wattle grid wait --max-g 100 --duration 1h --deadline 2026-09-01T18:00:00Z GB FR
              wattle grid wait --max-g 150 --deadline 6h --dry-run GB
            """
    )

    @OptionGroup var arguments: ZoneArguments
    @OptionGroup var options: FigureSourceOptions

    @Option(name: .customLong("max-g"), help: ArgumentHelp("The most intensity to begin at, in g of CO2e per kWh.", valueName: "grams"))
    var mostGrams: Double

    @Option(help: ArgumentHelp("The latest start: a length from now such as 6h, or a time.", valueName: "when"))
    var deadline: String

    @Option(help: ArgumentHelp("How long the job takes: its mean counts, not only its start.", valueName: "length"))
    var duration: String?

    @Option(help: ArgumentHelp("How often to ask again, at the latest.", valueName: "length"))
    var every = "5m"

    @Flag(name: .customLong("dry-run"), help: "Print when it would be, and do not wait.")
    var isDryRun = false

    func run() async throws {
        guard mostGrams > 0, mostGrams <= 2_000 else {
            throw Failure.usage("--max-g: expected more than 0 and at most 2000 g/kWh, found \(mostGrams)")
        }
        let begin = Clock.now
        guard let latest = LengthOfTime.parse(deadline).map({ begin + $0 }) ?? Timestamp(rfc3339: deadline) else {
            throw Failure.usage(
                "--deadline: expected a length of time from now, of 1s to 366d, such as 6h or 1h30m, or a time such as "
                    + "2026-09-01T18:00:00Z, found \(deadline)"
            )
        }
        let length = try duration.map { try GridQuestionOptions.length($0, "--duration") } ?? .zero
        let pause = try GridQuestionOptions.length(every, "--every")
        guard let (zones, source) = try GridQuestionOptions.prepare(arguments, options) else { return }
        let question = WaitPlan.Question(atMost: mostGrams, lasting: length, until: latest, basis: try options.readBasis())
        var waiting = try await Waiting(question: question, zones: zones, source: source, begin: begin)
        if isDryRun {
            try tell(waiting, isOver: true)
            if waiting.plan.start == nil { throw ExitCode(3) }
            return
        }
        WaitingLine.leaveCleanly()
        defer { WaitingLine.clear() }
        while !waiting.plan.isReached {
            let now = Clock.now
            guard now < latest, !waiting.plan.isHopeless else {
                WaitingLine.clear()
                try tell(waiting, isOver: true)
                throw ExitCode(3)
            }
            WaitingLine.show(waiting)
            let next = min(waiting.plan.start?.time ?? latest, now + pause, latest)
            try await Task.sleep(for: .microseconds(max(100_000, (next - now).count)))
            await waiting.askAgain()
        }
        WaitingLine.clear()
        try tell(waiting, isOver: false)
    }

    private func tell(_ waiting: Waiting, isOver: Bool) throws {
        switch arguments.format {
        case .json: StandardOutput.write(try waiting.json.text + "\n")
        case .table:
            if let start = waiting.plan.start, isDryRun || waiting.plan.isReached { StandardOutput.write("\(start.zone)\n") }
            StandardError.write(waiting.text)
        }
    }
}

/// What a wait knows.
struct Waiting {
    let question: WaitPlan.Question
    let zones: [GridZone]
    let source: FigureSource
    let begin: Timestamp
    /// What a start at once would have met in the first zone.
    let atOnce: Double?
    private(set) var plan: WaitPlan
    private(set) var errors: [(zone: String, error: ForecastError?)]

    init(question: WaitPlan.Question, zones: [GridZone], source: FigureSource, begin: Timestamp) async throws {
        self.question = question
        self.zones = zones
        self.source = source
        self.begin = begin
        (plan, errors) = try await Self.ask(question, zones, source, now: begin)
        atOnce = zones.first.flatMap { [plan] in plan.atOnce[$0.key] }
    }

    private static func ask(_ question: WaitPlan.Question, _ zones: [GridZone], _ source: FigureSource, now: Timestamp) async throws -> (
        WaitPlan, [(zone: String, error: ForecastError?)]
    ) {
        let end = max(question.deadline, now) + max(question.duration, Microseconds(1))
        let figures = try await GridQuestionOptions.figures(zones, source, over: Interval(now, end), now: now)
        do {
            return (try WaitPlan(question, in: figures, now: now), figures.map { ($0.zone, $0.forecastError) })
        } catch let mixed as WindowAnswer.MixedBases {
            throw GridQuestionOptions.mixed(mixed)
        }
    }

    /// What does not answer this time may the next: the last plan stands, and is not taken for reached.
    mutating func askAgain() async {
        do {
            (plan, errors) = try await Self.ask(question, zones, source, now: Clock.now)
        } catch {
            WaitingLine.clear()
            StandardError.write("wattle: \((error as? Failure)?.message ?? "\(error)"); asking again\n")
        }
    }

    var json: JSONValue {
        var missing: [JSONValue] = []
        func number(_ value: Double?, _ field: String, _ reason: String) -> JSONValue {
            if let value { return .number(value) }
            missing.append(.object(["field": .string(field), "reason": .string(reason)]))
            return .null
        }
        let start = plan.start
        if start == nil { missing.append(.object(["field": .string("zone"), "reason": .string("none_by_deadline")])) }
        return .object([
            "reached": .bool(plan.isReached), "zone": start.map { .string($0.zone) } ?? .null,
            "at": start.map { .string(RFC3339.format($0.time)) } ?? .null, "kind": start.map { .string($0.kind.rawValue) } ?? .null,
            "basis": plan.basis.map { .string($0.description) } ?? .null,
            "g_per_kwh": number(start?.gramsPerKilowattHour, "g_per_kwh", "none_by_deadline"),
            "max_g_per_kwh": .number(question.mostGramsPerKilowattHour), "deadline": .string(RFC3339.format(question.deadline)),
            "waited_s": .integer((plan.now - begin).count / 1_000_000),
            "now_g_per_kwh": number(atOnce, "now_g_per_kwh", "no_figure"),
            "saving": number(plan.saving(against: atOnce), "saving", "not_comparable"),
            "forecast_error": .object(
                Dictionary(
                    errors.map { zone, error in
                        (
                            zone,
                            error.map {
                                .object([
                                    "pairs": .integer(Int64($0.pairs)),
                                    "mean_absolute_g_per_kwh": .number($0.meanAbsoluteGramsPerKilowattHour),
                                    "nine_of_ten_within_g_per_kwh": .number($0.tenthWorstGramsPerKilowattHour),
                                ])
                            } ?? .null
                        )
                    },
                    uniquingKeysWith: { first, _ in first }
                )
            ), "missing": .array(missing),
        ])
    }

    var text: String {
        let most = GridTables.grams(question.mostGramsPerKilowattHour)
        guard let start = plan.start else {
            let why =
                plan.isHopeless
                ? "only yearly figures are known, and waiting does not change them"
                : "nothing at most \(most) g/kWh is known by \(RFC3339.format(question.deadline))"
            let found = plan.atOnce.sorted { $0.key < $1.key }.map { "\($0.key) \(GridTables.grams($0.value)) g/kWh" }
            return "wattle: \(why)\(found.isEmpty ? "" : " (now: \(found.joined(separator: ", ")))")\n"
        }
        let when = plan.isReached ? "now" : "from \(RFC3339.format(start.time))"
        var text =
            "wattle: \(start.zone) \(when): \(GridTables.grams(start.gramsPerKilowattHour)) g/kWh (\(start.kind.rawValue)), "
            + "at most \(most) were asked for"
        if let saving = plan.saving(against: atOnce), let first = zones.first {
            text += "; \(GridTables.percent(saving)) less than \(GridTables.grams(atOnce)) g/kWh at the beginning in \(first)"
        }
        return text + "\n" + GridTables.errors(errors).split(separator: "\n").map { "wattle: \($0)\n" }.joined()
    }
}

/// The line that says what is waited for, at a terminal only.
enum WaitingLine {
    static func show(_ waiting: Waiting) {
        guard StandardError.isTerminal else { return }
        let now = waiting.plan.atOnce.sorted { $0.key < $1.key }.map { "\($0.key) \(GridTables.grams($0.value))" }.joined(separator: ", ")
        let expected = waiting.plan.start.map { "expected \($0.zone) at \(RFC3339.format($0.time))" } ?? "none expected yet"
        StandardError.write(
            "\r\u{1B}[Kwattle: waiting for \(GridTables.grams(waiting.question.mostGramsPerKilowattHour)) g/kWh; now \(now); \(expected)"
        )
    }

    static func clear() {
        if StandardError.isTerminal { StandardError.write("\r\u{1B}[K") }
    }

    /// An interrupt ends at once, as every program's does, with the line cleared.
    static func leaveCleanly() {
        guard StandardError.isTerminal else { return }
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                _ = Glibc.write(STDERR_FILENO, "\r\u{1B}[K", 4)
                _exit(128 + number)
            }
        }
    }
}
