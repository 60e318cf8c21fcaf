import Simulation
import Testing

/// Each peer's formula against an example worked by hand.
@Suite("Peers' formulas")
struct PeerFormulaTests {
    private func near(_ a: Double, _ b: Double) -> Bool { abs(a - b) < 1e-9 * max(1, abs(b)) }

    @Test func ceemsGivesTheWholePackagePowerToWhoeverWasBusy() {
        // 100 W of packages, 20 W of DRAM; a unit with 3 of 4 busy CPU seconds and 2 of 8 GB: 75 + 5 W, and 1.5 times that with a PUE of 1.5.
        let watts = CEEMSRAPLRule.watts(
            packageWatts: 100,
            dramWatts: 20,
            unitCPUTime: 3,
            busyCPUTime: 4,
            unitMemory: 2e9,
            usedMemory: 8e9
        )
        #expect(near(watts, 80))
        let withPUE = CEEMSRAPLRule.watts(
            packageWatts: 100,
            dramWatts: 20,
            unitCPUTime: 3,
            busyCPUTime: 4,
            unitMemory: 2e9,
            usedMemory: 8e9,
            pue: 1.5
        )
        #expect(near(withPUE, 120))
        #expect(CEEMSRAPLRule.watts(packageWatts: 50, dramWatts: 0, unitCPUTime: 0, busyCPUTime: 0, unitMemory: 0, usedMemory: 0) == 0)
    }

    @Test func prometheusTakesAFallForARestartFromZero() {
        #expect(near(CEEMSRAPLRule.rate(from: 100, to: 400, seconds: 15), 20))
        // 262,143 before its end and 60 after it: what was left to the end is lost.
        #expect(near(CEEMSRAPLRule.rate(from: 1_000_000, to: 60, seconds: 15), 4))
    }

    @Test func ceemsSplitsNineTenthsOfTheNodeByRAPLsRatioAndATenthEqually() {
        // 200 W: 180 W as 3 to 1: 135 W by CPU time (half), 45 W by memory (a tenth); 20 W among 4 units.
        let watts = CEEMSIPMIRule.watts(
            hostWatts: 200,
            packageWatts: 90,
            dramWatts: 30,
            unitCPUTime: 5,
            busyCPUTime: 10,
            unitMemory: 1e9,
            usedMemory: 10e9,
            units: 4
        )
        #expect(near(watts, 67.5 + 4.5 + 5))
    }

    @Test func keplerBillsActiveEnergyByCPUTimeAmongProcesses() {
        // 1,000 J in a window, the node 40 % busy: 400 J active; a process with 2 of 8 CPU seconds has 100 J.
        #expect(near(Kepler.energy(zone: 1_000, busyRatio: 0.4, cpuTime: 2, allCPUTime: 8), 100))
        #expect(Kepler.energy(zone: 1_000, busyRatio: 0, cpuTime: 0, allCPUTime: 0) == 0)
    }

    @Test func scaphandreGivesAProcessItsPartOfAllCores() {
        // 160 W on 16 cores; a process that fills two of them (200 %): 20 W.
        #expect(near(Scaphandre.watts(hostWatts: 160, cpuPercent: 200, cores: 16), 20))
    }

    @Test func codeCarbonsMachineModeIsACubeOfTheLoad() {
        // Its own points: 0 %: 0.10, 25 %: 0.114, 50 %: 0.2125, 75 %: 0.48, 100 %: 1.0 of the TDP.
        for (load, part) in [(0.0, 0.1), (0.5, 0.2125), (1, 1)] {
            #expect(near(CodeCarbonMachineLoad.watts(thermalDesignWatts: 200, load: load), 200 * part))
        }
        #expect(abs(CodeCarbonMachineLoad.watts(thermalDesignWatts: 1, load: 0.25) - 0.114) < 0.0005)
        #expect(abs(CodeCarbonMachineLoad.watts(thermalDesignWatts: 1, load: 0.75) - 0.48) < 0.0005)
    }

    @Test func codeCarbonsProcessModeIsLinearAndHasNoFloor() {
        // 6 CPU seconds in 3 s on 8 CPUs with a TDP of 80 W: a quarter of it.
        #expect(near(CodeCarbonProcess.watts(thermalDesignWatts: 80, cpuTime: 6, wallTime: 3, cpus: 8), 20))
        #expect(CodeCarbonProcess.watts(thermalDesignWatts: 80, cpuTime: 0, wallTime: 3, cpus: 8) == 0)
    }
}
