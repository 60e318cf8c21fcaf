public import Carbon
public import Energy

/// How wrong a meter itself may be, as the standard deviation of the logarithm of one factor that all it counts is off by. These are our
/// choices, at the careful end of what published comparisons with external meters found; a farm that has compared its own meters knows
/// better. `docs/methodology.md`, "Uncertainty", has the table with the sources.
public enum MeterAccuracy {
    /// A meter of which nothing is known: the largest default.
    public static let unknown = 0.30
    /// An idle floor of which nothing is known.
    public static let unknownFloor = 0.20

    /// - Parameters:
    ///   - sensor: the sensor's name as the agent says it (`powercap`), or the foreign source's.
    ///   - boundRatios: for a model the least and the most that the truth can be of it; taken as its 95 % interval.
    public static func errorRatio(
        sensor: String,
        zone: Zone,
        quality: Quality,
        boundRatios: (low: Double, high: Double) = (1, 1)
    ) -> Double {
        guard quality < .modelled else { return modelErrorRatio(sensor: sensor, boundRatios: boundRatios) }
        guard quality == .measured || quality == .sampled else { return unknown }
        switch sensor {
        case "powercap", "msr":
            switch zone {
            // Haswell and later measure the package (Hackenberg et al. 2015; Khan et al. 2018); AMD's is a model that misses what depends
            // on data (Schöne et al. 2021). The two are not told apart here.
            case .package, .module: return 0.05
            // Memory follows a meter in its supply lines but for an offset that differs by machine, worst at idle; better on servers
            // (Desrochers et al. 2016).
            case .dram: return 0.10
            // Never compared with a meter of its own.
            case .psys, .io, .core, .uncore: return 0.10
            case .node, .gpu: return unknown
            }
        // The board's sensor is off in proportion, differs by board, and on A100 and H100 sees a quarter of the time (Yang et al. 2024,
        // 70 boards against external meters).
        case "nvml": return quality == .measured ? 0.05 : 0.10
        // Shunts and hot-swap controllers of 1 to 5 %; nobody compared each board.
        case "hwmon": return 0.05
        // A board's controller against a meter at the plug: a few percent under load, more where it averages and rounds to 4 W or more
        // (Kavanagh et al. 2016).
        case "ipmi", "redfish": return 0.06
        // A plug, a PDU: its own class is 1 % or 2 %; which it is nobody says.
        case "exec", "prometheus", "otlp": return zone == .node ? 0.05 : 0.10
        default: return unknown
        }
    }

    /// Power by utilisation: the table's own spread, else what such models are found to be off by on machines they were not fitted to
    /// (Rivoire et al. 2008: means of 10 to 20 %; the linear form Fan et al. 2007).
    private static func modelErrorRatio(sensor: String, boundRatios: (low: Double, high: Double)) -> Double {
        let (low, high) = boundRatios
        guard low > 0, high > low, high.isFinite else {
            // Somebody said what the machine draws.
            return sensor == "const" ? 0.15 : unknown
        }
        return max(0.10, (high - low) / (2 * ErrorMoments.z95))
    }
}

/// What is known of the overhead of buildings.
public enum PUEAccuracy {
    /// Standard deviation of a stated overhead (PUE less 1) as a part of it: a yearly mean, over seasons and load.
    public static let overheadErrorRatio = 0.10
    /// The mean of what operators report (Uptime Institute, Global Data Center Survey 2023: 1.58); the high end where nobody said.
    public static let average = 1.58
}

extension ShareMethod {
    /// Standard deviation of the logarithm of a part's odds against the rest: how far the energy of two jobs may be from their processor
    /// time (or what stands for it).
    public var errorRatio: Double {
        switch self {
        // Two loads on one processor draw up to a third apart for the same time: by instructions, vector units, and who shares a core.
        case .measured: 0.21
        // The same, and the client's clock and what it does not count.
        case .measuredClient: 0.25
        // What a job says it takes and what it uses differ by a factor of two, either way, as often as not.
        case .declared: 0.55
        // Nothing is known: one job of two may have used a fifth or four fifths.
        case .equal: 0.80
        }
    }
}

extension Intensity.Kind {
    /// Standard deviation of the logarithm where the source states no limits.
    public var errorRatio: Double {
        switch self {
        case .actual: 0.05
        case .estimated: 0.10
        case .forecast: 0.12
        // An hour of a year goes from a third to twice the mean.
        case .yearly: 0.30
        }
    }
}

/// What flowed in a gap, around a host's or a span's own mean power.
public enum GapAccuracy {
    /// Standard deviation of the logarithm: within a factor of 2 of the mean power in 95 % of cases, ln 2 / 1.96.
    public static let logErrorRatio = 0.353_6

    /// The same of what is kept as a standard deviation in µJ, that is `sqrt(exp(sigma²) - 1)` of the amount; the default where none was.
    static func logErrorRatio(deviation: Double, of amount: Double) -> Double {
        guard deviation > 0, amount > 0 else { return logErrorRatio }
        let ratio = deviation / amount
        return ElementaryFunctions.log(1 + ratio * ratio).squareRoot()
    }
}
