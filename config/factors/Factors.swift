/// The tables that the programs carry, so that they work without a network and without files beside them.
///
/// What each column means, where its figures come from and what they cannot tell is in `config/factors/README.md`.
public enum Factors {
    /// Idle and full power of CPU packages by model name, in watts, with low and high.
    public static var cpuPowerCSV: String { EmbeddedTables.cpu_power }

    /// Yearly carbon intensity of electricity by country, in gCO2e/kWh, and the world's average.
    public static var countryIntensityCSV: String { EmbeddedTables.country_intensity }

    /// Power of hosted CI machines by class, in watts, with low and high.
    public static var hostClassesCSV: String { EmbeddedTables.host_classes }
}
