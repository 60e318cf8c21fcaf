import FuzzedSeries
import LibFuzzer
import Telemetry

/// Unpacked requests of remote write, of either version: a request or a fault that names a field, never a trap.
@main
enum RemoteWriteFuzz {
    static func main() {
        LibFuzzer.run { start, count in
            let bytes = Array(UnsafeBufferPointer(start: start, count: count))
            for version in [RemoteWriteRequest.Version.one, .two] {
                do throws(TelemetryFault) {
                    let request = try RemoteWriteRequest(bytes, version: version)
                    precondition(request.series.allSatisfy { !$0.name.isEmpty })
                    FuzzedSeries.check(request.series)
                } catch {
                    precondition(!error.field.isEmpty && !error.expected.isEmpty)
                }
            }
            return 0
        }
    }
}
