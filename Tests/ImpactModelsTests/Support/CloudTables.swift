import Carbon
import ImpactModels

/// The few machines that the examples are of, with the published plugin's figures: watts per hardware thread are means over SPECpower_ssj2008
/// results, embodied mass is 1000 kg + 510.79 kg of memory + 100 kg for the second socket.
enum CloudTables {
    static let model: CCFModel = {
        let instances = FactorRows(
            name: "instances",
            header: [
                "vendor", "type", "vcpus", "reserved_vcpus", "platform_vcpus", "platform_vcpus_upstream", "architecture",
                "platform_embodied_kg",
                "memory_gb", "platform_gpus", "flags", "version",
            ],
            rows: [["aws", "m5n.large", "2", "2", "96", "96", "Cascade Lake", "1610.79", "8", "0", "", "ccf-2023"]]
        )
        let architectures = FactorRows(
            name: "architectures",
            header: ["scope", "vendor", "architecture", "least_w", "most_w", "version"],
            rows: [["vcpu", "aws", "Cascade Lake", "0.6389493581523519", "3.9673047343937564", "ccf-2023"]]
        )
        do {
            return CCFModel(try CloudCatalogue(instances: instances, architectures: architectures))
        } catch {
            preconditionFailure("the test's own table: \(error)")
        }
    }()

    static let sources = ModelSources(cloud: model)
}
