import Energy
import FuzzedSeries
import LibFuzzer
import Telemetry

/// What a scraped target may answer, in both formats: series or a fault that names the line, never a trap.
@main
enum ExpositionFuzz {
    static func main() {
        LibFuzzer.run { start, count in
            let bytes = Array(UnsafeBufferPointer(start: start, count: count))
            for format in [Exposition.Format.text, .openMetrics] {
                do throws(TelemetryFault) {
                    let read = try Exposition(bytes, format: format, scrapedAt: Timestamp(microseconds: 1_788_253_200_000_000))
                    precondition(read.series.allSatisfy { !$0.name.isEmpty && $0.samples.count == 1 })
                    FuzzedSeries.check(read.series)
                } catch {
                    precondition(error.field.hasPrefix("line "))
                }
            }
            return 0
        }
    }
}
