import Energy
import Store

/// What a job on a machine that nobody can meter is thought to have used: always `modelled`, never part of any host's accounts.
enum HostedModel {
    /// The account in which such energy stands.
    static let account = "hosted"

    /// Idle power for as long as the job took, and on top the rest of the class's power for the part of its vCPUs' time that the job used.
    ///
    /// The limits are those of the class: no mean power is thought to lie outside.
    ///
    /// - Parameter cpuTime: as the job posted it; without it the class's usual utilisation counts.
    static func energy(class hostClass: HostClass, duration: Microseconds, cpuTime: Microseconds?) -> (
        low: Energy, best: Energy, high: Energy
    ) {
        let duration = max(.zero, duration)
        let available = Double(duration.count) * hostClass.vcpus
        let utilisation =
            if let cpuTime, available > 0 { min(1, max(0, Double(cpuTime.count) / available)) } else { hostClass.utilisation }
        let power = Power(watts: hostClass.idle.watts + (hostClass.maximum.watts - hostClass.idle.watts) * utilisation)
        func energy(_ power: Power) -> Energy { Energy(rounding: power.microjoules(over: duration)) }
        return (energy(hostClass.low), energy(power), energy(hostClass.high))
    }
}
