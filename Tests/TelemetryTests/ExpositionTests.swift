import Energy
import Telemetry
import TestSupport
import Testing

@Suite struct ExpositionTests {
    static let now = Timestamp(microseconds: 1_788_253_200_000_000)

    /// As node_exporter 1.5 prints it, shortened by hand.
    static let node = """
        # HELP node_rapl_package_joules_total Current RAPL package value in joules
        # TYPE node_rapl_package_joules_total counter
        node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0"} 24034.130286
        # TYPE node_hwmon_chip_names gauge
        node_hwmon_chip_names{chip="platform_power_meter_0",chip_name="power_meter"} 1
        node_odd{label="a \\"quoted\\\\ value\\nof two lines"} +Inf 1788253199000

        # HELP node_load1 1m load average.
        # TYPE node_load1 gauge
        node_load1 0.5
        """

    @Test func theTextFormatIsRead() throws {
        let series = try Exposition(Array(Self.node.utf8), format: .text, scrapedAt: Self.now).series
        #expect(series.count == 4)
        #expect(series[0].kind == .counter)
        #expect(series[0].labels["path"] == "/sys/class/powercap/intel-rapl:0")
        #expect(series[0].samples == [TelemetrySample(time: Self.now, value: 24034.130286)])
        #expect(series[2].labels["label"] == "a \"quoted\\ value\nof two lines")
        #expect(series[2].samples[0].value == .infinity)
        #expect(series[2].samples[0].time == Timestamp(microseconds: 1_788_253_199_000_000))
    }

    @Test func openMetricsHasUnitsCreatedTimesAndAnEnd() throws {
        let text = """
            # TYPE hw_energy_joules counter
            # UNIT hw_energy_joules joules
            hw_energy_joules_total{hw_id="0"} 17.0 1788253200.5 # {trace="x"} 1 2
            hw_energy_joules_created{hw_id="0"} 1788253100
            # EOF
            """
        let series = try Exposition(Array(text.utf8), format: .openMetrics, scrapedAt: Self.now).series
        #expect(series.count == 1)
        #expect((series[0].kind, series[0].unit) == (.counter, "joules"))
        #expect(series[0].samples[0].time == Timestamp(microseconds: 1_788_253_200_500_000))
        #expect(series[0].samples[0].startedAt == Timestamp(microseconds: 1_788_253_100_000_000))
        #expect(throws: TelemetryFault.self) {
            try Exposition(Array(text.utf8.dropLast(5)), format: .openMetrics, scrapedAt: Self.now)
        }
    }

    @Test func aBadLineIsNamed() {
        for (line, expected) in [
            ("x{a=1} 2", "a value in quotes"), ("x{a=\"1\",a=\"2\"} 2", "each label once"), ("x two", "a number"),
            ("1x 2", "the name of a series"),
            ("x{a=\"1\" 2", ", or }"), ("x 1 soon", "a time"),
        ] {
            let fault = #expect(throws: TelemetryFault.self) {
                try Exposition(Array("a 1\n\(line)\n".utf8), format: .text, scrapedAt: Self.now)
            }
            #expect(fault?.field == "line 2", "\(line)")
            #expect(fault?.expected == expected, "\(line)")
        }
    }

    @Test func damagedTextNeverTraps() {
        var random = RandomSource(seed: 62)
        for _ in 0..<LongRun.rounds(short: 5_000, long: 200_000) {
            var text = Array(Self.node.utf8)
            for _ in 0...random.next(below: 5) { text[random.next(below: text.count)] = UInt8(random.next(below: 256)) }
            for format in [Exposition.Format.text, .openMetrics] {
                do throws(TelemetryFault) {
                    _ = try Exposition(text, format: format, scrapedAt: Self.now)
                } catch { #expect(!error.field.isEmpty) }
            }
        }
    }

    @Test func aCreatedTimeAtWhichNoCountBeganIsNotKnown() throws {
        for created in ["1e300", "9e12"] {
            let text = "# TYPE x counter\nx_total 1\nx_created \(created)\n# EOF\n"
            let read = try Exposition(Array(text.utf8), format: .openMetrics, scrapedAt: Timestamp(microseconds: 1_788_253_200_000_000))
            #expect(read.series.map { $0.samples[0].startedAt } == [nil])
        }
    }
}
