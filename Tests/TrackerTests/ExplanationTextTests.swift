import Foundation
import TestSupport
import Testing
@testable import Tracker

/// An explanation in print can be redone by hand.
@Suite struct ExplanationTextTests {
    /// What a collector answers for a job of ten minutes with a quarter of a host of four CPUs, half busy.
    private static func answer(policy: String = "reserved", idle: String = "3000000000", total: String = "27000000000") -> String {
        """
        {"id": "01j7xk2m4nq8rv5tw9yz3abcde", "key": "ci/-/1/1", "job": "build", "state": "final", "policy": "\(policy)",
         "statement": {"sha256": "sha256:00ff", "document": {}},
         "span": {"accounted_from": "2026-09-01T09:10:00Z", "accounted_to": "2026-09-01T09:20:00Z", "seconds": 600, "owned_by": null,
          "not_owned_because": "no_cgroup", "cgroups": []},
         "host": {"name": "bremusa", "cpus": 4, "slots": null},
         "meters": [{"name": "powercap/intel-rapl:0", "component": "cpu", "quality": "measured", "idle_w": 20, "error_ratio": 0.05}],
         "slices": [{"component": "cpu", "from": "2026-09-01T09:10:00Z", "to": "2026-09-01T09:20:00Z", "seconds": 600,
          "metered_seconds": 600, "quality": "measured", "share_method": "declared", "cpu_share_mean": 0.25, "detail": "stretches",
          "flags": [], "dynamic_uj": "24000000000", "idle_uj": "\(idle)", "uj": "\(total)", "pue": 1.2,
          "intensity": {"zone": "FR", "g_per_kwh": 44.2, "kind": "yearly", "basis": "lifecycle/average/production", "provider": "p",
           "version": "2024 shipped"}, "co2e_g": \((Double(total) ?? 0) * 1.2 * 44.2 / 3.6e12),
          "host": {"energy_j": 60000, "idle_floor_j": 12000, "dynamic_j": 48000, "idle_floor_scale": 1,
           "meters": [{"name": "powercap/intel-rapl:0", "at_from_j": 60000, "at_to_j": 120000, "energy_j": 60000, "metered_seconds": 600,
            "idle_w": 20}]},
          "stretch_count": 1, "share_effective": 0.5, "idle_part_effective": 0.25, "part_effective": 0.45,
          "stretches": [{"from": "2026-09-01T09:10:00Z", "seconds": 600, "energy_j": 60000, "idle_floor_j": 12000, "dynamic_j": 48000,
           "busy": 0.5, "busy_counted": 0.5, "measured": 0, "agent": 0, "remainder": 0.5, "weights": 0.25, "own": 0.25,
           "own_is": "weight", "jobs": 1, "jobs_with_slot": 1, "reserved": 0.25, "reserved_by_all": 0.25, "shares_of_all": 0.5,
           "share": 0.5, "idle_part": \((Double(idle) ?? 0) / 12e9), "own_dynamic_j": 24000, "own_idle_j": \((Double(idle) ?? 0) / 1e6)}]}],
         "totals": {"dynamic_uj": "24000000000", "idle_uj": "\(idle)", "uj": "\(total)", "bound_low_kwh": 0.0067, "bound_high_kwh": 0.0094,
          "co2e_g": 0.3978, "co2e_low_g": 0.3, "co2e_high_g": 0.5},
         "errors": [{"key": "share", "of": "2026-09-01T09:00:00Z, cpu", "sigma_j": 3456.7}],
         "missing": []}
        """
    }

    private static func text(_ json: String) throws -> String {
        ExplanationText.text(try JSONDecoder().decode(Explanation.self, from: Data(json.utf8)))
    }

