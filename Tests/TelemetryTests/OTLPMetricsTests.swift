import Energy
import Telemetry
import TestSupport
import Testing

/// The same request in both forms, as an OpenTelemetry SDK exports hw.energy and hw.power (semantic conventions, hardware, 1.3x).
@Suite struct OTLPMetricsTests {
    static let start: UInt64 = 1_788_253_000_000_000_000
    static let time: UInt64 = 1_788_253_200_000_000_000

    static let protobuf = ProtobufBytes.make { request in
        request.message(1) { resource in
            resource.message(1) { Self.attribute(1, "host.name", "bremusa", &$0) }
            resource.message(2) { scope in
                scope.message(2) { metric in
                    metric.text(1, "hw.energy")
                    metric.text(3, "J")
                    metric.message(7) { sum in
                        sum.message(1) { point in
                            Self.attribute(7, "hw.id", "cpu-0", &point)
                            Self.attribute(7, "hw.type", "cpu", &point)
                            point.fixed64(2, start)
                            point.fixed64(3, time)
                            point.fixed64(6, 4711)
                        }
                        sum.number(2, 2)
                        sum.number(3, 1)
                    }
                }
                scope.message(2) { metric in
                    metric.text(1, "hw.power")
                    metric.text(3, "W")
                    metric.message(5) { gauge in
                        gauge.message(1) { point in
                            Self.attribute(7, "hw.type", "memory", &point)
                            point.fixed64(3, time)
                            point.double(4, 12.5)
                        }
                    }
                }
            }
        }
    }

    static let json = """
        {"resourceMetrics": [{"resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "bremusa"}}]},
          "scopeMetrics": [{"metrics": [
            {"name": "hw.energy", "unit": "J", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
              {"attributes": [{"key": "hw.id", "value": {"stringValue": "cpu-0"}}, {"key": "hw.type", "value": {"stringValue": "cpu"}}],
               "startTimeUnixNano": "1788253000000000000", "timeUnixNano": "1788253200000000000", "asInt": "4711"}]}},
            {"name": "hw.power", "unit": "W", "gauge": {"dataPoints": [
              {"attributes": [{"key": "hw.type", "value": {"stringValue": "memory"}}], "timeUnixNano": "1788253200000000000", "asDouble": 12.5}]}}
          ]}]}]}
        """

    private static func attribute(_ field: UInt64, _ key: String, _ value: String, _ bytes: inout ProtobufBytes) {
        bytes.message(field) {
            $0.text(1, key)
            $0.message(2) { $0.text(1, value) }
        }
    }

    @Test func protobufAndJSONSayTheSame() throws {
        let one = try OTLPMetrics(protobuf: Self.protobuf)
        let two = try OTLPMetrics(json: Array(Self.json.utf8))
        #expect(one == two)
        #expect(one.points == 2)
        let energy = one.series[0]
        #expect((energy.name, energy.kind, energy.unit) == ("hw.energy", .counter, "J"))
        #expect(energy.labels == ["host.name": "bremusa", "hw.id": "cpu-0", "hw.type": "cpu"])
        #expect(energy.samples.map(\.value) == [4711])
        #expect(energy.samples[0].startedAt == Timestamp(microseconds: 1_788_253_000_000_000))
        #expect(one.series[1].kind == .gauge)
    }

    @Test func deltasAreToldFromCountsAndSumsThatFallFromBoth() throws {
        func kind(_ temporality: String, _ isMonotonic: Bool) throws -> TelemetrySeries.Kind {
            let text = Self.json.replacing("\"aggregationTemporality\": 2", with: "\"aggregationTemporality\": \(temporality)")
                .replacing("\"isMonotonic\": true", with: "\"isMonotonic\": \(isMonotonic)")
            return try OTLPMetrics(json: Array(text.utf8)).series[0].kind
        }
        #expect(try kind("1", true) == .delta)
        #expect(try kind("\"AGGREGATION_TEMPORALITY_DELTA\"", true) == .delta)
        #expect(try kind("2", false) == .gauge)
        let text = Self.json.replacing("\"aggregationTemporality\": 2", with: "\"aggregationTemporality\": 0")
        let odd = try OTLPMetrics(json: Array(text.utf8))
        #expect(odd.reason?.field == "metrics(hw.energy).sum.aggregation_temporality")
        // The other metric is taken.
        #expect(odd.rejected == 1 && odd.series.map(\.name) == ["hw.power"])
    }

