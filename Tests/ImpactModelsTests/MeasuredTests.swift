import Documents
import Energy
import ImpactModels
import Testing

@Suite struct MeasuredTests {
    private static let manifest = """
        aggregation: {metrics: [energy, carbon-operational], type: both}
        initialize:
          plugins:
            spans: {path: wattle, method: Spans, config: {service: opam-repo-ci, from: 2026-09-01, to: 2026-09-02}}
            hours: {path: wattle, method: HostHours, config: {host: builder-1, from: '2026-09-01T00:00:00Z', to: '2026-09-02T00:00:00Z'}}
            facility: {path: builtin, method: Multiply, config: {input-parameters: [energy, pue], output-parameter: facility/energy}}
            twice: {path: builtin, method: Coefficient, config: {input-parameter: idle/energy, coefficient: 2, output-parameter: twice}}
        tree:
          children:
            jobs: {pipeline: {observe: [spans], compute: [facility]}}
            hosts: {pipeline: {observe: [hours], compute: [twice]}}
        """

    private static let jobs = """
        {"jobs": [
          {"id": "b", "key": "f/-/2/1", "state": "final", "started_at": "2026-09-01T10:00:00Z", "finished_at": "2026-09-01T10:00:30Z",
           "host": "builder-1", "service": "opam-repo-ci", "pue": 1.5, "energy": {"best_kwh": 0.002, "low_kwh": 0.001, "high_kwh": 0.003},
           "co2e": {"location_g": {"best": 0.6}, "market_g": null, "embodied_g": null}, "intensity": {"g_per_kwh": 200}},
          {"id": "c", "state": "pending", "started_at": "2026-09-01T11:00:00Z", "finished_at": null},
          {"id": "a", "key": "f/-/1/1", "state": "pending", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T09:00:10Z",
           "host": null, "pue": 1.5, "energy": {"best_kwh": 0.004}, "co2e": {"location_g": {"best": 1.2}, "market_g": null, "embodied_g": {"best": 3}}}
        ]}
        """

    private static let hours = """
        {"host": "builder-1", "hours": [
          {"hour": "2026-09-01T00:00:00Z", "state": "settled", "metered_uj": "360000000000", "job_dynamic_uj": "180000000000",
           "system_uj": "36000000000", "agent_uj": "0", "idle_uj": "144000000000", "unknown_uj": "0", "co2e_location_ug": "20000000"},
          {"hour": "2026-09-01T01:00:00Z", "state": "open", "metered_uj": "7200000000", "job_dynamic_uj": "0", "system_uj": "0", "agent_uj": "0",
           "idle_uj": "7200000000", "unknown_uj": "0", "co2e_location_ug": null}
        ]}
        """

    private static let sources = ModelSources(measured: { query throws(SourceRefusal) in
        do {
            switch query.kind {
            case .spans: return MeasuredObservations(jobs: [try JSONValue(parsing: Array(jobs.utf8))])
            case .hostHours:
                return MeasuredObservations(hours: [try JSONValue(parsing: Array(hours.utf8))], host: query.filters["host"] ?? "")
            }
        } catch {
            throw SourceRefusal(expected: "JSON", found: "\(error)")
        }
    })

    /// 0.6 g for 0.002 kWh * 1.5 * 200 g/kWh; jobs in the order of time, and the one that still runs left out.
    @Test func spansAreObservations() throws {
        let run = try Running.run(Self.manifest, sources: Self.sources)
        let outputs = run.outputs("jobs")
        #expect(outputs.map { $0["job"]?.text } == ["f/-/1/1", "f/-/2/1"])
        #expect(outputs.map { $0["duration"]?.number } == [10, 30])
        #expect(outputs.map { $0["facility/energy"]?.number } == [0.006, 0.003])
        #expect(outputs.map { $0["carbon-operational"]?.number } == [1.2, 0.6])
        #expect(outputs.map { $0["carbon-embodied"] } == [.number(3), .null])
        #expect(outputs.map { $0["energy/low"] } == [.null, .number(0.001)])
        #expect(run.noteTexts.contains("1 spans that have not finished are left out"))
        #expect(run.noteTexts.contains("1 spans are not settled"))
    }

    /// 360 kJ = 0.1 kWh; the carbon of an hour that is not known makes that of the day unknown.
    @Test func hoursOfHostsAreObservations() throws {
        let run = try Running.run(Self.manifest, sources: Self.sources)
        let outputs = run.outputs("hosts")
        #expect(outputs.map { $0["energy"]?.number } == [0.1, 0.002])
        #expect(near(outputs.first?["twice"]?.number, 0.08))
        #expect(outputs.map { $0["carbon-operational"] } == [.number(20), .null])
        #expect(near(run.node("hosts").aggregated?["energy"]?.number, 0.102))
        #expect(run.node("hosts").aggregated?["carbon-operational"] == .null)
        #expect(run.noteTexts.contains("1 hours of builder-1 are not settled"))
    }

    @Test func whatACollectorIsAskedIsKnownBeforeTheRun() throws {
        let queries = try Manifest(Running.yaml(Self.manifest)).measuredQueries()
        let day = Interval(Timestamp(microseconds: 1_788_220_800_000_000), Timestamp(microseconds: 1_788_307_200_000_000))
        #expect(
            queries == [
                MeasuredQuery(kind: .spans, filters: ["service": "opam-repo-ci"], range: day),
                MeasuredQuery(kind: .hostHours, filters: ["host": "builder-1"], range: day),
            ]
        )
    }

    @Test func withoutACollectorThereAreNoObservations() {
        #expect(Running.fault(Self.manifest)?.contains("tree.children.jobs: spans: expected a collector to ask, found none") == true)
        let nothing = Self.manifest.replacing("service: opam-repo-ci, ", with: "")
        #expect(Running.fault(nothing)?.contains("config: expected one of service, repository") == true)
    }
}
