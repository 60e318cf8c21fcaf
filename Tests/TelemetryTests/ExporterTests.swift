import Energy
import Telemetry
import Testing

/// What each exporter's series become by the shipped table. The lines are written by hand after each exporter's source and documentation:
/// node_exporter 1.5 (collector/rapl_linux.go, hwmon_linux.go, cpu_linux.go), Scaphandre 1.0 (docs/references/metrics.md), Kepler 0.11
/// (docs/user/metrics.md) and 0.7, ipmi_exporter 1.10 (collector_dcmi.go, collector_ipmi.go), CEEMS 0.10 (pkg/collector/rapl.go,
/// ipmi_dcmi.go), dcgm-exporter 4 (default-counters.csv), Clarke 0.1 (its Prometheus gauges).
@Suite struct ExporterTests {
    private func outcomes(_ text: String, labels: [String: String] = ["instance": "bremusa:9100"]) throws -> [String: SeriesOutcome] {
        let rules = try ShippedTable.rules()
        let scraped = Timestamp(microseconds: 1_788_253_200_000_000)
        var series = try Exposition(Array(text.utf8), format: .text, scrapedAt: scraped).series
        for i in series.indices { series[i].labels.merge(labels) { own, _ in own } }
        var info = SeriesInfo()
        _ = rules.noteInfo(series, in: &info)
        var result: [String: SeriesOutcome] = [:]
        for one in series {
            let own = one.labels.filter { labels[$0.key] == nil }.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            result["\(one.name){\(own.joined(separator: ","))}"] = rules.map(one, info)
        }
        return result
    }

    /// Name, zone, package and quality of what is mapped; what happens to the rest.
    private func shown(_ text: String, labels: [String: String] = ["instance": "bremusa:9100"]) throws -> [String] {
        try outcomes(text, labels: labels).map { key, outcome in
            switch outcome {
            case .mapped(let mapped):
                let meter = mapped.meter
                let value = mapped.readings.first?.value.map { "\($0)" } ?? "nothing"
                switch meter.kind {
                case .hostBusy: return "\(mapped.hostName) \(meter.name) \(mapped.part) \(value)"
                case .energy(let place):
                    let which = place.package.map { " \($0)" } ?? ""
                    return "\(mapped.hostName) \(meter.name): \(place.zone)\(which) \(meter.reading) \(meter.quality) \(value)"
                }
            case .ignored: return "ignored \(key.prefix { $0 != "{" })"
            case .info: return "info"
            case .unmapped(let reason): return "\(reason.rawValue) \(key.prefix { $0 != "{" })"
            }
        }.sorted()
    }

    @Test func nodeExportersRAPLIsMetersAndTheTwinIsNot() throws {
        let text = """
            node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0"} 24034.130286
            node_rapl_package_joules_total{index="1",path="/sys/class/powercap/intel-rapl:1"} 1.5
            node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl-mmio:0"} 24034.1
            node_rapl_dram_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0:1"} 262143.32885
            node_rapl_psys_joules_total{index="0",path="/sys/class/powercap/intel-rapl:2"} 3
            node_memory_MemFree_bytes 4
            """
        #expect(
            try shown(text) == [
                "bremusa node_exporter/rapl/dram-0: dram 0 counter measured 262143328850",
                "bremusa node_exporter/rapl/package-0: package 0 counter measured 24034130286",
                "bremusa node_exporter/rapl/package-1: package 1 counter measured 1500000",
                "bremusa node_exporter/rapl/psys: psys counter measured 3000000", "ignored node_rapl_package_joules_total",
                "no_rule node_memory_MemFree_bytes",
            ]
        )
    }

    @Test func hwmonIsChosenByTheChipsNameAndTheSensorsLabel() throws {
        let text = """
            node_hwmon_chip_names{chip="platform_ibmpowernv_0",chip_name="ibmpowernv"} 1
            node_hwmon_chip_names{chip="nvme_nvme0",chip_name="nvme"} 1
            node_hwmon_sensor_label{chip="platform_ibmpowernv_0",label="System",sensor="power1"} 1
            node_hwmon_sensor_label{chip="platform_ibmpowernv_0",label="Fan",sensor="power2"} 1
            node_hwmon_sensor_label{chip="platform_ibmpowernv_0",label="Chip 8 ",sensor="power8"} 1
            node_hwmon_power_watt{chip="platform_ibmpowernv_0",sensor="power1"} 426
            node_hwmon_power_watt{chip="platform_ibmpowernv_0",sensor="power2"} 30
            node_hwmon_power_watt{chip="platform_ibmpowernv_0",sensor="power8"} 157
            node_hwmon_power_watt{chip="nvme_nvme0",sensor="power1"} 3
            """
        #expect(
            try shown(text) == [
                "bremusa node_exporter/hwmon/ibmpowernv-Chip 8 : package 8 power sampled 157000000",
                "bremusa node_exporter/hwmon/ibmpowernv-system: node power sampled 426000000", "info",
                "info", "info", "info", "info", "no_match node_hwmon_power_watt", "no_match node_hwmon_power_watt",
            ]
        )
    }

