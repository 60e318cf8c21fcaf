import Carbon
import Energy
import Foundation
import Testing

/// The published code's own numbers, recomputed; where it is wrong, what is right.
@Suite("The CCF model answers as published where that is right")
struct CCFVectorTests {
    typealias Fields = [String: Any]

    static func vectors(_ name: String) throws -> [Fields]? {
        guard let url = CloudTables.shared("vectors/ccf.json") else { return nil }
        let all = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? Fields)
        return try #require(all[name] as? [Fields])
    }

    static func close(_ a: Double, _ b: Double) -> Bool { a == b || abs(a - b) <= 1e-12 * max(abs(a), abs(b)) }

    /// The shipped table with the measured points that are not shipped.
    static func withPoints() throws -> CCFModel? {
        guard let url = CloudTables.shared("data/cloud_instances.csv") else { return nil }
        var header = "vendor,type,vcpus,reserved_vcpus,platform_vcpus,platform_vcpus_upstream,architecture".split(separator: ",")
        header += "platform_embodied_kg,memory_gb,platform_gpus,flags,version,w_idle,w_10,w_50,w_100".split(separator: ",")
        let rows = try CloudTables.rows(at: url).needing(["w_idle"]).filter { $0.text("source") == "if-ccf-2023" }.map { row in
            [
                "vendor", "instance_type", "vcpus", "", "platform_max_vcpus", "", "architecture", "embodied_kgco2e", "memory_gb",
                "platform_gpus",
            ]
            .map { row.text($0) } + ["", "ccf-2023"] + ["w_idle", "w_10", "w_50", "w_100"].map { row.text($0) }
        }
        return CCFModel(
            try CloudCatalogue(
                instances: FactorRows(name: "with points", header: header.map(String.init), rows: rows),
                architectures: try CloudTables.rows("cpu_architectures.csv")
            )
        )
    }

    @Test("every vector within 1e-12, the corrected values where the published ones are wrong")
    func vectors() throws {
        guard let vectors = try Self.vectors("vectors"), let withPoints = try Self.withPoints() else { return }
        let shipped = try CloudTables.shipped.get()
        var compared = 0
        for vector in vectors where vector["do_not_match"] as? Bool != true {
            let id = try #require(vector["id"] as? String)
            let vendorName = try #require(vector["vendor"] as? String)
            guard let vendor = CloudVendor(name: vendorName) else {
                #expect(vector["error"] != nil, "\(id)")
                continue
            }
            let utilisation = try #require(vector["cpu_util"] as? Double)
            let curve = try #require(CloudObservation.Curve(rawValue: vector["interpolation"] as? String ?? ""))
            let observation = CloudObservation(
                vendor: vendor,
                instanceType: try #require(vector["instance_type"] as? String),
                durationSeconds: try #require(vector["duration_s"] as? Double),
                utilisationPercent: utilisation,
                curve: curve,
                lifetimeYears: try #require(vector["lifespan_years"] as? Double)
            )
            let model = curve == .spline ? withPoints : shipped
            // The published code computes any utilisation; only its own rules do.
            let rules: CCFModel.Rules = (0...100).contains(utilisation) ? .mended : .upstream
            if vector["error"] != nil {
                #expect(throws: CloudModelError.self, "\(id)") { try model.estimate(observation, rules: rules) }
                continue
            }
            let answer = try model.estimate(observation, rules: rules)
            let energy = try #require((vector["energy_kwh_corrected"] ?? vector["energy_kwh"]) as? Double, "\(id)")
            #expect(Self.close(answer.energy.kilowattHours, energy), "\(id): \(answer.energy.kilowattHours), not \(energy)")
            if let embodied = (vector["embodied_g_corrected"] ?? vector["embodied_g"]) as? Double {
                let mass = answer.embodied.mass?.grams ?? .nan
                #expect(Self.close(mass, embodied), "\(id): \(mass), not \(embodied)")
            }
            compared += 1
        }
        #expect(compared >= 45)
    }

    @Test("every type of both lists: vCPUs by the watts, and the machine by the share, as they were gathered from upstream")
    func everyType() throws {
        guard let url = CloudTables.shared("data/cloud_instances.csv") else { return }
        let model = try CloudTables.shipped.get()
        let versions = ["if-ccf-2023": "ccf-2023", "ccf-coef-2026": "ccf-2026"]
        var compared = 0
        for row in try CloudTables.rows(at: url).needing(["instance_type"]) {
            let name = "\(row.text("vendor")) \(row.text("instance_type")) \(row.text("source"))"
            guard let vendor = CloudVendor(name: row.text("vendor")), let version = versions[row.text("source")],
                let least = Double(row.text("min_watts_instance")), let most = Double(row.text("max_watts_instance"))
            else { continue }
            let observation = CloudObservation(
                vendor: vendor,
                instanceType: row.text("instance_type"),
                durationSeconds: 3_600,
                utilisationPercent: 30
            )
            let answer = try model.estimate(observation, versions: [version])
            #expect(Self.close(answer.power.watts, least + (most - least) * 0.3), "\(name): \(answer.power.watts) W")
            compared += 1
            // Of types with switched-off vCPUs the machine is another one here.
            guard !row.text("flags").contains("vcpus-fraction"), let mass = Double(row.text("embodied_kgco2e")),
                let platform = Double(row.text("platform_max_vcpus_fixed")) ?? Double(row.text("platform_max_vcpus"))
            else { continue }
            let expected = mass * 1_000 / 35_040 * answer.vcpus / platform
            #expect(Self.close(answer.embodied.mass?.grams ?? .nan, expected), "\(name): \(answer.embodied)")
        }
        #expect(compared > 2_500)
    }

    @Test("under the upstream rules the published errors come back")
    func upstream() throws {
        guard let vectors = try Self.vectors("vectors") else { return }
        let model = try CloudTables.shipped.get()
        for vector in vectors where vector["embodied_g_corrected"] != nil || vector["upstream_energy"] != nil {
            let observation = CloudObservation(
                vendor: try #require(CloudVendor(name: vector["vendor"] as? String ?? "")),
                instanceType: try #require(vector["instance_type"] as? String),
                durationSeconds: try #require(vector["duration_s"] as? Double),
                utilisationPercent: try #require(vector["cpu_util"] as? Double)
            )
            if vector["upstream_energy"] != nil {
                #expect(throws: CloudModelError.self) { try model.estimate(observation, rules: .upstream) }
            } else {
                let mass = try model.estimate(observation, rules: .upstream).embodied.mass?.grams ?? .nan
                #expect(Self.close(mass, try #require(vector["embodied_g"] as? Double)))
            }
        }
    }

    @Test("the application's terms, with PUE once")
    func application() throws {
        guard let vectors = try Self.vectors("ccf_app") else { return }
        for vector in vectors {
            func number(_ name: String) throws -> Double { try #require(vector[name] as? Double, "\(vector["id"] ?? ""): \(name)") }
            let kind = try #require(vector["kind"] as? String)
            let perKilowattHour = try number("t_per_kwh") * 1e6
            var energy: ITEnergy?
            switch kind {
            case "compute":
                energy = CloudUsage.compute(
                    vcpuHours: try number("vcpu_hours"),
                    watts: ArchitectureWatts(least: Power(watts: try number("min_watts")), most: Power(watts: try number("max_watts"))),
                    utilisationPercent: try number("avg_cpu_util"),
                    replication: try number("replication")
                )
            case "storage-ssd", "storage-hdd":
                energy = CloudUsage.storage(
                    terabyteHours: try number("tb_hours"),
                    on: kind == "storage-ssd" ? .ssd : .hdd,
                    replication: try number("replication")
                )
            case "embodied":
                let mass = CloudUsage.embodied(
                    machine: CO2e(kilograms: try number("te_t") * 1_000),
                    hours: try number("hours"),
                    vcpus: try number("instance_vcpus"),
                    largestVCPUs: try number("largest_instance_vcpus"),
                    lifetimeHours: try number("lifespan_h")
                )
                #expect(Self.close(mass.tonnes, try number("co2e_t")))
            default: Issue.record("a kind of vector that is not compared: \(kind)")
            }
            guard let energy else { continue }
            let facility = try #require(PUE(try number("pue"))).facility(of: energy)
            #expect(Self.close(facility.kilowattHours, try number("kwh")), "\(kind)")
            #expect(Self.close(facility.emissions(gramsPerKilowattHour: perKilowattHour).tonnes, try number("co2e_t")), "\(kind)")
        }
    }

    @Test("machines of one's own, known and unknown processors")
    func onPremise() throws {
        guard let vectors = try Self.vectors("ccf_onprem") else { return }
        let model = try OnPremiseModel(architectures: try CloudTables.rows("cpu_architectures.csv"), families: try CloudTables.families())
        for vector in vectors {
            func number(_ name: String) throws -> Double { try #require(vector[name] as? Double, "\(vector["id"] ?? ""): \(name)") }
            let cpu = try #require(vector["cpu"] as? String)
            let answer = model.estimate(
                OnPremiseModel.Machine(
                    cpuDescription: cpu,
                    memoryGigabytes: try number("memory_gb"),
                    utilisationPercent: try number("cpu_util"),
                    pue: PUE(try number("pue")),
                    meanPower: (vector["average_watts"] as? Double).map { Power(watts: $0) }
                ),
                hours: try number("uptime_h")
            )
            let expected = try number("kwh")
            #expect(
                Self.close(answer.facility.kilowattHours, expected),
                "\(vector["id"] ?? ""): \(answer.facility.kilowattHours), not \(expected)"
            )
            #expect((answer.match == .average) == cpu.contains("Amber"))
        }
    }
}
