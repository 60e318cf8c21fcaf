import Carbon
import FactorTables
import Factors

/// The tables of clouds that the program carries, read once, at the first job that needs them.
struct CloudTables: Sendable {
    let model: CCFModel
    let regions: CloudRegions

    private static let read = Result { try CloudTables() }

    /// - Throws: where a shipped table cannot be read; a test reads every row.
    static func shipped() throws -> CloudTables { try read.get() }

    private init() throws {
        model = CCFModel(
            try CloudCatalogue(
                instances: Self.rows("cloud_instances.csv", FactorTables.cloudInstances),
                architectures: Self.rows("cpu_architectures.csv", FactorTables.cpuArchitectures)
            )
        )
        regions = try CloudRegions(Self.rows("cloud_regions.csv", FactorTables.cloudRegions))
    }

    private static func rows(_ name: String, _ text: String) throws -> FactorRows {
        let table = try CSVTable(parsing: text)
        return FactorRows(name: name, header: table.header, rows: table.rows)
    }
}