    @Test func busyTimeIsTheSumOfTheBusyModesOfEachCPU() throws {
        let text = """
            node_cpu_seconds_total{cpu="0",mode="user"} 12.25
            node_cpu_seconds_total{cpu="0",mode="idle"} 1000
            node_cpu_seconds_total{cpu="1",mode="iowait"} 3
            node_cpu_seconds_total{cpu="1",mode="system"} 0.5
            """
        #expect(
            try shown(text) == [
                "bremusa node_exporter/host-busy 0/user 12250000", "bremusa node_exporter/host-busy 1/system 500000",
                "ignored node_cpu_seconds_total", "ignored node_cpu_seconds_total",
            ]
        )
    }

    @Test func scaphandresSocketsCountAndItsSumsDoNot() throws {
        let text = """
            # TYPE scaph_socket_energy_microjoules gauge
            scaph_socket_energy_microjoules{socket_id="0"} 123456789
            scaph_domain_energy_microjoules{domain_id="2",domain_name="dram",socket_id="0"} 1000
            scaph_host_energy_microjoules 123457789
            scaph_host_power_microwatts 50000000
            scaph_process_power_consumption_microwatts{pid="1"} 7
            """
        #expect(
            try shown(text) == [
                "bremusa scaphandre/dram-0: dram 0 counter measured 1000",
                "bremusa scaphandre/socket-0: package 0 counter measured 123456789", "ignored scaph_host_energy_microjoules",
                "ignored scaph_host_power_microwatts", "ignored scaph_process_power_consumption_microwatts",
            ]
        )
    }

    @Test func keplersZonesCountAndTheFiguresMadeOfThemDoNot() throws {
        let text = """
            kepler_node_cpu_joules_total{zone="package",path="/sys/class/powercap/intel-rapl:0",node_name="miranda"} 100
            kepler_node_cpu_joules_total{zone="core",node_name="miranda"} 60
            kepler_node_cpu_active_joules_total{zone="package",node_name="miranda"} 40
            kepler_platform_watts{source="redfish",node_name="miranda"} 231.5
            kepler_node_package_joules_total{package="0",mode="idle",node_name="miranda"} 5
            kepler_container_joules_total{node_name="miranda"} 5
            """
        #expect(
            try shown(text) == [
                "ignored kepler_container_joules_total", "ignored kepler_node_cpu_active_joules_total",
                "ignored kepler_node_cpu_joules_total", "miranda kepler/package-0: package 0 counter measured 5000000",
                "miranda kepler/package: package counter measured 100000000",
                "miranda kepler/platform-redfish: node power sampled 231500000",
            ]
        )
    }

    @Test func boardsControllersAreTheMachineAsAWhole() throws {
        let text = """
            ipmi_dcmi_power_consumption_watts 234
            ipmi_power_watts{id="90",name="Pwr Consumption"} 238
            ipmi_power_watts{id="91",name="PS1 Power In"} 120
            ceems_ipmi_dcmi_current_watts 301
            ceems_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0"} 2
            Clarke_meter_watts 250
            Clarke_meter_intensity 120
            """
        #expect(
            try shown(text) == [
                "bremusa ceems/dcmi: node power sampled 301000000", "bremusa ceems/rapl/package-0: package 0 counter measured 2000000",
                "bremusa clarke/watts: node power sampled 250000000", "bremusa ipmi_exporter/dcmi: node power sampled 234000000",
                "bremusa ipmi_exporter/sensor-Pwr Consumption: node power sampled 238000000", "ignored Clarke_meter_intensity",
                "ignored ipmi_power_watts",
            ]
        )
    }

    @Test func aMachinesNameForItselfNamesNoMachine() throws {
        for (instance, expected) in [
            ("localhost:9100", "no_host Clarke_meter_watts"), ("127.0.0.1:9100", "no_host Clarke_meter_watts"),
            ("[::1]:9100", "no_host Clarke_meter_watts"), ("http://bmc-7.example.org/redfish", "bmc-7.example.org clarke/watts"),
            ("[2001:db8::7]:9100", "2001:db8::7 clarke/watts"), ("10.0.0.7:9100", "10.0.0.7 clarke/watts"),
        ] {
            let found = try shown("Clarke_meter_watts 250", labels: ["instance": instance])
            #expect(found.first?.hasPrefix(expected) == true, "\(instance): \(found)")
        }
        // A label that is meant to name the host comes before the scrape's address.
        #expect(try shown("Clarke_meter_watts 250", labels: ["instance": "x:1", "host": "miranda"]).first?.hasPrefix("miranda") == true)
    }

    @Test func unitsComeFromTheRowTheSenderOrTheNamesEnd() {
        for (name, unit) in [
            ("x_joules_total", SeriesUnit.energy(microjoules: 1e6)), ("x_microjoules", .energy(microjoules: 1)),
            ("x_watts", .power(microwatts: 1e6)), ("x_power_milliwatts", .power(microwatts: 1e3)),
            ("x_energy_Wh", .energy(microjoules: 3.6e9)),
            ("x_kwh_total", .energy(microjoules: 3.6e12)), ("x_seconds_total", .time(microseconds: 1e6)),
        ] { #expect(SeriesUnit(suffixOf: name) == unit, "\(name)") }
        #expect(SeriesUnit(suffixOf: "x_bytes_total") == nil)
        #expect(SeriesUnit("mW") == .power(microwatts: 1e3))
        #expect(SeriesUnit("MW") == .power(microwatts: 1e12))
    }

    @Test func anOperatorsRowsComeFirstAndCountInTheirTimes() throws {
        let own = try MeterRules(
            json: ShippedTable.json(
                """
                rules:
                  - {name: mine, series: node_rapl_package_joules_total, hosts: ["brem*"], until: 2026-10-01, meter: "p{index}", zone: package,
                     counter_range_j: 262143.328850}
                """
            )
        ).before(ShippedTable.rules())
        func name(_ host: String, _ day: Int64) -> String? {
            let sample = TelemetrySample(
                time: Timestamp(microseconds: 1_788_253_200_000_000) + Microseconds(day * Microseconds.day.count),
                value: 1
            )
            let series = TelemetrySeries(
                name: "node_rapl_package_joules_total",
                labels: ["index": "0", "host": host],
                samples: [sample]
            )
            guard case .mapped(let mapped) = own.map(series) else { return nil }
            return "\(mapped.meter.name) \(mapped.meter.counterRange.map { "\($0)" } ?? "-")"
        }
        #expect(name("bremusa", 0) == "mine/p0 262143328850")
        #expect(name("bremusa", 40) == "node_exporter/rapl/package-0 -")
        #expect(name("miranda", 0) == "node_exporter/rapl/package-0 -")
    }

    @Test func aBadTableSaysWhere() throws {
        for (yaml, expected) in [
            ("rules: [{name: a}]", "rule a: expected the key series, found none"),
            ("rules: [{name: a, series: b, meter: c, zone: attic}]", "rule a, zone: expected one of core, dram, gpu,"),
            ("rules: [{name: a, series: b, meter: \"{c\", zone: node}]", "expected {label} in {c"),
            ("rules: [{name: a, series: b, unit: furlong, meter: c, zone: node}]", "rule a, unit: expected J, mJ,"),
            ("rule: []", "the file: expected one of builtin"),
        ] {
            let fault = #expect(throws: MeterRules.Fault.self) { try MeterRules(json: ShippedTable.json(yaml)) }
            #expect(fault?.description.hasPrefix(expected) == true, "\(fault?.description ?? "")")
        }
    }
}