    @Test func aPointWithoutATimeIsRejectedByName() throws {
        let text = Self.json.replacing("\"timeUnixNano\": \"1788253200000000000\", \"asInt\"", with: "\"asInt\"")
        let odd = try OTLPMetrics(json: Array(text.utf8))
        #expect(odd.reason?.field == "metrics(hw.energy).sum.dataPoints.time_unix_nano")
        #expect(odd.rejected == 1 && odd.points == 2 && odd.series.count == 1)
        for (body, field) in [
            (#"{"resourceMetrics": [7]}"#, "resourceMetrics"),
            (#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [null]}]}]}"#, "metrics"),
            (#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "a\u0000"}]}]}]}"#, "metrics.name"),
        ] {
            let odd = try OTLPMetrics(json: Array(body.utf8))
            #expect(odd.reason?.field == field && odd.rejected == 1 && odd.series.isEmpty)
        }
        #expect(throws: TelemetryFault.self) { try OTLPMetrics(json: Array("[1]".utf8)) }
        #expect(throws: TelemetryFault.self) { try OTLPMetrics(json: Array(#"{"resourceMetrics": 1}"#.utf8)) }
    }

    @Test func damagedBytesNeverTrap() {
        var random = RandomSource(seed: 61)
        for _ in 0..<LongRun.rounds(short: 10_000, long: 300_000) {
            var (bytes, text) = (Self.protobuf, Array(Self.json.utf8))
            for _ in 0...random.next(below: 4) {
                bytes[random.next(below: bytes.count)] = UInt8(random.next(below: 256))
                text[random.next(below: text.count)] = UInt8(random.next(below: 128))
            }
            if random.chance(0.3) { bytes.removeLast(random.next(below: bytes.count)) }
            do throws(TelemetryFault) { _ = try OTLPMetrics(protobuf: bytes) } catch { #expect(!error.field.isEmpty) }
            do throws(TelemetryFault) { _ = try OTLPMetrics(json: text) } catch { #expect(!error.field.isEmpty) }
        }
    }

    @Test func moreThanARequestMayHoldIsRefusedInBothForms() {
        let points = ProtobufBytes.make { request in
            request.message(2) { scope in
                scope.message(2) { metric in
                    metric.raw(5, Array(repeating: [UInt8(0x0A), 0x00], count: TelemetryLimits.series + 1).flatMap { $0 })
                }
            }
        }
        let one = #expect(throws: TelemetryFault.self) { try OTLPMetrics(protobuf: ProtobufBytes.make { $0.raw(1, points) }) }
        #expect(one?.found == "100001" && one?.field == "metrics.data_points")
        let point = #"{"timeUnixNano": "1788253200000000000", "asInt": "1"}"#
        let list = Array(repeating: point, count: TelemetryLimits.series + 1).joined(separator: ",")
        let json = #"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "x", "gauge": {"dataPoints": [\#(list)]}}]}]}]}"#
        let two = #expect(throws: TelemetryFault.self) { try OTLPMetrics(json: Array(json.utf8)) }
        #expect(two?.expected.hasPrefix("at most 100000 in one request") == true)
    }

    /// The sender's unit is that of its values; one that nobody knows, or of another quantity, leaves nothing to go by.
    @Test func theSendersUnitIsTheOneThatCounts() throws {
        let rules = try ShippedTable.rules()
        func first(_ unit: String) throws -> String {
            let text = Self.json.replacing("\"hw.energy\", \"unit\": \"J\"", with: "\"hw.energy\", \"unit\": \"\(unit)\"")
            switch rules.map(try OTLPMetrics(json: Array(text.utf8)).series[0]) {
            case .mapped(let mapped): return "\(mapped.readings[0].value ?? -1)"
            case .unmapped(let reason): return reason.rawValue
            default: return "else"
            }
        }
        let found = try ["", "J", "kJ", "MJ", "mJ", "uJ", "Wh", "kWh", "joules"].map(first)
        #expect(
            found == [
                "4711000000", "4711000000", "4711000000000", "4711000000000000", "4711000", "4711", "16959600000000", "16959600000000000",
                "4711000000",
            ]
        )
        #expect(try ["BTU", "W", "s", "1"].map(first) == ["no_unit", "no_unit", "no_unit", "no_unit"])
    }
}

extension RandomSource {
    mutating func next(below limit: Int) -> Int { Int.random(in: 0..<max(1, limit), using: &self) }
}
