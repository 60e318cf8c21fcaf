import FuzzedSeries
import LibFuzzer
import Telemetry

/// OTLP requests for metrics in both forms: points or a fault that names a field, never a trap.
@main
enum OTLPFuzz {
    static func main() {
        LibFuzzer.run { start, count in
            let bytes = Array(UnsafeBufferPointer(start: start, count: count))
            let isJSON = bytes.first == UInt8(ascii: "{")
            do throws(TelemetryFault) {
                let metrics = isJSON ? try OTLPMetrics(json: bytes) : try OTLPMetrics(protobuf: bytes)
                precondition(metrics.series.count + metrics.rejected == metrics.points)
                FuzzedSeries.check(metrics.series)
            } catch {
                precondition(!error.field.isEmpty && !error.expected.isEmpty)
            }
            return 0
        }
    }
}
