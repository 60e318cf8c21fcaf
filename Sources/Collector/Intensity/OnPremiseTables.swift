import Carbon
import CarbonDocuments
import FactorTables
import Factors

extension OnPremiseTables {
    private static let read = Result {
        try OnPremiseTables(
            architectures: rows("cpu_architectures.csv", FactorTables.cpuArchitectures),
            families: rows("cpu_model_families.csv", FactorTables.cpuModelFamilies),
            countries: rows("country_intensity.csv", Factors.countryIntensityCSV)
        )
    }

    /// Those that the program carries, read once.
    static func shipped() throws -> OnPremiseTables { try read.get() }

    private static func rows(_ name: String, _ text: String) throws -> FactorRows {
        let table = try CSVTable(parsing: text)
        return FactorRows(name: name, header: table.header, rows: table.rows)
    }
}
