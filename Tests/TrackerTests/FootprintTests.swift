import Carbon
import Energy
import Testing

@testable import Tracker

@Suite struct FootprintTests {
    /// A host with 4 CPUs and an idle floor of 40 W.
    private func snapshot(
        _ seconds: Int64,
        joules: Double,
        busySeconds: Double,
        agentSeconds: Double = 0,
        idle: Double? = 40,
        ratios: (low: Double, high: Double) = (1, 1)
    ) -> Snapshot {
        let power = idle.map { Power(watts: $0) }
        return Snapshot(
            time: Timestamp(microseconds: seconds * 1_000_000),
            components: [.cpu: Energy.joules(joules)],
            busy: Microseconds(Int64(busySeconds * 1e6)),
            agentCPU: Microseconds(Int64(agentSeconds * 1e6)),
            cpus: 4,
            quality: .measured,
            basis: "test",
            boundRatios: ratios,
            idlePower: power.map { [.cpu: UtilisationModel.Point(low: $0, best: $0, high: $0)] } ?? [:]
        )
    }

    @Test func `dynamic energy goes by measured CPU time, idle energy by what was reserved`() throws {
        // 60 s at 100 W, floor 40 W: 3600 J dynamic, 2400 J idle. Half of the busy time is the command's; 1 of 4 CPUs reserved.
        let footprint = try #require(
            Footprint(
                cpuTime: .seconds(60),
                from: snapshot(0, joules: 500, busySeconds: 10),
                to: snapshot(60, joules: 6_500, busySeconds: 130),
                cpus: 1,
                source: "test"
            )
        )
        #expect(footprint.dynamic == .joules(1_800))
        #expect(footprint.idle == .joules(600))
        #expect(footprint.host == .joules(6_000))
        #expect(footprint.energy.best == .joules(2_400))
        #expect(footprint.energy.low <= footprint.energy.best && footprint.energy.best <= footprint.energy.high)
        #expect(footprint.meanShare == 0.25)
        #expect(footprint.quality == .measured)
    }

    @Test func `a command that says nothing bears the whole machine's idle`() throws {
        let footprint = try #require(
            Footprint(
                cpuTime: .seconds(60),
                from: snapshot(0, joules: 0, busySeconds: 0),
                to: snapshot(60, joules: 6_000, busySeconds: 60),
                cpus: nil,
                source: "test"
            )
        )
        #expect(footprint.dynamic == .joules(3_600))
        #expect(footprint.idle == .joules(2_400))
        #expect(footprint.energy.best == footprint.host)
    }

    @Test func `CPU time beyond the host's busy time is not more than everything`() throws {
        // Ticks of 10 ms miss short work: the host says 0 busy.
        let footprint = try #require(
            Footprint(
                cpuTime: .milliseconds(5),
                from: snapshot(0, joules: 0, busySeconds: 1),
                to: snapshot(1, joules: 50, busySeconds: 1),
                cpus: nil,
                source: "test"
            )
        )
        #expect(footprint.dynamic == .joules(10))
        #expect(footprint.energy.best == .joules(50))
    }

    @Test func `energy below the idle floor is never negative`() throws {
        let footprint = try #require(
            Footprint(
                cpuTime: .seconds(1),
                from: snapshot(0, joules: 0, busySeconds: 0),
                to: snapshot(1, joules: 10, busySeconds: 1),
                cpus: nil,
                source: "test"
            )
        )
        #expect(footprint.dynamic >= .zero)
        #expect(footprint.energy.best == .joules(10))
        #expect(footprint.flags.contains("idle_floor_high"))
    }

    @Test func `a model's limits widen the figure's`() throws {
        let footprint = try #require(
            Footprint(
                cpuTime: .seconds(60),
                from: snapshot(0, joules: 0, busySeconds: 0, ratios: (0.6, 1.35)),
                to: snapshot(60, joules: 6_000, busySeconds: 60, ratios: (0.6, 1.35)),
                cpus: nil,
                source: "test"
            )
        )
        #expect(footprint.energy.low <= .joules(3_600))
        #expect(footprint.energy.high >= .joules(8_100))
    }

    @Test func `no time and no meter give no footprint`() {
        let now = snapshot(5, joules: 1, busySeconds: 1)
        #expect(Footprint(cpuTime: .seconds(1), from: now, to: now, cpus: nil, source: "test") == nil)
        var empty = snapshot(6, joules: 1, busySeconds: 1)
        empty.components = [:]
        #expect(Footprint(cpuTime: .seconds(1), from: now, to: empty, cpus: nil, source: "test") == nil)
    }

    @Test func `emissions are energy times the zone's intensity`() throws {
        let zone = try #require(GridZone("FR"))
        let found = try #require(CountryIntensity.find(zone))
        let footprint = try #require(
            Footprint(
                cpuTime: .seconds(60),
                from: snapshot(0, joules: 0, busySeconds: 0),
                to: snapshot(60, joules: 3_600_000, busySeconds: 60),
                cpus: nil,
                source: "test",
                intensity: found.intensity,
                intensityHasLimits: found.hasLimits
            )
        )
        let emissions = try #require(footprint.emissions)
        #expect(abs(Double(emissions.bestMicrograms) / 1e6 - found.intensity.gramsPerKilowattHour) < 1e-3)
        #expect(found.intensity.zone == "FR")
        #expect(CountryIntensity.row(of: "XX", in: "zone,iso3\n") == nil)
        #expect(try CountryIntensity.find(#require(GridZone("US-CAL-CISO"))) == nil)
    }
}
