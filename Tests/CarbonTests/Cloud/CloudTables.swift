import Carbon
import Factors
import Foundation

/// The shipped tables and the project's neighbours, by their place beside this file.
enum CloudTables {
    private static let project = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../..").standardizedFileURL

    static func rows(_ name: String) throws -> FactorRows {
        try rows(at: project.appendingPathComponent("config/factors/tables/\(name)"))
    }

    static func rows(at url: URL) throws -> FactorRows {
        let table = try CSVTable(parsing: String(decoding: try Data(contentsOf: url), as: UTF8.self))
        return FactorRows(name: url.lastPathComponent, header: table.header, rows: table.rows)
    }

    /// Nil, with a word about it, where the folder of development data is not beside the project.
    static func shared(_ path: String) -> URL? {
        let url = project.appendingPathComponent("../shared/\(path)").standardizedFileURL
        guard FileManager.default.fileExists(atPath: url.path) else {
            print("skipped: ../shared/\(path) is not there")
            return nil
        }
        return url
    }

    static let shipped = Result {
        try CCFModel(CloudCatalogue(instances: rows("cloud_instances.csv"), architectures: rows("cpu_architectures.csv")))
    }

    static func families() throws -> CPUModelFamilies { try CPUModelFamilies(rows("cpu_model_families.csv")) }
}