    @Test func whatContractsMakingAndWaterAddCanBeRedoneToo() throws {
        let terms = """
            "terms": {"site": "orsay", "market_g_per_kwh": 24, "market_g": 0.216, "reserved_seconds": 150, "embodied_g_per_h": 27.397260274,
             "embodied_g": 1.141552511, "wue_l_per_kwh": 0.4, "water_l": 0.003}, "host":
            """
        let text = try Self.text(Self.answer().replacing(#""host": {"energy_j""#, with: terms + #" {"energy_j""#))
        let equations = Equations(text)
        #expect(equations.faults == [], "\(text)")
        #expect(text.contains("  by contracts: 27000 J / 3600000 x 1.2 x 24 g/kWh = 0.216 g  (market-based, of the site orsay)\n"))
        #expect(text.contains("  making the machine: 27.397260274 g x 150 s / 3600 = 1.141552511 g  (what an hour"))
        #expect(text.contains("  its water: 27000 J / 3600000 x 0.4 l = 0.003 l  (litres for a kWh, of the site orsay)\n"))
    }

    @Test func aJobOfOneHourIsTwoDozenLines() throws {
        #expect(
            try Self.text(Self.answer()) == """
                build, ci/-/1/1
                on bremusa (4 CPUs)
                from 2026-09-01T09:10:00Z to 2026-09-01T09:20:00Z, 600 s
                no cgroup of its own: no_cgroup
                policy reserved; final
                statement sha256:00ff
                meter powercap/intel-rapl:0: cpu, measured, idle 20 W, itself off by 5 % (one standard deviation)

                2026-09-01T09:10:00Z to 2026-09-01T09:20:00Z, cpu, 600 s
                  host, powercap/intel-rapl:0: 120000 J - 60000 J = 60000 J  (its curve at the end and at the start)
                  host, idle floor: 20 W x 600 s = 12000 J
                  host, dynamic: 60000 J - 12000 J = 48000 J
                  left to share out: 0.5 - 0 - 0 = 0.5  (busy part, less measured jobs, less the agent; 1 job ran)
                  its share: 0.5 / 0.5 x 0.25 / max(0.25, 0.5) = 0.5  (what is left by busy, times its weight by all weights or what is left)
                  its dynamic: 48000 J x 0.5 = 24000 J
                  its part of idle: 0.25 / max(1, 0.25) = 0.25  (what it reserved of the host, by what all did)
                  its idle: 12000 J x 0.25 = 3000 J
                  its energy: 24000 J + 3000 J = 27000 J  (dynamic and idle)
                  its CO2e: 27000 J / 3600000 x 1.2 x 44.2 g/kWh = 0.3978 g  (J in a kWh, PUE, intensity of FR: yearly, lifecycle/average/production, p 2024 shipped)

                In all
                  energy: 24000 J + 3000 J = 27000 J  (dynamic and idle; 27000000000 µJ)
                  energy: 27000 J / 3600000 = 0.0075 kWh
                  energy, hard limits 0.0067 to 0.0094 kWh
                  CO2e, location-based, 0.3978 g, within 0.3 to 0.5 g
                What makes it uncertain, one standard deviation each
                  3456.7 J share 2026-09-01T09:00:00Z, cpu

                """
        )
    }

    @Test(arguments: [("reserved", "3000000000", "27000000000"), ("busy", "12000000000", "36000000000"), ("dynamic", "0", "24000000000")])
    func everyPrintedEquationHolds(policy: String, idle: String, total: String) throws {
        let text = try Self.text(Self.answer(policy: policy, idle: idle, total: total))
        let equations = Equations(text)
        #expect(equations.count >= 9, "\(text)")
        #expect(equations.faults == [], "\(text)")
    }

    @Test func anEquationThatDoesNotHoldIsFound() {
        #expect(Equations("  a: 2 J x 3 + 1 J = 7 J  (so)\n  b: 6 J / 4 x 2 = 3 J\n  c: -1 J - (2 - 4) x max(1, 0.5) = 1 J").faults == [])
        #expect(Equations("  a: 1.2345 / 3 = 0.4115").faults == [])
        for wrong in ["  a: 2 J x 3 = 7 J", "  a: 48000 J x 0.5 = 24000.01 J", "  a: 1 + = 1", "  a: 1.2345 / 3 = 0.4119"] {
            #expect(Equations(wrong).faults.count == 1, "\(wrong)")
        }
    }
}
