import FactorTables
import FactorsCheck
import Foundation
import Testing

@Suite("The tables that are shipped")
struct ShippedFactorsTests {
    /// As `wattle factors check` has them.
    static let tables = FactorsCheck.shipped(with: FactorTables.all)

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
