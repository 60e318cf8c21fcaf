import Energy

/// The model of the CPUs' power, for machines whose packages no sensor measures.
enum UtilisationSensor: Sensor {
    static let name = "model"
    static let rank = 100

    static func find(on host: SensorHost) -> SensorFindings {
        // An operator who states the whole machine's power knows better than the model of a part of it.
        let isStated = host.found.contains { $0.zone == .node && $0.quality == .modelled }
        guard !isStated, !host.found.contains(where: { [Zone.package, .psys, .module].contains($0.zone) }) else {
            let reason = isStated ? "the whole machine's power is stated" : "a sensor covers the packages"
            return SensorFindings(unused: [UnusedSensor(name: "model/cpu", reason: reason)])
        }
        do throws(SensorFault) {
            let model = try UtilisationMeter(roots: host.roots, match: host.powerTable.match(host.cpu))
            return SensorFindings(meters: [model], remarks: model.isKnownModel ? [] : [model.basis])
        } catch {
            return SensorFindings(unused: [UnusedSensor(name: "model/cpu", reason: error.description, remedy: error.remedy)])
        }
    }
}
