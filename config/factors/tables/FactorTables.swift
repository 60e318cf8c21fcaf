/// The larger tables of factors, for programs that model machines nobody can meter. Agents do not carry them.
///
/// What each column means and where its figures come from is in `config/factors/README.md`.
public enum FactorTables {
    /// Types of virtual machines in clouds: vCPUs, the machine they run on, architecture.
    public static var cloudInstances: String { EmbeddedTables.cloud_instances }
    /// Regions of clouds: where they are, PUE, WUE.
    public static var cloudRegions: String { EmbeddedTables.cloud_regions }
    /// Watts of processor architectures, whole servers and GPUs.
    public static var cpuArchitectures: String { EmbeddedTables.cpu_architectures }
    /// Of which architecture a processor model is.
    public static var cpuModelFamilies: String { EmbeddedTables.cpu_model_families }
    /// What making a server's parts emits.
    public static var embodiedComponents: String { EmbeddedTables.embodied_components }
    /// Yearly intensity of electricity in parts of countries.
    public static var zoneIntensity: String { EmbeddedTables.zone_intensity }
    /// The checksum of each version of each table.
    public static var versions: String { EmbeddedTables.versions }

    /// All of them by file name.
    public static var all: [(file: String, text: String)] {
        [
            ("cloud_instances.csv", cloudInstances), ("cloud_regions.csv", cloudRegions), ("cpu_architectures.csv", cpuArchitectures),
            ("cpu_model_families.csv", cpuModelFamilies), ("embodied_components.csv", embodiedComponents), ("versions.csv", versions),
            ("zone_intensity.csv", zoneIntensity),
        ]
    }
}
