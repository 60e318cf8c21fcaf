import FactorTables
import FactorsCheck
import Foundation
import Testing

@Suite("The tables that are shipped")
struct ShippedFactorsTests {
    /// As `wattle factors check` has them.
    static let tables = FactorsCheck.shipped([
        .init(file: "cloud_instances.csv", text: FactorTables.cloudInstances),
        .init(file: "cloud_regions.csv", text: FactorTables.cloudRegions),
        .init(file: "cpu_architectures.csv", text: FactorTables.cpuArchitectures),
        .init(file: "cpu_model_families.csv", text: FactorTables.cpuModelFamilies),
        .init(file: "embodied_components.csv", text: FactorTables.embodiedComponents),
        .init(file: "versions.csv", text: FactorTables.versions),
        .init(file: "zone_intensity.csv", text: FactorTables.zoneIntensity),
    ])

    @Test("nothing is wrong with them, and no version was changed in place")
    func clean() {
        let findings = FactorsCheck.findings(in: Self.tables)
        #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
    }

    @Test("what the program carries is what the files say, byte by byte, and no file is left out")
    func embedded() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../config/factors")
            .standardizedFileURL
        let places = [folder, folder.appendingPathComponent("tables")]
        let files = try places.flatMap { try FileManager.default.contentsOfDirectory(at: $0, includingPropertiesForKeys: nil) }
            .filter { $0.pathExtension == "csv" }
        #expect(Set(files.map(\.lastPathComponent)) == Set(Self.tables.map(\.file)))
        for file in files {
            let text = String(decoding: try Data(contentsOf: file), as: UTF8.self)
            #expect(Self.tables.first { $0.file == file.lastPathComponent }?.text == text, "\(file.lastPathComponent)")
        }
    }
}
