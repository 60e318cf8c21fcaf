import Energy
import Meters

/// The model of this machine's processor: what its power is where nothing measures it.
struct LocalModel: Sendable {
    /// Watts of the CPUs that this machine has.
    var power: UtilisationModel
    /// Idle power of the whole packages, where the model's figures are known.
    var packagesIdle: UtilisationModel.Point?
    var cpus: Int
    var basis: String

    /// Looks the processor up in the table that is built in.
    static func find(roots: HostRoots = HostRoots()) -> Result<LocalModel, Unmeasurable> {
        do {
            let cpu = try CPUInfo(roots: roots)
            let match = try CPUPowerTable.builtIn().match(cpu)
            let meter = try UtilisationMeter(roots: roots, match: match)
            return .success(
                LocalModel(
                    power: match.perThread.times(Double(cpu.cpus)),
                    packagesIdle: match.row?.package.idle.times(Double(cpu.packages)),
                    cpus: cpu.cpus,
                    basis: meter.basis
                )
            )
        } catch {
            return .failure(Unmeasurable(description: "the processor could not be looked up: \(error)"))
        }
    }
}

extension UtilisationModel {
    fileprivate func times(_ factor: Double) -> UtilisationModel { UtilisationModel(idle: idle.times(factor), full: full.times(factor)) }
}

extension UtilisationModel.Point {
    fileprivate func times(_ factor: Double) -> UtilisationModel.Point {
        UtilisationModel.Point(
            low: Power(watts: low.watts * factor),
            best: Power(watts: best.watts * factor),
            high: Power(watts: high.watts * factor)
        )
    }
}
