import Energy

/// CEEMS 0.10.2, recording rule for hosts with IPMI or Redfish: CPU and DRAM are 0.9 of the host's power, split by RAPL's ratio of package
/// to DRAM, then by CPU time and by memory; 0.1 of it is split equally among the units.
///
/// The 0.9 and 0.1 are a fixed text constant that the operator may edit. The host's power is the reading of the BMC at the scrape. Every 15
/// s, `sum_over_time(power > 0) * scrape_interval`, as `CEEMSRAPLRule`.
public enum CEEMSIPMIRule: PeerTool {
    public static let name = "CEEMS, IPMI rule"
    public static let sampling = "15 s scrapes"
    public static let leavesIdleOut = false
    static let interval = Microseconds.seconds(15)

    public static func scope(on host: SimulatedHost) -> EnergyScope { .node }

    /// The rule itself, W.
    public static func watts(
        hostWatts: Double,
        packageWatts: Double,
        dramWatts: Double,
        unitCPUTime: Double,
        busyCPUTime: Double,
        unitMemory: Double,
        usedMemory: Double,
        units: Int
    ) -> Double {
        let inner = packageWatts + dramWatts
        guard inner > 0 else { return 0 }
        let cpu = 0.9 * hostWatts * packageWatts / inner
        let dram = 0.9 * hostWatts * dramWatts / inner
        return cpu * (busyCPUTime > 0 ? unitCPUTime / busyCPUTime : 0)
            + dram * (usedMemory > 0 ? unitMemory / usedMemory : 0)
            + 0.1 * hostWatts / Double(max(1, units))
    }

    public static func joules(on host: SimulatedHost) -> [Int64: Double]? {
        guard host.draw.hasNodeMeter, host.draw.hasCgroups else { return nil }
        var joules: [Int64: Double] = [:]
        for look in UnitScrape.all(on: host, every: interval, stream: 32) {
            for unit in look.units {
                let power = watts(
                    hostWatts: host.nodeWatts(at: look.time),
                    packageWatts: look.packageWatts,
                    dramWatts: look.dramWatts,
                    unitCPUTime: unit.cpuTime,
                    busyCPUTime: look.busyCPUTime,
                    unitMemory: unit.memory,
                    usedMemory: look.usedMemory,
                    units: look.unitCount
                )
                if power > 0 { joules[unit.job, default: 0] += power * interval.seconds }
            }
        }
        return joules
    }
}
