/// One way in which the simulated world differs from what the engine is told of it.
public enum NoiseFamily: String, Sendable, CaseIterable {
    /// Everything is as the engine takes it to be: linear power, a floor that is known, cgroups that are read at both ends.
    case asModelled = "as_modelled"
    /// Power grows more slowly than load: X to the power of 0.7.
    case concave
    /// Two threads share a core: the second half of the load costs a third of the first, and a job's CPU time is worth 1 or 0.65.
    case smt
    /// What a job does with a second of CPU differs from phase to phase by a factor with heavy tails; so do the moments of reading.
    case heavyTails = "heavy_tails"
    /// The sensor's scale moves by 1 % a half hour, at random.
    case drift
    /// The idle floor that the engine is told is 20 % off, either way.
    case wrongFloor = "wrong_floor"
    /// The CI server's clock wanders by up to seconds against the host's, which nobody says.
    case changingSkew = "changing_skew"
    /// Jobs are thousands of processes of a tenth of a second to a second.
    case compileStorm = "compile_storm"
    /// Counters of 16 bits fewer than the energy of an hour: they turn every few minutes.
    case wraps
    /// Nobody measures for stretches of half a minute to ten minutes; counters and cgroups go on.
    case outages
    /// A BMC counts the whole node every 10 s; fans and losses are a part of each job's energy.
    case nodeMeter = "node_meter"
    /// Jobs have no cgroup of their own: webhooks of 1 s resolution are all that is known of them.
    case webhookOnly = "webhook_only"
    /// No meter at all: utilisation and a table whose powers are off by about 15 %.
    case utilisation

    public var explanation: String {
        switch self {
        case .asModelled: "linear power, known floor, cgroups"
        case .concave: "power grows as load^0.7"
        case .smt: "hyperthreads: CPU time is worth 1 or 0.65, power bends at half load"
        case .heavyTails: "power per CPU time differs per phase (log-normal, sigma 0.5), late readings (Student t, 2)"
        case .drift: "the sensors' scale wanders 1 % per half hour"
        case .wrongFloor: "the floor the engine is told is 20 % off"
        case .changingSkew: "CI's clock wanders by seconds"
        case .compileStorm: "jobs are processes of 0.1 to 1 s"
        case .wraps: "400 W on counters of 65.5 kJ"
        case .outages: "nobody reads for 30 s to 10 min"
        case .nodeMeter: "BMC every 10 s; truth includes fans and losses"
        case .webhookOnly: "no cgroup: webhooks of 1 s, equal slots"
        case .utilisation: "no meter: utilisation and a table that is 15 % off"
        }
    }
}
