/// What one request may hold: what is unpacked of it takes many times its bytes.
///
/// Prometheus sends 2,000 samples at a time, vmagent 10,000, an OpenTelemetry collector 8,192 data points.
public enum TelemetryLimits {
    /// Data points of OTLP too, each of which is a series here.
    public static let series = 100_000
    public static let samples = 200_000
    /// Of all series together; also symbols of remote write 2.0.
    public static let labels = 1_000_000

    static func check(_ found: Int, _ most: Int, _ field: @autoclosure () -> String) throws(TelemetryFault) {
        guard found <= most else {
            throw TelemetryFault(field: field(), expected: "at most \(most) in one request; send smaller ones", found: "\(found)")
        }
    }
}
