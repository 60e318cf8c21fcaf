import Energy
import Telemetry
import TestSupport
import Testing

@Suite struct RemoteWriteTests {
    static let series: [RemoteWritePayload.Series] = [
        (
            [("__name__", "node_rapl_package_joules_total"), ("index", "0"), ("instance", "bremusa:9100")],
            [(1234.5, 1_788_253_200_000), (1250, 1_788_253_215_000)]
        ),
        ([("__name__", "up"), ("instance", "bremusa:9100")], [(1, 1_788_253_200_000)]),
    ]

    @Test func bothVersionsSayTheSame() throws {
        let one = try RemoteWriteRequest(RemoteWritePayload.one(Self.series), version: .one)
        let two = try RemoteWriteRequest(RemoteWritePayload.two(Self.series, kind: 0), version: .two)
        #expect(one == two)
        #expect(one.samples == 3)
        #expect(one.series[0].name == "node_rapl_package_joules_total")
        #expect(one.series[0].labels == ["index": "0", "instance": "bremusa:9100"])
        #expect(one.series[0].samples.map(\.value) == [1234.5, 1250])
        #expect(one.series[0].samples[1].time == Timestamp(microseconds: 1_788_253_215_000_000))
    }

    @Test func version2CarriesKindUnitAndTheTimeTheCountBegan() throws {
        let bytes = RemoteWritePayload.two(Self.series, kind: 1, unit: "joules", createdMs: 1_788_000_000_000)
        let request = try RemoteWriteRequest(bytes, version: .two)
        #expect(request.series.allSatisfy { $0.kind == .counter && $0.unit == "joules" })
        #expect(request.series[0].samples[0].startedAt == Timestamp(microseconds: 1_788_000_000_000_000))
    }

    @Test func aStaleMarkerIsKnownFromOtherNaNs() throws {
        let stale = Double(bitPattern: 0x7FF0_0000_0000_0002)
        let bytes = RemoteWritePayload.one([([("__name__", "x")], [(stale, 1), (.nan, 2)])])
        let samples = try RemoteWriteRequest(bytes, version: .one).series[0].samples
        #expect(samples.map(\.isStale) == [true, false])
    }

    @Test func symbolsThatAreNotThereAreNamed() throws {
        let bytes = ProtobufBytes.make {
            $0.text(4, "")
            $0.message(5) { $0.packed(1, [7, 8]) }
        }
        let fault = #expect(throws: TelemetryFault.self) { try RemoteWriteRequest(bytes, version: .two) }
        #expect(fault?.field == "timeseries[0].labels_refs")
        #expect(fault?.expected == "a number below 1, how many symbols there are")
    }

    @Test func aSeriesWithoutANameIsRefused() {
        let bytes = RemoteWritePayload.one([([("instance", "a")], [(1, 1)])])
        let fault = #expect(throws: TelemetryFault.self) { try RemoteWriteRequest(bytes, version: .one) }
        #expect(fault?.field == "timeseries[0].labels")
    }

    /// Whatever is done to the bytes, the answer is a request or a fault that names a field.
    @Test func damagedBytesNeverTrap() {
        var random = RandomSource(seed: 6)
        let whole = [RemoteWritePayload.one(Self.series), RemoteWritePayload.two(Self.series, unit: "joules", createdMs: 5)]
        for _ in 0..<LongRun.rounds(short: 20_000, long: 500_000) {
            var bytes = whole[random.next(below: 2)]
            switch random.next(below: 3) {
            case 0: bytes.removeLast(random.next(below: bytes.count + 1))
            case 1: for _ in 0...random.next(below: 4) { bytes[random.next(below: bytes.count)] ^= UInt8(1 << random.next(below: 8)) }
            default:
                bytes.insert(
                    contentsOf: (0..<random.next(below: 9)).map { _ in UInt8(random.next(below: 256)) },
                    at: random.next(below: bytes.count)
                )
            }
            for version in [RemoteWriteRequest.Version.one, .two] {
                do throws(TelemetryFault) {
                    let request = try RemoteWriteRequest(bytes, version: version)
                    #expect(request.series.allSatisfy { !$0.name.isEmpty })
                } catch { #expect(!error.field.isEmpty) }
            }
        }
    }

    @Test func aStartAtWhichNoCountBeganIsNotKnown() throws {
        for ms in [-9_000_000_000_000_000, 9_000_000_000_000_000, -1] as [Int64] {
            let two = try RemoteWriteRequest(RemoteWritePayload.two(Self.series, createdMs: ms), version: .two)
            #expect(two.series[0].samples.allSatisfy { $0.startedAt == nil })
            let one = ProtobufBytes.make { request in
                request.message(1) { series in
                    series.message(1) {
                        $0.text(1, "__name__")
                        $0.text(2, "x")
                    }
                    series.message(2) {
                        $0.double(1, 1)
                        $0.signed(2, 1_788_253_200_000)
                        $0.signed(3, ms)
                    }
                }
            }
            #expect(try RemoteWriteRequest(one, version: .one).series[0].samples[0].startedAt == nil)
        }
    }

    @Test func aRequestOfTheOtherVersionIsRefused() {
        let pairs: [([UInt8], RemoteWriteRequest.Version, String)] = [
            (RemoteWritePayload.one(Self.series), .two, "field 1, which is of prometheus.WriteRequest"),
            (RemoteWritePayload.two(Self.series), .one, "field 4, which is of io.prometheus.write.v2.Request"),
        ]
        for (bytes, version, found) in pairs {
            let fault = #expect(throws: TelemetryFault.self) { try RemoteWriteRequest(bytes, version: version) }
            #expect(fault?.found == found)
        }
    }

    /// Fields of no bytes.
    private static func fields(_ key: UInt8, _ n: Int) -> [UInt8] { (0..<(2 * n)).map { $0 % 2 == 0 ? key : 0 } }

    @Test func moreThanARequestMayHoldIsRefusedBeforeItIsUnpacked() {
        let series = Self.fields(0x0A, 637_000)
        let samples = ProtobufBytes.make {
            $0.raw(1, Self.fields(0x12, TelemetryLimits.samples + 1))
        }
        let labels = ProtobufBytes.make {
            $0.raw(1, Self.fields(0x0A, TelemetryLimits.labels + 1))
        }
        let references = ProtobufBytes.make {
            $0.text(4, "")
            $0.message(5) { $0.raw(1, Array(repeating: 0, count: 2 * TelemetryLimits.labels + 1)) }
        }
        let symbols = Self.fields(0x22, TelemetryLimits.labels + 1)
        let cases: [([UInt8], RemoteWriteRequest.Version, String, String)] = [
            (series, .one, "timeseries", "637000"), (samples, .one, "timeseries.samples", "200001"),
            (labels, .one, "timeseries.labels", "1000001"), (references, .two, "timeseries[0].labels_refs", "more"),
            (symbols, .two, "symbols", "1000001"),
        ]
        for (bytes, version, field, found) in cases {
            let fault = #expect(throws: TelemetryFault.self) { try RemoteWriteRequest(bytes, version: version) }
            #expect(fault?.field == field)
            #expect(fault?.found == found)
            #expect(fault?.expected.hasPrefix("at most") == true)
        }
    }
}
