/// The tables that the programs carry, so that they work without a network and without files beside them.
///
/// What each column means, where its figures come from and what they cannot tell is in `config/factors/README.md`.
public enum Factors {
    /// Idle and full power of CPU packages by model name, in watts, with low and high.
    public static var cpuPowerCSV: String {
        String(decoding: PackageResources.cpu_power_csv, as: UTF8.self)
    }

    /// Yearly carbon intensity of electricity by country, in gCO2e/kWh, and the world's average.
    public static var countryIntensityCSV: String {
        String(decoding: PackageResources.country_intensity_csv, as: UTF8.self)
    }

    /// Power of hosted CI machines by class, in watts, with low and high.
    public static var hostClassesCSV: String {
        String(decoding: PackageResources.host_classes_csv, as: UTF8.self)
    }
}
