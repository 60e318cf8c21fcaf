import Energy

/// A constant power, for machines that have no sensor but somebody who knows: `const:250`.
enum ConstantSensor: Sensor {
    static let name = "const"
    /// After everything that measures, before the model that it stands in for.
    static let rank = 90
    static let options = [
        SensorOption("watts", help: "watts of the machine (250), or of zones (node=250,dram=12,package:1=95)")
    ]

    static func find(on host: SensorHost) -> SensorFindings {
        guard let text = host.option("watts", of: self) else { return SensorFindings() }
        var meters: [ConstantMeter] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let meter = meter(part), !meters.contains(where: { $0.place.name == meter.place.name }) else {
                let zones = Zone.allCases.map(\.rawValue).joined(separator: ", ")
                let fault = OptionFault(
                    name: "const.watts",
                    expected: "watts above 0, or zone=watts and zone:package=watts with each zone once, of \(zones)",
                    found: text
                )
                return SensorFindings(unused: [fault.unused])
            }
            meters.append(meter)
        }
        return SensorFindings(meters: meters)
    }

    private static func meter(_ text: Substring) -> ConstantMeter? {
        let sides = text.split(separator: "=", omittingEmptySubsequences: false).map { HwmonText.trimmed($0) }
        guard let last = sides.last, sides.count <= 2, let watts = Double(last), watts.isFinite, watts > 0, watts <= 1e7 else { return nil }
        var zone = Zone.node
        var package: Int?
        if sides.count == 2 {
            let parts = sides[0].split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, let known = parts.first.flatMap({ Zone(rawValue: String($0)) }) else { return nil }
            zone = known
            if parts.count == 2 {
                guard let number = Int(parts[1]), number >= 0 else { return nil }
                package = number
            }
        }
        let name = "const/\(zone.rawValue)\(package.map { "-\($0)" } ?? "")"
        return ConstantMeter(place: MeterPlace(name: name, zone: zone, package: package, quality: .modelled), power: Power(watts: watts))
    }

    /// Watts as they are configured: no more decimals than needed.
    static func text(of power: Power) -> String { SecondsText.short(power.watts) }
}
