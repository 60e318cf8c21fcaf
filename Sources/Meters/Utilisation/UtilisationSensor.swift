import Energy

/// The model of the CPUs' power, for machines whose packages no sensor measures.
enum UtilisationSensor: Sensor {
    static let name = "model"
    static let rank = 100

    static func find(on host: SensorHost) -> SensorFindings {
        guard !host.found.contains(where: { [Zone.package, .psys, .module].contains($0.zone) }) else {
            return SensorFindings(unused: [UnusedSensor(name: "model/cpu", reason: "a sensor covers the packages")])
        }
        do throws(SensorFault) {
            let model = try UtilisationMeter(roots: host.roots, match: host.powerTable.match(host.cpu))
            return SensorFindings(meters: [model], remarks: model.isKnownModel ? [] : [model.basis])
        } catch {
            return SensorFindings(unused: [UnusedSensor(name: "model/cpu", reason: error.description, remedy: error.remedy)])
        }
    }
}
