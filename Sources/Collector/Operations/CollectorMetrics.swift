import Synchronization

/// What the collector counts of itself, as OpenMetrics text.
final class CollectorMetrics: Sendable {
    /// A number that only grows.
    final class Counter: Sendable {
        private let value = Atomic<Int>(0)

        func increment(by n: Int = 1) { value.add(n, ordering: .relaxed) }
        var total: Int { value.load(ordering: .relaxed) }
    }

    let batchesAccepted = Counter()
    let batchesRefused = Counter()
    let batchesPutOff = Counter()
    let knotsAccepted = Counter()
    let spansAccepted = Counter()
    let spansRefused = Counter()
    let jobsReconciled = Counter()
    let hoursAccounted = Counter()
    let hoursPoisoned = Counter()
    let requests = Counter()
    let eventsStored = Counter()
    let eventsRepeated = Counter()
    let eventsRefused = Counter()
    let eventsFailed = Counter()
    let telemetrySamples = Counter()
    let telemetrySamplesSpare = Counter()
    let telemetrySamplesRefused = Counter()
    let telemetrySeriesMapped = Counter()
    let telemetrySeriesUnmapped = Counter()
    let scrapes = Counter()
    let scrapesFailed = Counter()
    let curveHoursPacked = Counter()
    let knotsReleased = Counter()
    let knotDaysDropped = Counter()
    let packingFailed = Counter()
    let eventsDeleted = Counter()
    let gridQuestions = Counter()
    let gridQuestionsFailed = Counter()
    let gridFigures = Counter()

    /// - Parameter gauges: name, help and value of what is read at the moment.
    func text(gauges: [(name: String, help: String, value: Double)]) -> String {
        let counters: [(String, String, Counter)] = [
            ("wattle_batches_accepted", "Batches of readings committed or acknowledged again.", batchesAccepted),
            ("wattle_batches_refused", "Batches of readings refused.", batchesRefused),
            ("wattle_batches_put_off", "Batches of readings answered with 429.", batchesPutOff),
            ("wattle_knots_accepted", "Knots in the accepted batches.", knotsAccepted),
            ("wattle_spans_accepted", "Spans taken in.", spansAccepted),
            ("wattle_spans_refused", "Spans refused.", spansRefused),
            ("wattle_reconciled_jobs", "Jobs that were missing or told otherwise until their CI was asked.", jobsReconciled),
            ("wattle_hours_accounted", "Host-hours accounted.", hoursAccounted),
            ("wattle_hours_poisoned", "Host-hours set aside with an error.", hoursPoisoned),
            ("wattle_events_stored", "CI events stored.", eventsStored),
            ("wattle_events_repeated", "CI events that were there already.", eventsRepeated),
            ("wattle_events_refused", "Deliveries to hooks that no secret made.", eventsRefused),
            ("wattle_events_failed", "CI events set aside for good.", eventsFailed),
            ("wattle_telemetry_samples", "Samples of other exporters' series that count.", telemetrySamples),
            ("wattle_telemetry_samples_spare", "Samples that another replica or way had sent already.", telemetrySamplesSpare),
            ("wattle_telemetry_samples_refused", "Samples of impossible values or times.", telemetrySamplesRefused),
            ("wattle_telemetry_series_mapped", "Series that became meters, each time they came.", telemetrySeriesMapped),
            ("wattle_telemetry_series_unmapped", "Series that no row of meters.yaml maps, each time they came.", telemetrySeriesUnmapped),
            ("wattle_scrapes", "Scrapes of targets that answered.", scrapes),
            ("wattle_scrapes_failed", "Scrapes without an answer that could be read.", scrapesFailed),
            ("wattle_curve_hours_packed", "Hours of curves that were packed.", curveHoursPacked),
            ("wattle_knots_released", "Knots deleted, which a packed hour has.", knotsReleased),
            ("wattle_knot_days_dropped", "Days of knots dropped, all packed.", knotDaysDropped),
            ("wattle_packing_failed", "Host-hours that could not be packed, each time they were tried.", packingFailed),
            ("wattle_events_deleted", "CI events deleted because of their age.", eventsDeleted),
            ("wattle_grid_questions", "Questions to providers of grid intensities.", gridQuestions),
            ("wattle_grid_questions_failed", "Questions to providers of grid intensities without an answer to use.", gridQuestionsFailed),
            ("wattle_grid_figures", "Grid intensities that were new.", gridFigures),
            ("wattle_http_requests", "HTTP requests answered.", requests),
        ]
        var text = ""
        for (name, help, counter) in counters {
            text += "# TYPE \(name) counter\n# HELP \(name) \(help)\n\(name)_total \(counter.total)\n"
        }
        for gauge in gauges {
            text += "# TYPE \(gauge.name) gauge\n# HELP \(gauge.name) \(gauge.help)\n\(gauge.name) \(gauge.value)\n"
        }
        return text + "# EOF\n"
    }
}
